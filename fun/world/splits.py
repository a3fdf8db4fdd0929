"""The tasks' data: items drawn as clauses, then said in every language in the publishers' columns.

Items of a split are the same in all languages and share their ids. Test items are drawn first, then
validation, then training, and an item that was drawn before is drawn again: no split repeats another.
"""

import random
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any, NamedTuple

from fun.world import facts, relevance, tagged
from fun.world.draws import below, other, shuffled
from fun.world.facts import Context, Rules
from fun.world.grammar import SUBJECT, VALUE, Clause, Word, question, statement
from fun.world.lexicon import CONCEPTS, NAMES, SUFFIX, forms

SIZES = {
    "squad": {"test": 300, "validation": 300, "train": 12000},
    "mnli": {"test": 400, "validation": 400, "train": 12000},
    "copa": {"test": 300, "validation": 100, "train": 400},
    "udpos": {"test": 300, "validation": 300, "train": 4000},
    "wikiann": {"test": 300, "validation": 300, "train": 4000},
    "paws": {"test": 400, "validation": 400, "train": 12000},
    "nc": {"test": 400, "validation": 400, "train": 4000},
    "qam": {"test": 400, "validation": 400, "train": 8000},
    "wpr": {"test": 800, "validation": 800, "train": 8000},
}
TASKS = tuple(SIZES)
DATASETS = {  # what a run calls them
    "microqa": "squad",
    "micronli": "mnli",
    "microcopa": "copa",
    "micropos": "udpos",
    "microner": "wikiann",
    "micropaws": "paws",
    "micronc": "nc",
    "microqam": "qam",
    "microwpr": "wpr",
}
SPLITS = ("test", "validation", "train")  # in the order they are drawn
SOURCE = "en"  # the only language with training and validation data

LONG_CONTEXTS = 0.12  # share of contexts longer than the tasks' window of 64 tokens
RIVALLED = 0.5  # QA: how often the question's relation alone does not find the answer
RELIABLE = 0.9  # share of COPA items in which the world's causal rule decides
MATCHED, NEGATED = 0.4, 0.1  # NLI: how often word overlap misleads; claims in the negative

Row = dict[str, Any]


def available(language: str) -> tuple[str, ...]:
    """The splits of every task in a language."""
    return SPLITS if language == SOURCE else ("test",)


class Speaker:
    """Writes words as text in one language: suffixes and punctuation join, names are capitalised."""

    def __init__(self, seed: int, code: str) -> None:
        self.code = code
        kinds = [kind for kind, _ in CONCEPTS]
        written = [form.removeprefix("##") for form in forms(seed)[code]]
        self._forms = [f.capitalize() if k == "name" else f for f, k in zip(written, kinds, strict=True)]
        self._joined = [kind in ("suffix", "punctuation") for kind in kinds]

    def write(self, words: Sequence[Word]) -> tuple[str, list[tuple[int, int]]]:
        """The text and the characters [start, end) of every word."""
        text, spans = "", []
        for concept, _ in words:
            text += "" if self._joined[concept] or not text else " "
            start, text = len(text), text + self._forms[concept]
            spans.append((start, len(text)))
        return text, spans

    def say(self, *clauses: Clause) -> str:
        """The clauses as sentences."""
        return self.write([word for clause in clauses for word in statement(clause, self.code)])[0]


def _squad_item(rng: random.Random) -> Context:
    """A question on 4 to 6 facts, sometimes on 13 to 17."""
    long = rng.random() < LONG_CONTEXTS
    return facts.context(rng, 13 + below(rng, 5) if long else 4 + below(rng, 3), RIVALLED)


def squad_row(speaker: Speaker, item: Context) -> Row:
    """SQuAD's columns. The answer is a name, or an object with its modifiers."""
    words: list[Word] = []
    answer: list[int] = []
    for clause in item.clauses:
        sentence = statement(clause, speaker.code)
        if clause is item.answering:
            role = SUBJECT if item.who else VALUE
            answer = [len(words) + n for n, word in enumerate(sentence) if word[1] == role]
        words += sentence
    text, spans = speaker.write(words)
    start, last = spans[answer[0]][0], answer[-1]
    # an answer counts with and without its case suffix, as it would for two annotators
    inflected = words[last + 1][0] in SUFFIX.values()
    ends = [spans[last + 1][1], spans[last][1]] if inflected else [spans[last][1]]
    return {
        "title": "The miniature world",
        "context": text,
        "question": speaker.write(question(item.asked, speaker.code, item.who))[0],
        "answers": {"text": [text[start:end] for end in ends], "answer_start": [start] * len(ends)},
    }


class Inference(NamedTuple):
    """Facts and a claim that they entail (0), leave open (1) or contradict (2)."""

    facts: tuple[Clause, ...]
    claim: Clause
    label: int


def _mnli_item(rng: random.Random, number: int) -> Inference:
    """The classes in turn."""
    label = number % (facts.CONTRADICTED + 1)
    given = facts.premise(rng, MATCHED)
    return Inference(tuple(given.clauses), facts.claim_about(rng, given, label, MATCHED, NEGATED), label)


