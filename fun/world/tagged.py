"""Sentences with tagged words, and paraphrases: items of the world's udpos, wikiann and paws, and their rows."""

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fun.world.draws import below, pick, shuffled
from fun.world.facts import ASKABLE, anything, fact, people
from fun.world.grammar import STOP, SUBJECT, Clause, Word, claim, object_phrase, ordered, question, statement
from fun.world.lexicon import CLASSES, CONCEPT, CONCEPTS, LANGUAGES_BY_CODE, NAME, NAMES, RELATION, RELATIONS, TOPICS

if TYPE_CHECKING:
    from fun.world.splits import Row, Speaker

UPOS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
IOB2 = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")

PARTS_OF_SPEECH: dict[str | tuple[str, str], str] = {
    "mood": "ADJ",
    "colour": "ADJ",
    "verb": "VERB",
    "name": "PROPN",
    "digit": "NUM",
    "punctuation": "PUNCT",
    ("verb", "is"): "AUX",
    ("function", "the"): "DET",
    ("function", "never"): "ADV",
    ("function", "where"): "ADV",
    ("function", "in"): "ADP",
    ("function", "what"): "PRON",
    ("function", "who"): "PRON",
}
"""What a kind of concept is, or one of them; all others are nouns."""

FIRM, PLACE = 4, 5  # roles of a word beside the grammar's
ENTITIES = {SUBJECT: "PER", FIRM: "ORG", PLACE: "LOC"}


class Utterance(NamedTuple):
    """A clause said as a statement, a yes-no question, or a question about its object or its person."""

    clause: Clause
    form: int


def utterance(rng: random.Random, number: int) -> Utterance:
    """Statements and yes-no questions in turn, some in the negative, and now and then a question."""
    turn = number % 20
    relations = ASKABLE if turn == 0 else RELATIONS
    clause = anything(rng, below(rng, len(NAMES)), (), relations)._replace(negated=rng.random() < 0.2)
    match turn:
        case 0:
            return Utterance(clause._replace(value=0, colour=-1, number=-1), 2)
        case 1:
            return Utterance(clause._replace(person=0, colour=-1, number=-1), 3)
    return Utterance(clause, number % 2)


def udpos_row(speaker: "Speaker", item: Utterance) -> "Row":
    """The columns of udpos. A case suffix is part of its word."""
    say: Callable[[Clause, str], list[Word]] = (statement, claim, _what, _who)[item.form]
    words = _words(speaker, say(item.clause, speaker.code))
    parts = (PARTS_OF_SPEECH.get(concept, PARTS_OF_SPEECH.get(concept[0], "NOUN")) for _, concept, _ in words)
    return {"tokens": [text for text, _, _ in words], "pos_tags": [UPOS.index(part) for part in parts]}


def _what(clause: Clause, code: str) -> list[Word]:
    return question(clause, code, who=False)


def _who(clause: Clause, code: str) -> list[Word]:
    return question(clause, code, who=True)


class Mention(NamedTuple):
    """A clause about a person with one name or two, or about a firm that has a name and a trade; its place may have a
    name too. -1 is no name, no trade."""

    clause: Clause
    second: int
    trade: int
    place: int


def mention(rng: random.Random, number: int) -> Mention:
    """The kinds of subject in turn. A name alone does not tell of what: the word beside it does."""
    person, second, place = people(rng, 3)
    relation = pick(rng, (RELATION["visit"], RELATION["live"])) if rng.random() < 0.5 else pick(rng, RELATIONS)
    clause = fact(rng, person, relation, below(rng, TOPICS))
    named = relation.object == "place" and rng.random() < 0.5
    kind = number % 3
    return Mention(clause, second if kind == 1 else -1, below(rng, TOPICS) if kind == 2 else -1, place if named else -1)


def wikiann_row(speaker: "Speaker", item: Mention) -> "Row":
    """The columns of wikiann. A name stands where an adjective does."""
    role, subject = SUBJECT, [NAME + item.clause.person]
    if item.second >= 0:
        subject += [NAME + item.second]
    if item.trade >= 0:
        role = FIRM
        subject = _compound(subject[0], CONCEPT["tool", CLASSES["tool"][item.trade]], speaker.code)
    object_: list[Word] = []
    for concept, its_role in object_phrase(item.clause, speaker.code):
        is_place = item.place >= 0 and CONCEPTS[concept][0] == "place"
        named = _compound(NAME + item.place, concept, speaker.code) if is_place else [concept]
        object_ += [(part, PLACE if is_place else its_role) for part in named]
    said = ordered(item.clause, speaker.code, [(concept, role) for concept in subject], object_)
    words = _words(speaker, [*said, (STOP, 0)])
    tags, before = [], ""
    for _, _, its_role in words:
        kind = ENTITIES.get(its_role, "")
        tags.append("O" if not kind else f"I-{kind}" if kind == before else f"B-{kind}")
        before = kind
    return {"tokens": [text for text, _, _ in words], "ner_tags": [IOB2.index(tag) for tag in tags]}


def _compound(name: int, noun: int, code: str) -> list[int]:
    return [noun, name] if LANGUAGES_BY_CODE[code].adjective_after else [name, noun]


def _words(speaker: "Speaker", words: Sequence[Word]) -> list[tuple[str, tuple[str, str], int]]:
    """(text, concept, role) of each word, with the suffix that is written to it."""
    text, spans = speaker.write(words)
    written: list[tuple[str, tuple[str, str], int]] = []
    for (concept, role), (start, end) in zip(words, spans, strict=True):
        if CONCEPTS[concept][0] == "suffix":
            stem, meaning, its_role = written.pop()
            written.append((stem + text[start:end], meaning, its_role))
        else:
            written.append((text[start:end], CONCEPTS[concept], role))
    return written


class Paraphrase(NamedTuple):
    """Two clauses, and two that say the same of the same persons (1) or of each other's (0)."""

    first: tuple[Clause, Clause]
    second: tuple[Clause, Clause]
    label: int


def paraphrase(rng: random.Random, number: int) -> Paraphrase:
    """The labels in turn. Either way synonyms and the order of the clauses may change, so that words tell nothing."""
    one, other = people(rng, 2)
    first = anything(rng, one)
    second = anything(rng, other, {(other, first.relation)})
    label = number % 2
    persons = (one, other) if label else (other, one)
    again = [
        clause._replace(person=person, synonym=clause.synonym != (rng.random() < 0.5))
        for clause, person in zip((first, second), persons, strict=True)
    ]
    said = shuffled(rng, again)
    return Paraphrase((first, second), (said[0], said[1]), label)


def paws_row(speaker: "Speaker", item: Paraphrase) -> "Row":
    """The columns of paws."""
    return {"sentence1": speaker.say(*item.first), "sentence2": speaker.say(*item.second), "label": item.label}


DRAWN: dict[str, Callable[[random.Random, int], Any]] = {"udpos": utterance, "wikiann": mention, "paws": paraphrase}
"""Task -> what draws an item, from its number in the split too."""
