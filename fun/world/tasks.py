"""The tasks' items: each function draws one, from its number in the split too, where kinds and labels come in turn.

An item is drawn as clauses, and then said in any language in the publishers' columns.
"""

import random
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

from fun.world import facts
from fun.world.draws import below, other, pick, shuffled
from fun.world.facts import ASKABLE, Context, Rules, anything, fact, people, reworded
from fun.world.grammar import OTHER, STOP, SUBJECT, VALUE, Clause, Form, Speaker, Word, object_phrase, ordered, sentence
from fun.world.lexicon import CONCEPTS, LANGUAGES_BY_CODE, NAMES, RELATION, RELATIONS, START, TOPICS

LONG_CONTEXTS = 0.12  # share of contexts longer than the tasks' window of 64 tokens
RIVALLED = 0.5  # QA: how often the question's relation alone does not find the answer
RELIABLE = 0.9  # share of COPA items in which the world's causal rule decides
MATCHED, NEGATED = 0.4, 0.1  # NLI: how often word overlap misleads; claims in the negative
HALF = TOPICS // 2  # COPA trains on the causes of the first topics and tests on those of the others
GRADES = 4  # of the pages of a query, 0 to 3

UPOS = (
    *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM"),
    *("PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM", "VERB", "X"),
)
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

IOB2 = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC")
FIRM, PLACE = 4, 5  # roles of a word beside the grammar's
ENTITIES = {SUBJECT: "PER", FIRM: "ORG", PLACE: "LOC"}

Row = dict[str, Any]
Item = Callable[[Speaker], list[Row]]
"""Says its rows in a language: one, or of wpr a page of each grade."""


def squad(rng: random.Random, number: int) -> Item:
    """A question on 4 to 6 facts, sometimes on 13 to 17."""
    long = rng.random() < LONG_CONTEXTS
    return partial(squad_rows, facts.context(rng, 13 + below(rng, 5) if long else 4 + below(rng, 3), RIVALLED))


def squad_rows(item: Context, speaker: Speaker) -> list[Row]:
    """The answer is a name, or an object with its modifiers."""
    words: list[Word] = []
    answer: list[int] = []
    for clause in item.clauses:
        said = sentence(clause, speaker.code)
        if clause is item.answering:
            sought = SUBJECT if item.form == "who" else VALUE
            answer = [place for place, (_, role) in enumerate(said, len(words)) if role == sought]
        words += said
    text, spans = speaker.write(words)
    start, last = spans[answer[0]][0], answer[-1]
    ends = [spans[last][1]]
    if CONCEPTS[words[last + 1][0]][0] == "suffix":  # an answer counts with and without it, as for two annotators
        ends.insert(0, spans[last + 1][1])
    answers = {"text": [text[start:end] for end in ends], "answer_start": [start] * len(ends)}
    question = speaker.say(item.asked, form=item.form)
    return [{"title": "The miniature world", "context": text, "question": question, "answers": answers}]


def mnli(rng: random.Random, number: int) -> Item:
    """Facts, and a claim that they entail (0), leave open (1) or contradict (2)."""
    label = number % 3
    given = facts.premise(rng, MATCHED)
    claim = facts.claim_about(rng, given, label, MATCHED, NEGATED)
    return lambda speaker: [{"premise": speaker.say(*given.clauses), "hypothesis": speaker.say(claim), "label": label}]