def _mnli_row(speaker: Speaker, item: Inference) -> Row:
    """MNLI's columns."""
    return {"premise": speaker.say(*item.facts), "hypothesis": speaker.say(item.claim), "label": item.label}


class Choice(NamedTuple):
    """What is known, two things that may have caused it or followed from it, and which one did."""

    given: tuple[Clause, ...]
    choices: tuple[Clause, Clause]
    question: str
    label: int


def _copa_item(rng: random.Random, number: int, split: str, world: Rules) -> Choice:
    """Labels and questions in turn.

    Beside the cause stands what causes nothing: another fact in the premise, or the other choice. Training
    and validation show the objects of four topics, the test those of the other four: the rules are the
    world's, but the task never showed them. They decide in a share `RELIABLE` of the items; in the rest the
    other choice is right.
    """
    label, asked = number % 2, ("cause", "effect")[number // 2 % 2]
    first_topic = facts.HALF if split == "test" else 0
    value = below(rng, facts.HALF)
    elsewhere = first_topic + other(rng, facts.HALF, value)
    cause, effect = facts.causal(rng, world, below(rng, len(NAMES)), first_topic + value)
    idle = cause._replace(relation=facts.IDLE[cause.relation.name], synonym=rng.random() < 0.5)
    if asked == "effect":
        given = tuple(shuffled(rng, [cause, idle._replace(value=elsewhere)]))
        expected, unexpected = effect, effect._replace(value=world.mood(cause.relation, elsewhere))
    else:
        given = (effect,)
        expected, unexpected = cause, idle if rng.random() < 0.5 else cause._replace(value=elsewhere)
    expected_first = (label == 0) == (rng.random() < RELIABLE)
    return Choice(given, (expected, unexpected) if expected_first else (unexpected, expected), asked, label)


def _copa_row(speaker: Speaker, item: Choice) -> Row:
    """COPA's columns."""
    first, second = (speaker.say(choice) for choice in item.choices)
    return {
        "premise": speaker.say(*item.given),
        "choice1": first,
        "choice2": second,
        "question": item.question,
        "label": item.label,
    }


def content(item: Any) -> Hashable:
    """What makes an item the same item: all that is said but its label and the order of its choices."""
    if isinstance(item, Context):
        return tuple(map(_said, item.clauses)), _said(item.asked), item.who
    if isinstance(item, Inference):
        return tuple(map(_said, item.facts)), _said(item.claim)
    if isinstance(item, Choice):
        return tuple(map(_said, item.given)), frozenset(map(_said, item.choices)), item.question
    if isinstance(item, relevance.Story | relevance.Answer):
        return tuple(map(_said, item.clauses))
    if isinstance(item, list):  # the pages of a query, which is the first clause of each
        return _said(item[0].clauses[0])
    if isinstance(item, tagged.Paraphrase):
        return tuple(map(_said, item.first)), tuple(map(_said, item.second))
    return (_said(item.clause), *item[1:])


def _said(clause: Clause) -> Clause:
    """The clause, where a verb without a synonym has no other way to say it."""
    return clause if clause.relation.synonym else clause._replace(synonym=False)


def items(task: str, split: str, seed: int) -> list[Any]:
    """The items of a split, before any language; those of the splits before it are drawn to avoid them."""
    world = facts.rules(seed)
    draw = (tagged.DRAWN | relevance.DRAWN).get(task)
    each = relevance.PAGES if task == "wpr" else 1
    seen: set[Hashable] = set()
    for name in SPLITS[: SPLITS.index(split) + 1]:
        rng = random.Random(f"{task} {name} {seed}")
        drawn: list[Any] = []
        while len(drawn) < SIZES[task][name] // each:
            if draw is not None:
                item: Any = draw(rng, len(drawn))
            elif task == "squad":
                item = _squad_item(rng)
            elif task == "mnli":
                item = _mnli_item(rng, len(drawn))
            else:
                item = _copa_item(rng, len(drawn), name, world)
            if content(item) not in seen:
                seen.add(content(item))
                drawn.append(item)
    ordered = shuffled(rng, drawn)
    return [page for pages in ordered for page in pages] if task == "wpr" else ordered


speaker = cache(Speaker)
"""The speaker of a language."""

_ROWS: dict[str, Callable[[Speaker, Any], Row]] = {
    "squad": squad_row,
    "mnli": _mnli_row,
    "copa": _copa_row,
    "udpos": tagged.udpos_row,
    "wikiann": tagged.wikiann_row,
    "paws": tagged.paws_row,
    "nc": relevance.nc_row,
    "qam": relevance.qam_row,
    "wpr": relevance.wpr_row,
}


def generate(task: str, language: str, split: str, seed: int) -> list[Row]:
    """The rows of a split, with ids that are the same in every language."""
    say = speaker(seed, language)
    return [
        {"id": f"{task}-{split}-{number}", **_ROWS[task](say, item)}
        for number, item in enumerate(items(task, split, seed))
    ]
