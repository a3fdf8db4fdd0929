"""Extractive question answering, as in SQuAD, XQuAD and MLQA."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from fun import metrics
from fun.errors import ConfigError
from fun.tasks.base import TASKS, Fact, Feature, Logits, Row, Scored, Task, by_example, chunks, encoded, share

if TYPE_CHECKING:
    from fun.tasks.base import Head, RunConfig, Tokenizer


@dataclass(frozen=True, eq=False)
class Window(Feature):
    """A question and a part of its context; the labels are the first and last token of the answer. `offsets` [T, 2]
    holds each context token's characters [start, end) in the context, -1 for other tokens."""

    offsets: np.ndarray


@TASKS.register("qa")
@dataclass(frozen=True, kw_only=True)
class QaTask(Task[Window]):
    """A question and its context in windows, each of at most `max_length` tokens; an answer is a span of one."""

    metrics: ClassVar[tuple[str, ...]] = ("f1", "em")
    texts = ("context", "question")
    windows = True

    doc_stride: Annotated[int, Field(ge=0)]
    """Tokens that neighbouring windows share."""
    n_best: Annotated[int, Field(ge=1)] = 20
    """Start and end tokens of a window that are combined to spans."""
    max_answer_length: Annotated[int, Field(ge=1)] = 30
    """Tokens of the longest answer."""
    mask_padding: bool = True
    """Whether the softmax over a window's tokens leaves padding out."""
    pad_to_max_length: bool = False
    """Whether every window is padded to `max_length` (the authors' code: unmasked and padded)."""

    def check(self, config: "RunConfig") -> None:
        if not (self.mask_padding or self.pad_to_max_length):
            # The span softmax over padding depends on the padded length, which would differ by micro-batch.
            raise ConfigError(
                "task.mask_padding=false needs one padded length: type task.pad_to_max_length=true as well"
            )
        if self.doc_stride >= self.max_length // 2:
            raise ConfigError(
                f"task.doc_stride is {self.doc_stride} and task.max_length {self.max_length}; windows must advance: "
                f"type a task.doc_stride below {self.max_length // 2}"
            )

    def head(self, *, layers: int, pooler: bool) -> "Head":
        from fun.models.heads import QAHead

        return QAHead(mask_padding=self.mask_padding)

    def encode(self, rows: Sequence[Row], tokenizer: "Tokenizer", language: str) -> list[Window]:
        """One feature [T] per window, those of a row from left to right; raises ConfigError (see Task). Windows that
        miss the answer, or a part of it, are kept and labelled with the [CLS] token."""
        self.check_input(rows, tokenizer, {"id": str, "context": str, "question": str, "answers": dict})
        check_answers(self.name, rows)
        # Some questions of SQuAD begin with many spaces, which some tokenizers turn into tokens.
        questions = [row["question"].lstrip() for row in rows]
        lengths = [len(tokens) for tokens in tokenizer(questions, add_special_tokens=False)["input_ids"]]
        longest = int(np.argmax(lengths))
        needed = lengths[longest] + tokenizer.num_special_tokens_to_add(pair=True) + self.doc_stride + 1
        if needed > self.max_length:
            raise ConfigError(
                f"{self.name}: found max_length {self.max_length}, expected at least {needed}: the question"
                f" of row {longest} has {lengths[longest]} tokens and windows overlap by doc_stride"
                f" {self.doc_stride}; type task.max_length={needed} or a smaller task.doc_stride"
            )
        examples = list(zip(range(len(rows)), questions, rows, strict=True))
        return [window for part in chunks(examples) for window in self._windows(part, tokenizer)]

    def score(
        self, rows: Sequence[Row], features: Sequence[Window], logits: Logits, language: str, dataset: str
    ) -> Scored:
        """F1 and exact match; for MLQA also f1_mlqa and em_mlqa, by its authors' normalisation.

        `logits` holds the start and end logits [T] of each window. Not log-probabilities: windows of a row are compared
        by them, as in transformers' example.

        The answer of a row is its best span over its windows, cut from the context; ties go to the earliest
        window, then the smallest start, then the shortest span. Without any valid span the answer is "".
        """
        self.check_output(logits)
        answers, highest = [""] * len(rows), [-np.inf] * len(rows)
        for window, (start, end) in zip(features, logits, strict=True):
            score, first, last = self._best_span(window, start, end)
            if score > highest[window.example]:
                highest[window.example] = score
                answers[window.example] = text_of(window, first, last, rows)
        predictions = [{"id": str(index), "prediction_text": answer} for index, answer in enumerate(answers)]
        references = [{"id": str(index), "answers": row["answers"]} for index, row in enumerate(rows)]
        measured: dict[str, float] = {}
        for suffix, metric in metrics.qa_metrics(dataset, language).items():
            scores = metric.compute(predictions=predictions, references=references)
            measured |= {f"f1{suffix}": scores["f1"], f"em{suffix}": scores["exact_match"]}
        gold = [row["answers"]["text"] for row in rows]
        return Scored.of(measured, id=[row["id"] for row in rows], prediction=answers, answers=gold)

    def _best_span(self, window: Window, start: np.ndarray, end: np.ndarray) -> tuple[float, int, int]:
        """The score and the tokens (first, last) of the best valid span of a window; -inf where there is none. Spans
        combine the `n_best` start and end tokens; a valid one lies in the context, does not end before it starts and
        has at most `max_answer_length` tokens. The score is start + end logit [T]."""
        context = window.offsets[:, 0] >= 0
        first, last = (np.sort(np.argsort(-logits, kind="stable")[: self.n_best]) for logits in (start, end))
        length = last - first[:, None] + 1  # [n starts, n ends]
        valid = context[first][:, None] & context[last] & (length >= 1) & (length <= self.max_answer_length)
        score = np.where(valid, start[first].astype(np.float64)[:, None] + end[last], -np.inf)
        # argmax takes the first maximum; starts, then ends, ascend: the smallest start, then the shortest span.
        row, column = np.unravel_index(score.argmax(), score.shape)
        return float(score[row, column]), int(first[row]), int(last[column])

    def describe(self, rows: Sequence[Row], features: Sequence[Window]) -> list[Fact]:
        row, (start, end) = rows[features[0].example], answer_span(rows[features[0].example])
        text, fate = read_back(rows, features)
        more = len(row["answers"]["text"]) - 1
        facts = [
            ("id", row["id"]),
            ("question", row["question"]),
            ("gold", row["answers"]["text"][0]),
            ("where", f"characters {start} to {end}" + (f", and {more} more" if more else "")),
            ("tokens say", text),
            ("which is", fate),
        ]
        for number, window in enumerate(features, 1):
            context = window.offsets[window.offsets[:, 0] >= 0]
            answer = "answer in tokens {} to {}".format(*window.labels) if holds_answer(window) else NO_ANSWER
            said = f"characters {context.min()} to {context.max()} of the context, {answer}"
            facts.append((f"window {number}", said))
        return facts

    def asked(self, feature: Window) -> Sequence[int]:
        """The answer, or [CLS] where the window has none."""
        first, last = feature.labels
        return range(first, last + 1)

    def lost(self, rows: Sequence[Row], features: Sequence[Window], tokenizer: "Tokenizer") -> list[Fact]:
        fates = Counter(read_back(rows, windows)[1] for windows in by_example(features))
        without = sum(not holds_answer(window) for window in features)
        return [
            ("answers", f"through their tokens and back: {', '.join(f'{fates[fate]:,} {fate}' for fate in FATES)}"),
            ("unanswered", f"{share(without, len(features))} windows {NO_ANSWER}, labelled {tokenizer.cls_token}"),
        ]

    def _windows(self, examples: Sequence[tuple[int, str, Row]], tokenizer: "Tokenizer") -> Iterator[Window]:
        """The windows of some rows, each behind its index and its question."""
        encoding = tokenizer(
            [question for _, question, _ in examples],
            [row["context"] for _, _, row in examples],
            truncation="only_second",
            padding="max_length" if self.pad_to_max_length else False,
            max_length=self.max_length,
            stride=self.doc_stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        owners = encoding["overflow_to_sample_mapping"]
        for index, owner in enumerate(owners):
            example, _, row = examples[owner]
            inputs = encoded(encoding, index, tokenizer)
            in_context = np.array([sequence == 1 for sequence in encoding.sequence_ids(index)])
            offsets = np.where(in_context[:, None], encoding["offset_mapping"][index], -1).astype(np.int32)
            is_first = index == 0 or owners[index - 1] != owner
            is_last = index + 1 == len(owners) or owners[index + 1] != owner
            cls = inputs["input_ids"].tolist().index(tokenizer.cls_token_id)
            answer = locate(offsets, answer_span(row), is_first, is_last) or (cls, cls)
            yield Window(example, inputs, answer, offsets)


def check_answers(task: str, rows: Sequence[Row]) -> None:
    """Raises ConfigError unless every row has at least one answer, and each stands where it is said to stand."""
    total, elsewhere = 0, []
    for index, row in enumerate(rows):
        texts, starts = row["answers"].get("text", ()), row["answers"].get("answer_start", ())
        if len(texts) == 0 or len(texts) != len(starts):
            raise ConfigError(
                f"{task}: row {index} has answers = {row['answers']!r}, expected text and answer_start,"
                " equally long and not empty; check the data set and its split"
            )
        total += len(texts)
        for text, start in zip(texts, starts, strict=True):
            there = row["context"][start : start + len(text)] if isinstance(start, int) and start >= 0 else ""
            if not text or there != text:
                elsewhere.append(f"{row['id']}: {there!r} for {text!r} at character {start}")
    if elsewhere:
        raise ConfigError(
            f"{task}: {len(elsewhere)} of {total} answers are not where answer_start says ({'; '.join(elsewhere[:3])}"
            f"{'; …' * (len(elsewhere) > 3)}); expected the answer there, in characters of Unicode: mend the data set"
        )


def answer_span(row: Row) -> tuple[int, int]:
    """Characters [start, end) of the first gold answer."""
    start = row["answers"]["answer_start"][0]
    return start, start + len(row["answers"]["text"][0])


NO_ANSWER = "without the whole answer"
FATES = ("the same", "not quite the same", "in no window")
"""What became of an answer. Not quite the same: it begins or ends inside a token."""


def read_back(rows: Sequence[Row], windows: Sequence[Window]) -> tuple[str, str]:
    """The text of a row's first gold answer as its tokens give it back, and what became of it: one of FATES."""
    for window in filter(holds_answer, windows):
        first, last = window.labels
        text, gold = text_of(window, first, last, rows), rows[window.example]["answers"]["text"][0]
        return text, FATES[0] if text == gold.strip() else FATES[1]
    return "", FATES[2]


def holds_answer(window: Window) -> bool:
    """Whether the label is in the context; [CLS] is not."""
    return bool(window.offsets[window.labels[0], 0] >= 0)


def locate(offsets: np.ndarray, span: tuple[int, int], is_first: bool, is_last: bool) -> tuple[int, int] | None:
    """First and last context token of `span`; None unless the window holds all of it.

    The first is the last one that begins at or before the span, as in transformers' run_qa.py: of SentencePiece's lone
    "▁" and the piece after it, which begin alike, the piece. The last is the last one that shares characters with it.
    """
    start, end = span
    context = offsets[offsets[:, 0] >= 0]
    touching = np.flatnonzero((offsets[:, 0] < end) & (offsets[:, 1] > start))
    if len(touching) == 0:
        return None
    # Characters without a token at either end of the context belong to its first and last window.
    inside = (is_first or context[:, 0].min() <= start) and (is_last or end <= context[:, 1].max())
    before = np.flatnonzero((offsets[:, 0] >= 0) & (offsets[:, 0] <= start))
    return (int(before[-1] if len(before) else touching[0]), int(touching[-1])) if inside else None


def text_of(window: Window, first: int, last: int, rows: Sequence[Row]) -> str:
    """What the tokens `first` to `last` of a window say in its context."""
    start, end = window.offsets[first, 0], window.offsets[last, 1]
    return str(rows[window.example]["context"][start:end].strip())  # SentencePiece's may cover the space before a word
