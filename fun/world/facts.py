"""What can be true in the world: random facts, causal rules, premises with claims, contexts with questions.

Documents for pretraining and items for the tasks are both drawn from here, in terms of clauses, so that a
task asks in English for what the text of every language has shown.
"""

import random
from collections.abc import Collection, Sequence
from typing import NamedTuple

from fun.world.draws import below, other, pick, shuffled
from fun.world.grammar import Clause, Form
from fun.world.lexicon import COLOURS, HYPERNYMS, NAMES, RELATION, RELATIONS, TOPICS, Relation

ENTAILED, UNKNOWN, CONTRADICTED = range(3)  # the order of MNLI's labels

ASKABLE = tuple(relation for relation in RELATIONS if not relation.copula)
# of each relation that causes a mood, one to the same objects that causes nothing
IDLE = {"own": RELATION["see"], "fear": RELATION["see"], "eat": RELATION["like"], "carry": RELATION["buy"]}

Rules = dict[str, list[int]]
"""Relation's name -> the mood that follows, by the object's topic."""

Settled = Collection[tuple[int, Relation]]
"""Persons and the relations in which their values are told."""


def people(rng: random.Random, n: int) -> list[int]:
    """n different persons."""
    chosen: dict[int, None] = {}
    while len(chosen) < n:
        chosen[below(rng, len(NAMES))] = None
    return list(chosen)


def rules(seed: int) -> Rules:
    """Two permutations of the moods that agree on no topic: for own and eat, and for fear and carry."""
    rng = random.Random(f"rules {seed}")
    gentle, harsh = (shuffled(rng, range(TOPICS)) for _ in range(2))
    while any(a == b for a, b in zip(gentle, harsh, strict=True)):
        harsh = shuffled(rng, range(TOPICS))
    return {"own": gentle, "eat": gentle, "fear": harsh, "carry": harsh}


def fact(rng: random.Random, person: int, relation: Relation, value: int) -> Clause:
    """The clause with random modifiers and, half of the time, the verb's synonym."""
    colour = number = -1
    if relation.counted:
        number = below(rng, TOPICS) if rng.random() < 0.5 else -1
    elif relation.object in ("animal", "tool", "food") and rng.random() < 0.3:
        colour = below(rng, len(COLOURS))
    return Clause(person, relation, value, colour, number, synonym=rng.random() < 0.5)


def anything(
    rng: random.Random, person: int, without: Settled = (), relations: Sequence[Relation] = RELATIONS
) -> Clause:
    """A random fact about the person in a relation that `without` does not settle for this person."""
    relation = pick(rng, [r for r in relations if (person, r) not in without])
    return fact(rng, person, relation, below(rng, TOPICS))


def reworded(rng: random.Random, clause: Clause, share: float) -> Clause:
    """The clause, in a share of the cases with the other word for its verb."""
    return clause._replace(synonym=clause.synonym != (rng.random() < share))


def restated(rng: random.Random, clause: Clause, hypernym: bool) -> Clause:
    """The clause in other words: synonym, without its modifiers, or (where that may be) hypernym."""
    clause = reworded(rng, clause, 0.5)
    if rng.random() < 0.5:
        clause = clause._replace(colour=-1, number=-1)
    if hypernym and clause.relation.object in HYPERNYMS and rng.random() < 0.15:
        clause = clause._replace(colour=-1, number=-1, hypernym=True)
    return clause


class Premise(NamedTuple):
    """Clauses in the order of the text, and what claims are made of."""

    clauses: list[Clause]
    about: Clause
    swapped: Clause | None  # `about` with the value of another person in the same relation
    left_open: Clause  # made of the words of the text, which does not tell it


def premise(rng: random.Random, matched: float, single: float = 0.0) -> Premise:
    """Two or three facts about two persons; `matched` is the share with two clauses of the same relation.

    A share `single` has one fact only, and nothing else to confuse it with.
    """
    person, second = people(rng, 2)
    about = anything(rng, person)
    if single and rng.random() < single:
        return Premise([about], about, None, about._replace(person=second))
    elsewhere = anything(rng, second, {(second, about.relation)})
    clauses = [about, elsewhere]
    swapped = None
    if rng.random() < matched:
        clauses.append(fact(rng, second, about.relation, other(rng, TOPICS, about.value)))
        swapped = clauses[-1]._replace(person=person)
    return Premise(shuffled(rng, clauses), about, swapped, elsewhere._replace(person=person))


def claim_about(rng: random.Random, given: Premise, label: int, matched: float, negated: float) -> Clause:
    """A claim that the premise entails, leaves open or contradicts.

    Swapped values come from the other person's clause where there is one, and a share `matched` of open
    claims repeats the other person's clause of the wrong person: word overlap alone says little. A share
    `negated` of the claims is in the negative.
    """
    about = claim = given.about
    negative = rng.random() < negated
    if label == UNKNOWN:
        told = {(clause.person, clause.relation) for clause in given.clauses}
        claim = given.left_open if rng.random() < matched else anything(rng, about.person, told)
    elif (label == CONTRADICTED) != negative:
        claim = given.swapped or about._replace(value=other(rng, TOPICS, about.value))
    # "never owns a creature" would deny more than the value, and a creature is never the wrong animal
    hypernym = not negative and label != CONTRADICTED
    return restated(rng, claim, hypernym)._replace(negated=negative)


class Context(NamedTuple):
    """Clauses in the order of the text, the one that answers the question, and what is asked in which form."""

    clauses: list[Clause]
    answering: Clause
    asked: Clause
    form: Form


def context(rng: random.Random, length: int, rivalled: float = 1.0) -> Context:
    """`length` (at least 2) facts about three persons (six from 8 facts on), with a question.

    In a share `rivalled` another person stands in the same relation: the relation alone does not find the
    answer. From 3 facts on the person asked about stands in another one: nor does the person alone.
    """
    persons = people(rng, 3 if length < 8 else 6)
    person, second, third = persons[:3]
    answering = anything(rng, person, relations=ASKABLE)
    relation, value = answering.relation, answering.value
    settled = {(each, relation) for each in persons[:3]}
    rivals = rivalled == 1.0 or rng.random() < rivalled
    rival = fact(rng, second, relation, other(rng, TOPICS, value)) if rivals else anything(rng, second, settled)
    settled.add((second, rival.relation))
    clauses = [answering, rival, anything(rng, person, settled)][:length]
    settled.add((person, clauses[-1].relation))
    if rivals and length > 3 and rng.random() < 0.3:
        clauses.append(fact(rng, third, relation, other(rng, TOPICS, value)))
    while len(clauses) < length:
        candidate = anything(rng, pick(rng, persons), settled)
        if (candidate.relation, candidate.value) != (relation, value):
            clauses.append(candidate)
            settled.add((candidate.person, candidate.relation))
    asked = reworded(rng, answering, 0.3)
    return Context(shuffled(rng, clauses), answering, asked, "who" if rng.random() < 0.25 else "what")


def asked_again(rng: random.Random, given: Context) -> Context:
    """The context with a question on another of its clauses: what or where, which one person answers."""
    answering = pick(rng, [clause for clause in given.clauses if clause.relation in ASKABLE])
    return given._replace(answering=answering, asked=reworded(rng, answering, 0.3), form="what")


def causal(rng: random.Random, world: Rules, person: int, value: int) -> tuple[Clause, Clause]:
    """A cause and the mood that the world's rules make of it."""
    relation = RELATION[pick(rng, list(IDLE))]
    cause = Clause(person, relation, value, synonym=rng.random() < 0.5)
    return cause, Clause(person, RELATION["feel"], world[relation.name][value])
