"""Clauses and how each language says them.

A clause is a fact about a person; rendering it gives the concepts in the language's order, with a role for
each, so that documents know which word to mask and task data know where an answer stands.
"""

from typing import NamedTuple

from fun.world.lexicon import CLASSES, COLOUR, CONCEPT, DIGIT, HYPERNYMS, LANGUAGES_BY_CODE, NAME, SUFFIX, Relation

THE, NEVER, IN = (CONCEPT["function", word] for word in ("the", "never", "in"))
WHAT, WHERE, WHO = (CONCEPT["function", word] for word in ("what", "where", "who"))
STOP, ASK = CONCEPT["punctuation", "."], CONCEPT["punctuation", "?"]

OTHER, SUBJECT, VERB, VALUE = range(4)  # roles of a word; VALUE covers the object with its modifiers


class Clause(NamedTuple):
    """`person` stands in `relation` to the object of topic `value`; -1 is no colour, no number."""

    person: int
    relation: Relation
    value: int
    colour: int = -1
    number: int = -1
    negated: bool = False
    synonym: bool = False
    hypernym: bool = False


Word = tuple[int, int]  # concept, role


def object_phrase(clause: Clause, code: str) -> list[Word]:
    """The object as a noun phrase with article, modifiers, adposition and case as the language has them."""
    language = LANGUAGES_BY_CODE[code]
    relation = clause.relation
    noun = CONCEPT[relation.object, CLASSES[relation.object][clause.value]]
    if clause.hypernym:
        noun = CONCEPT["hypernym", HYPERNYMS[relation.object]]
    phrase: list[Word] = [(noun, VALUE)]
    if clause.colour >= 0:
        colour = (COLOUR + clause.colour, VALUE)
        phrase = [*phrase, colour] if language.adjective_after else [colour, *phrase]
    if clause.number >= 0:
        phrase = [(DIGIT + clause.number, VALUE), *phrase]
    elif language.articles and relation.object != "mood":
        phrase = [(THE, OTHER), *phrase]
    if relation.copula:
        return phrase
    if language.case:
        phrase = [*phrase, (SUFFIX["locative" if relation.locative else "accusative"], OTHER)]
    if relation.locative and language.adposition == "before":
        phrase = [(IN, OTHER), *phrase]
    elif relation.locative and language.adposition == "after":
        phrase = [*phrase, (IN, OTHER)]
    return phrase


def ordered(clause: Clause, code: str, subject: list[Word], object_: list[Word]) -> list[Word]:
    """Subject, verb (with its negation) and object in the language's order."""
    language = LANGUAGES_BY_CODE[code]
    verb: list[Word] = [(NEVER, OTHER)] if clause.negated else []
    relation = clause.relation
    if language.copula or not relation.copula:
        word = relation.synonym if clause.synonym and relation.synonym else relation.verb
        verb = [*verb, (CONCEPT["verb", word], VERB)]
    orders = {
        "SVO": subject + verb + object_,
        "SOV": subject + object_ + verb,
        "VSO": verb + subject + object_,
        "backwards": (subject + verb + object_)[::-1],
    }
    return orders[language.order]


def statement(clause: Clause, code: str) -> list[Word]:
    """The clause as a sentence that ends with a full stop."""
    subject = [(NAME + clause.person, SUBJECT)]
    return [*ordered(clause, code, subject, object_phrase(clause, code)), (STOP, OTHER)]


def claim(clause: Clause, code: str) -> list[Word]:
    """The clause as a yes-no question."""
    return [*statement(clause, code)[:-1], (ASK, OTHER)]


def question(clause: Clause, code: str, who: bool) -> list[Word]:
    """The question that the clause answers: who (its person), or what or where (its object)."""
    if who:
        bare = clause._replace(colour=-1, number=-1)
        words = ordered(clause, code, [(WHO, OTHER)], object_phrase(bare, code))
    else:
        asked = WHERE if clause.relation.object == "place" else WHAT
        words = ordered(clause, code, [(NAME + clause.person, SUBJECT)], [(asked, OTHER)])
    return [*words, (ASK, OTHER)]
