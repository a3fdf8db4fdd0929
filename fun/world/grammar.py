"""Clauses and how each language says and writes them.

A clause is a fact about a person. A sentence is concepts in the language's order, with a role for each, so that
documents know which word to mask and task data know where an answer stands.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from fun.world.lexicon import CONCEPT, CONCEPTS, HYPERNYMS, LANGUAGES_BY_CODE, START, Relation, forms

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

Form = Literal["statement", "claim", "what", "who"]
"""Of a sentence: a claim is a yes-no question; what (or where) asks for the clause's object, who for its person."""


def object_phrase(clause: Clause, code: str) -> list[Word]:
    """The object as a noun phrase with article, modifiers, adposition and case as the language has them."""
    language, relation = LANGUAGES_BY_CODE[code], clause.relation
    noun = START[relation.object] + clause.value
    if clause.hypernym:
        noun = CONCEPT["hypernym", HYPERNYMS[relation.object]]
    phrase: list[Word] = [(noun, VALUE)]
    if clause.colour >= 0:
        phrase.insert(1 if language.adjective_after else 0, (START["colour"] + clause.colour, VALUE))
    if clause.number >= 0:
        phrase.insert(0, (START["digit"] + clause.number, VALUE))
    elif language.articles and relation.object != "mood":
        phrase.insert(0, (THE, OTHER))
    if relation.copula:
        return phrase
    if language.case:
        phrase.append((CONCEPT["suffix", "locative" if relation.locative else "accusative"], OTHER))
    if relation.locative and language.adposition != "none":
        phrase.insert(0 if language.adposition == "before" else len(phrase), (IN, OTHER))
    return phrase


def ordered(clause: Clause, code: str, subject: list[Word], object_: list[Word]) -> list[Word]:
    """Subject, verb (with its negation) and object in the language's order."""
    language, relation = LANGUAGES_BY_CODE[code], clause.relation
    verb: list[Word] = [(NEVER, OTHER)] if clause.negated else []
    if language.copula or not relation.copula:
        word = relation.synonym if clause.synonym and relation.synonym else relation.verb
        verb.append((CONCEPT["verb", word], VERB))
    orders = {
        "SVO": subject + verb + object_,
        "SOV": subject + object_ + verb,
        "VSO": verb + subject + object_,
        "backwards": (subject + verb + object_)[::-1],
    }
    return orders[language.order]


def sentence(clause: Clause, code: str, form: Form = "statement") -> list[Word]:
    """The clause in the form, with the mark at its end."""
    subject, object_ = [(START["name"] + clause.person, SUBJECT)], object_phrase(clause, code)
    if form == "who":
        subject, object_ = [(WHO, OTHER)], object_phrase(clause._replace(colour=-1, number=-1), code)
    elif form == "what":
        object_ = [(WHERE if clause.relation.object == "place" else WHAT, OTHER)]
    return [*ordered(clause, code, subject, object_), (STOP if form == "statement" else ASK, OTHER)]


class Speaker:
    """Writes words as text in one language: suffixes and punctuation join, names are capitalised."""

    def __init__(self, seed: int, code: str) -> None:
        self.code = code
        self._forms = forms(seed)[code]

    def write(self, words: Sequence[Word]) -> tuple[str, list[tuple[int, int]]]:
        """The text and the characters [start, end) of every word."""
        text, spans = "", []
        for concept, _ in words:
            kind, form = CONCEPTS[concept][0], self._forms[concept].removeprefix("##")
            text += "" if kind in ("suffix", "punctuation") or not text else " "
            start, text = len(text), text + (form.capitalize() if kind == "name" else form)
            spans.append((start, len(text)))
        return text, spans

    def say(self, *clauses: Clause, form: Form = "statement") -> str:
        """The clauses as sentences of one form."""
        return self.write([word for clause in clauses for word in sentence(clause, self.code, form)])[0]