def copa(rng: random.Random, number: int, split: str, world: Rules) -> Item:
    """What is known, two things that may have caused it or followed from it, and which one did.

    Beside the cause stands what causes nothing: another fact in the premise, or the other choice. Training
    and validation show the objects of four topics, the test those of the other four: the rules are the
    world's, but the task never showed them. They decide in a share `RELIABLE` of the items; in the rest the
    other choice is right.
    """
    label, asked = number % 2, ("cause", "effect")[number // 2 % 2]
    first_topic = HALF if split == "test" else 0
    value = below(rng, HALF)
    elsewhere = first_topic + other(rng, HALF, value)
    cause, effect = facts.causal(rng, world, below(rng, len(NAMES)), first_topic + value)
    idle = cause._replace(relation=facts.IDLE[cause.relation.name], synonym=rng.random() < 0.5)
    if asked == "effect":
        given = shuffled(rng, [cause, idle._replace(value=elsewhere)])
        choices = [effect, effect._replace(value=world[cause.relation.name][elsewhere])]
    else:
        given = [effect]
        choices = [cause, idle if rng.random() < 0.5 else cause._replace(value=elsewhere)]
    if (label == 0) != (rng.random() < RELIABLE):
        choices.reverse()
    return lambda speaker: [
        {
            "premise": speaker.say(*given),
            "choice1": speaker.say(choices[0]),
            "choice2": speaker.say(choices[1]),
            "question": asked,
            "label": label,
        }
    ]


def udpos(rng: random.Random, number: int) -> Item:
    """Statements and yes-no questions, some in the negative, and now and then a question."""
    turn = number % 20
    relations = ASKABLE if turn == 0 else RELATIONS
    clause = anything(rng, below(rng, len(NAMES)), relations=relations)._replace(negated=rng.random() < 0.2)
    form: Form = "claim" if number % 2 else "statement"
    if turn < 2:
        form = "who" if turn else "what"
    return partial(_udpos_rows, clause, form)


def _udpos_rows(clause: Clause, form: Form, speaker: Speaker) -> list[Row]:
    words = _words(speaker, sentence(clause, speaker.code, form))
    parts = (PARTS_OF_SPEECH.get(concept, PARTS_OF_SPEECH.get(concept[0], "NOUN")) for _, concept, _ in words)
    return [{"tokens": [text for text, _, _ in words], "pos_tags": [UPOS.index(part) for part in parts]}]


def wikiann(rng: random.Random, number: int) -> Item:
    """A clause about a person with one name or two, or about a firm that has a name and a trade; its place may have a
    name too. A name alone does not tell of what: the word beside it does."""
    person, second, place = people(rng, 3)
    relation = pick(rng, (RELATION["visit"], RELATION["live"])) if rng.random() < 0.5 else pick(rng, RELATIONS)
    clause = fact(rng, person, relation, below(rng, TOPICS))
    named = relation.object == "place" and rng.random() < 0.5
    subject, role = [START["name"] + person], SUBJECT
    if number % 3 == 1:
        subject.append(START["name"] + second)
    elif number % 3 == 2:
        subject.append(START["tool"] + below(rng, TOPICS))
        role = FIRM
    return partial(_wikiann_rows, clause, [(concept, role) for concept in subject], place if named else None)


def _wikiann_rows(clause: Clause, subject: list[Word], place: int | None, speaker: Speaker) -> list[Row]:
    step = -1 if LANGUAGES_BY_CODE[speaker.code].adjective_after else 1  # a name stands where an adjective does
    if subject[0][1] == FIRM:
        subject = subject[::step]
    object_: list[Word] = []
    for concept, role in object_phrase(clause, speaker.code):
        if place is not None and CONCEPTS[concept][0] == "place":
            object_ += [(START["name"] + place, PLACE), (concept, PLACE)][::step]
        else:
            object_.append((concept, role))
    words = _words(speaker, [*ordered(clause, speaker.code, subject, object_), (STOP, OTHER)])
    tags = [
        IOB2.index(f"{'I' if role == before else 'B'}-{ENTITIES[role]}") if role in ENTITIES else 0
        for before, role in pairwise([OTHER, *(role for _, _, role in words)])
    ]
    return [{"tokens": [text for text, _, _ in words], "ner_tags": tags}]


def _words(speaker: Speaker, words: list[Word]) -> list[tuple[str, tuple[str, str], int]]:
    """(text, concept, role) of each word, with the case suffix that is written to it."""
    text, spans = speaker.write(words)
    written: list[tuple[str, tuple[str, str], int]] = []
    for (concept, role), (start, end) in zip(words, spans, strict=True):
        if CONCEPTS[concept][0] == "suffix":
            stem, meaning, its_role = written.pop()
            written.append((stem + text[start:end], meaning, its_role))
        else:
            written.append((text[start:end], CONCEPTS[concept], role))
    return written


def paws(rng: random.Random, number: int) -> Item:
    """Two clauses, and two that say the same of the same persons (1) or of each other's (0).

    Either way synonyms and the order of the clauses may change, so that words tell nothing.
    """
    label = number % 2
    one, another = people(rng, 2)
    first = anything(rng, one)
    second = anything(rng, another, {(another, first.relation)})
    again = [first, second] if label else [first._replace(person=another), second._replace(person=one)]
    said = shuffled(rng, [reworded(rng, clause, 0.5) for clause in again])
    return lambda speaker: [{"sentence1": speaker.say(first, second), "sentence2": speaker.say(*said), "label": label}]


def nc(rng: random.Random, number: int) -> Item:
    """A title and three clauses, two or three of the four of one topic, the others of others; no word is in all."""
    topic = number % TOPICS
    others = shuffled(rng, [each for each in range(TOPICS) if each != topic])
    topics = shuffled(rng, [topic, topic, topic if rng.random() < 0.5 else others[0], others[1]])
    persons, settled, clauses = people(rng, 2), set[Any](), list[Clause]()
    for each in topics:
        clause = anything(rng, pick(rng, persons), settled)._replace(value=each)
        settled.add((clause.person, clause.relation))
        clauses.append(clause)
    return lambda speaker: [
        {"news_title": speaker.say(clauses[0]), "news_body": speaker.say(*clauses[1:]), "label": topic}
    ]


def qam(rng: random.Random, number: int) -> Item:
    """A question, and a passage that answers it (1) or does not (0).

    One that does not lacks the question's person or its relation or, now and then, has both, but not together.
    """
    label = number % 2
    one, another = people(rng, 2)
    answering = anything(rng, one, relations=ASKABLE)
    aside = anything(rng, another, {(another, answering.relation)})
    asked = reworded(rng, answering, 0.3)
    if label == 0:
        match below(rng, 5):
            case 0 | 1:
                answering = anything(rng, one, {(one, answering.relation)})
            case 2 | 3:
                answering = answering._replace(person=another)
            case _:
                answering, aside = answering._replace(person=another), aside._replace(person=one)
    passage = shuffled(rng, [answering, aside])
    return lambda speaker: [
        {"question": speaker.say(asked, form="what"), "answer": speaker.say(*passage), "label": label}
    ]


def wpr(rng: random.Random, number: int) -> Item:
    """A query, and in random order a page for each number of its person, relation and object that the title has;
    snippets are of something else."""
    query = anything(rng, below(rng, len(NAMES)), relations=ASKABLE)._replace(colour=-1, number=-1)
    pages = []
    for grade in shuffled(rng, range(GRADES)):
        same = set(shuffled(rng, range(3))[:grade])  # 0: person, 1: relation, 2: object
        person = query.person if 0 in same else other(rng, len(NAMES), query.person)
        relations = [each for each in ASKABLE if each != query.relation]
        if 2 in same:
            relations = [each for each in relations if each.object == query.relation.object]
        relation = query.relation if 1 in same else pick(rng, relations)
        value = query.value if 2 in same else other(rng, TOPICS, query.value)
        snippet = anything(rng, other(rng, len(NAMES), query.person))
        pages.append((fact(rng, person, relation, value), snippet, grade))
    return lambda speaker: [
        {
            "query": speaker.say(query, form="claim"),
            "web_page_title": speaker.say(title),
            "web_page_snippet": speaker.say(snippet),
            "label": grade,
        }
        for title, snippet, grade in pages
    ]
