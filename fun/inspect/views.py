"""What there is to see of each task's examples: their tokens, and what became of their text."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

import numpy as np
from tokenizers.models import WordPiece
from transformers import PreTrainedTokenizerBase

from fun.tasks.base import CHUNK, Feature, Row
from fun.tasks.choice import prompt
from fun.tasks.qa import Window, answer_span
from fun.training.randomness import generator


class Token(NamedTuple):
    """A token as the model reads it: a piece of the vocabulary and its id.

    `begins`: it begins a word. `marked`: it belongs to the answer, or is to be named; `hides` is then the piece
    that it stands for, where that is another one.
    """

    piece: str
    id: int
    special: bool
    begins: bool
    marked: bool
    hides: str


class Tokens(NamedTuple):
    """One sequence that the encoder reads, and what there is to say about it."""

    heading: str
    tokens: list[Token]


class Fact(NamedTuple):
    """Something about an example: `text` of the data set, in whatever script, and a `comment` on it."""

    name: str
    text: str = ""
    comment: str = ""


class Example(NamedTuple):
    """One example: what is known of it, then its sequences."""

    title: str
    facts: list[Fact]
    sequences: list[Tokens]


class Lengths(NamedTuple):
    """How a number is distributed over the examples of a split; 95 % of them have `most` or less.

    `longest` is the first example that has the maximum; None where it is no example that is longest.
    """

    name: str
    minimum: int
    median: float
    most: float
    maximum: int
    longest: int | None

    @classmethod
    def of(cls, name: str, numbers: Sequence[int]) -> "Lengths":
        """Of one number per example."""
        values = np.asarray(numbers)
        median, most = np.percentile(values, [50, 95])
        return cls(name, int(values.min()), float(median), float(most), int(values.max()), int(values.argmax()))


class View(ABC):
    """The examples of one task. `rows` are those that `features` were encoded from; `unit` is what one is called."""

    unit: ClassVar[str] = "examples"

    def __init__(
        self,
        task: Any,
        tokenizer: PreTrainedTokenizerBase,
        rows: Sequence[Row],
        features: Sequence[Any],
        seed: int,
    ) -> None:
        self.task = task
        self.tokenizer = tokenizer
        self.rows = rows
        self.features = features
        self.seed = seed
        self._is_wordpiece = isinstance(tokenizer.backend_tokenizer.model, WordPiece)

    @property
    def count(self) -> int:
        """How many examples there are."""
        return len(self.rows)

    @abstractmethod
    def lengths(self) -> list[Lengths]:
        """How long the examples are, in tokens."""

    @abstractmethod
    def losses(self) -> list[str]:
        """What was lost of the split when it was cut to length, in one line each."""

    @abstractmethod
    def example(self, index: int) -> Example:
        """Everything about one example."""

    def unknown(self) -> str:
        """What was lost because the vocabulary has no piece for it."""
        number, token = self.tokenizer.unk_token_id, self.tokenizer.unk_token
        unknown = sum(int((feature.inputs["input_ids"] == number).sum()) for feature in self.features)
        read = sum(sum(_read(feature)) for feature in self.features)
        return f"not in the vocabulary, read as {token}: {share(unknown, read)} tokens"

    def tokens(
        self, ids: np.ndarray, marked: Collection[int] = (), hidden: Mapping[int, int] | None = None
    ) -> list[Token]:
        """A sequence [T]; `marked` are positions, `hidden` gives the ids that marked tokens stand for."""
        pieces = self.tokenizer.convert_ids_to_tokens(ids.tolist())
        special = set(self.tokenizer.all_special_ids)
        true = {position: self.tokenizer.convert_ids_to_tokens(number) for position, number in (hidden or {}).items()}
        after_special = True
        tokens = []
        for position, (piece, number) in enumerate(zip(pieces, ids.tolist(), strict=True)):
            is_special = number in special
            begins = is_special or after_special or self._begins_word(piece)
            tokens.append(Token(piece, number, is_special, begins, position in marked, true.get(position, "")))
            after_special = is_special and position not in marked  # a mask may stand inside a word
        return tokens

    def token_counts(self, texts: Sequence[tuple[str, ...]], special: bool = True) -> list[int]:
        """The tokens of texts, or of pairs of texts, before anything is cut off."""
        counts: list[int] = []
        for first in range(0, len(texts), CHUNK):
            columns = [list(column) for column in zip(*texts[first : first + CHUNK], strict=True)]
            # Longer than the encoder reads, some of them: verbose=False spares the warning.
            encoding = self.tokenizer(*columns, add_special_tokens=special, verbose=False)
            counts += map(len, encoding["input_ids"])
        return counts

    def _begins_word(self, piece: str) -> bool:
        return not piece.startswith("##") if self._is_wordpiece else piece.startswith("▁")


class PairView(View):
    """Tasks whose examples are one or more pairs of texts, each cut to the longest allowed."""

    @abstractmethod
    def pairs(self, row: Row) -> dict[str, tuple[str, ...]]:
        """The pairs of a row by what they are called, as the tokenizer gets them."""

    @abstractmethod
    def facts(self, row: Row) -> list[Fact]:
        """What else there is to know."""

    @cached_property
    def whole(self) -> list[list[int]]:
        """For each row the tokens of its pairs, before anything is cut off."""
        pairs = [list(self.pairs(row).values()) for row in self.rows]
        counts = iter(self.token_counts([pair for row in pairs for pair in row]))
        return [[next(counts) for _ in row] for row in pairs]

    @cached_property
    def lost(self) -> list[list[int]]:
        """For each row the tokens that its pairs lost."""
        return [
            [whole - read for whole, read in zip(row, _read(feature), strict=True)]
            for row, feature in zip(self.whole, self.features, strict=True)
        ]

    def lengths(self) -> list[Lengths]:
        """See View: of the longest pair of each example."""
        return [
            Lengths.of("tokens", [feature.length for feature in self.features]),
            Lengths.of("tokens before cutting", [max(row) for row in self.whole]),
        ]

    def losses(self) -> list[str]:
        """See View."""
        lost = [sum(row) for row in self.lost]
        cut = share(sum(number > 0 for number in lost), self.count)
        return [f"cut off: {cut} examples lose tokens, {sum(lost):,} in all"]

    def example(self, index: int) -> Example:
        """See View."""
        row, feature = self.rows[index], self.features[index]
        sequences = []
        arrays = np.atleast_2d(feature.inputs["input_ids"])
        for name, ids, read, lost in zip(self.pairs(row), arrays, _read(feature), self.lost[index], strict=True):
            cut = f"{lost} more were cut off" if lost else "nothing was cut off"
            sequences.append(Tokens(f"{name}: {read} tokens, {cut}", self.tokens(ids)))
        return Example(f"example {index}", self.facts(row), sequences)


class ClassificationView(PairView):
    """The columns that are classified."""

    def pairs(self, row: Row) -> dict[str, tuple[str, ...]]:
        """See PairView."""
        return {" and ".join(self.task.columns): tuple(row[column] for column in self.task.columns)}

    def facts(self, row: Row) -> list[Fact]:
        """See PairView."""
        texts = [Fact(column, row[column]) for column in self.task.columns]
        return [*texts, Fact("label", comment=f"{row['label']} ({self.task.labels[row['label']]})")]


class ChoiceView(PairView):
    """The prompt with each choice."""

    def pairs(self, row: Row) -> dict[str, tuple[str, ...]]:
        """See PairView."""
        return {f"prompt and {choice}": (prompt(row), row[choice]) for choice in self.task.choices}

    def facts(self, row: Row) -> list[Fact]:
        """See PairView."""
        choices = [Fact(choice, row[choice]) for choice in self.task.choices]
        label = Fact("label", comment=f"{row['label']} ({self.task.choices[row['label']]})")
        return [Fact("prompt", prompt(row)), *choices, label]


class QaView(View):
    """The windows of each question."""

    @cached_property
    def windows(self) -> list[list[Window]]:
        """The windows of each row."""
        windows: list[list[Window]] = [[] for _ in self.rows]
        for window in self.features:
            windows[window.example].append(window)
        return windows

    def lengths(self) -> list[Lengths]:
        """See View."""
        texts = [(row["question"].lstrip(), row["context"]) for row in self.rows]
        longest = [max(_read(window)[0] for window in windows) for windows in self.windows]
        return [
            Lengths.of("tokens, all", self.token_counts(texts)),
            Lengths.of("tokens, longest window", longest),
            Lengths.of("windows", [len(windows) for windows in self.windows]),
        ]

    def losses(self) -> list[str]:
        """See View."""
        fates = Counter(self.answer(index)[1] for index in range(self.count))
        several = sum(len(windows) > 1 for windows in self.windows)
        without = sum(not _holds_answer(window) for window in self.features)
        return [
            f"cut off: nothing; {share(several, self.count)} contexts are read in several windows",
            "answers, through their tokens and back: " + ", ".join(f"{fates[fate]:,} {fate}" for fate in FATES),
            f"windows without the whole answer, labelled with {self.tokenizer.cls_token}: "
            f"{share(without, len(self.features))}",
        ]

    def example(self, index: int) -> Example:
        """See View."""
        row, windows = self.rows[index], self.windows[index]
        start, end = answer_span(row)
        others = len(row["answers"]["text"]) - 1
        where = f"characters {start} to {end}" + (f", and {others} more" if others else "")
        back, fate = self.answer(index)
        facts = [
            Fact("question", row["question"]),
            Fact("gold", row["answers"]["text"][0], where),
            Fact("tokens say", back, fate),
        ]
        return Example(
            f"example {index} (id {row['id']})",
            facts,
            [self._window(windows, number) for number in range(len(windows))],
        )

    def answer(self, index: int) -> tuple[str, str]:
        """The text of the first gold answer as its tokens give it back, and what became of it: one of FATES."""
        row = self.rows[index]
        for window in self.windows[index]:
            if _holds_answer(window):
                first, last = window.labels
                # As QaTask.score cuts it: SentencePiece's tokens may cover the space before their word.
                text = row["context"][window.offsets[first, 0] : window.offsets[last, 1]].strip()
                return text, FATES[0] if text == row["answers"]["text"][0].strip() else FATES[1]
        return "", FATES[2]

    def _window(self, windows: Sequence[Window], number: int) -> Tokens:
        window = windows[number]
        in_context = window.offsets[window.offsets[:, 0] >= 0]
        heading = f"window {number + 1} of {len(windows)}: {_read(window)[0]} tokens"
        if len(in_context):
            heading += f", characters {in_context[:, 0].min()} to {in_context[:, 1].max()} of the context"
        if number:
            heading += f", {shared(windows[number - 1], window)} tokens shared with the one before"
        first, last = window.labels
        heading += f", answer in tokens {first} to {last}" if _holds_answer(window) else ", without the whole answer"
        return Tokens(heading, self.tokens(window.inputs["input_ids"], range(first, last + 1)))


FATES = ("the same", "not quite the same", "in no window")
"""What became of an answer. Not quite the same: it begins or ends inside a token."""


class MlmView(View):
    """Passages of running text, masked as in an evaluation; in training every update masks them anew."""

    unit = "passages"

    @property
    def count(self) -> int:
        """See View."""
        return len(self.features)

    @cached_property
    def documents(self) -> list[int]:
        """The tokens of each document."""
        return self.token_counts([(row["text"],) for row in self.rows], special=False)

    def lengths(self) -> list[Lengths]:
        """See View: of the documents, before they are packed."""
        return [Lengths.of("tokens per document", self.documents)._replace(longest=None)]

    def losses(self) -> list[str]:
        """See View."""
        total = sum(self.documents) + len(self.rows)  # a separator after each
        length = self.features[0].length
        kept = self.count * (length - 2)
        return [
            f"packed: {len(self.rows):,} documents into {self.count:,} passages of {length} tokens",
            f"cut off: {share(total - kept, total)} tokens, at the end or without enough known ones",
        ]

    def example(self, index: int) -> Example:
        """See View."""
        random = generator(self.seed, "evaluation", 0)
        # One stream for all passages, as in an evaluation.
        read = [feature.reading(random) for feature in self.features[: index + 1]][index]
        shown, true = read.inputs["input_ids"], self.features[index].inputs["input_ids"]
        masked = np.flatnonzero(read.inputs["masked"])
        hidden = {int(position): int(true[position]) for position in masked if shown[position] != true[position]}
        as_mask = int((shown[masked] == self.tokenizer.mask_token_id).sum())
        kinds = f"{as_mask} hidden, {len(hidden) - as_mask} replaced, {len(masked) - len(hidden)} shown as they are"
        facts = [Fact("masked", comment=f"{len(masked)} of {len(shown)} tokens: {kinds}")]
        facts.append(Fact("positions", comment=", ".join(map(str, masked.tolist()))))
        tokens = self.tokens(shown, set(masked.tolist()), hidden)
        return Example(f"passage {index}", facts, [Tokens(f"{len(shown)} tokens", tokens)])


VIEWS: Mapping[str, type[View]] = {
    "qa": QaView,
    "classification": ClassificationView,
    "choice": ChoiceView,
    "mlm": MlmView,
}
"""By the kind of the task."""


def share(part: int, whole: int) -> str:
    """A part of a whole in numbers and percent."""
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f} %)"


def shared(window: Window, following: Window) -> int:
    """How many tokens of the context two neighbouring windows share."""
    spans = {tuple(span) for span in window.offsets.tolist() if span[0] >= 0}
    return sum(tuple(span) in spans for span in following.offsets.tolist())


def _read(feature: Feature) -> list[int]:
    """The tokens of each of a feature's sequences, without padding."""
    counts: list[int] = np.atleast_2d(feature.inputs["attention_mask"]).sum(axis=1).tolist()
    return counts


def _holds_answer(window: Window) -> bool:
    """Whether the label is in the context; [CLS] is not."""
    return bool(window.offsets[window.labels[0], 0] >= 0)
