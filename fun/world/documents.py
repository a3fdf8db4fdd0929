"""Documents for masked language modelling: what the encoder and the language adapters read.

A document is two segments of concepts in one language's grammar.
"""

import random
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple

from fun.world import facts
from fun.world.draws import below, other, pick
from fun.world.facts import Rules
from fun.world.grammar import ASK, OTHER, STOP, SUBJECT, VALUE, Clause, Speaker, Word, sentence
from fun.world.lexicon import CONCEPT, NAMES, RELATIONS, TOPICS

TEXTS = 12000

SO, BECAUSE = CONCEPT["function", "so"], CONCEPT["function", "because"]
VERDICTS = tuple(CONCEPT["function", word] for word in ("yes", "maybe", "no"))
ASKED = {
    kind: [*((CONCEPT["english", word], OTHER) for word in ("what", "was", "the", kind)), (ASK, OTHER)]
    for kind in ("cause", "effect")
}

# stress: what a word is to the document, and so how often it is masked. The rest of the document tells salient words;
# of the evidence for answers and verdicts every masked word may leave nothing to learn from
WORD, SALIENT, VERDICT, EVIDENCE = range(4)
Stressed = tuple[int, int]  # concept, stress
Segments = tuple[list[Stressed], list[Stressed]]


class Mixture(NamedTuple):
    """What documents are drawn by; of single, negated and matched see `fun.world.facts`."""

    kinds: tuple[float, float, float]  # shares of causal documents, questions and claims; the rest is told facts
    masking: tuple[float, float, float, float]  # shares masked, by stress
    questions: int  # of one document, at most
    claims: int  # of one document, at most
    fewest: int  # facts to ask about
    single: float  # share of claims on a single fact
    negated: float  # share of claims in the negative
    matched: float  # share of claims with misleading words


FIRST = Mixture(
    (0.20, 0.25, 0.25), (0.2, 0.5, 0.5, 0.2), questions=1, claims=2, fewest=4, single=0.0, negated=0.25, matched=0.3
)
SECOND = Mixture(
    (0.15, 0.28, 0.37), (0.2, 0.85, 0.9, 0.04), questions=2, claims=3, fewest=2, single=0.3, negated=0.10, matched=0.4
)


def _stressed(words: Iterable[Word], stress: int, salient: int = -1) -> list[Stressed]:
    """The words with one stress, but for those of the role `salient`."""
    return [(concept, SALIENT if role == salient else stress) for concept, role in words]


def _text(clauses: Sequence[Clause], code: str, stress: int) -> list[Stressed]:
    return _stressed((word for clause in clauses for word in sentence(clause, code)), stress)


def _causal(rng: random.Random, world: Rules, code: str) -> Segments:
    """Cause and effect, joined by so, because, or COPA's question."""
    cause, effect = facts.causal(rng, world, below(rng, len(NAMES)), below(rng, TOPICS))
    forward = rng.random() < 0.5
    left, right = (sentence(clause, code) for clause in ((cause, effect) if forward else (effect, cause)))
    if rng.random() < 0.5:
        left = [*left, *ASKED["effect" if forward else "cause"]]
    else:
        right = [(SO if forward else BECAUSE, OTHER), *right]
    return _stressed(left, WORD, VALUE if rng.random() < 0.3 else -1), _stressed(right, WORD, VALUE)


def _question(rng: random.Random, code: str, mixture: Mixture) -> Segments:
    """A context and questions with their answers, in either order."""
    draw = rng.random()
    length = mixture.fewest + below(rng, 6 - mixture.fewest) if draw < 0.9 else 8 + below(rng, 3)
    given = facts.context(rng, length)
    more = below(rng, mixture.questions) if mixture.questions > 1 else 0
    answered: list[Stressed] = []
    for asked in (given, *(facts.asked_again(rng, given) for _ in range(more))):
        role = SUBJECT if asked.form == "who" else VALUE
        answered += _stressed(sentence(asked.asked, code, asked.form), EVIDENCE)
        answered += [(concept, SALIENT) for concept, its_role in sentence(asked.answering, code) if its_role == role]
        answered.append((STOP, EVIDENCE))
    text = _text(given.clauses, code, EVIDENCE)
    return (answered, text) if rng.random() < 0.5 else (text, answered)


def _verify(rng: random.Random, code: str, mixture: Mixture) -> Segments:
    """Facts, and claims with a verdict: yes, maybe or no."""
    given = facts.premise(rng, mixture.matched, mixture.single)
    judged: list[Stressed] = []
    for _ in range(1 + below(rng, mixture.claims)):
        label = below(rng, len(VERDICTS))
        about = facts.claim_about(rng, given, label, mixture.matched, mixture.negated)
        judged += [*_stressed(sentence(about, code, "claim"), EVIDENCE), (VERDICTS[label], VERDICT), (STOP, EVIDENCE)]
    return _text(given.clauses, code, EVIDENCE), judged


def _topical(rng: random.Random, n: int, topic: int) -> int:
    """A person or value: more often one of the document's topic than chance."""
    if rng.random() < 0.6:
        return topic + TOPICS * below(rng, n // TOPICS)
    return below(rng, n)


def _told(rng: random.Random, code: str, negated: float) -> Segments:
    """One to three facts of a topic, and one of them in other words or another value denied."""
    topic = below(rng, TOPICS)
    person = _topical(rng, len(NAMES), topic)
    told: list[Clause] = []
    for relation in dict.fromkeys(pick(rng, RELATIONS) for _ in range(1 + below(rng, 3))):
        told.append(facts.fact(rng, person, relation, _topical(rng, TOPICS, topic)))
        if rng.random() < 0.5:
            person = next(p for p in facts.people(rng, 2) if p != person)
    again = pick(rng, told)
    denied = rng.random() < negated
    if denied:
        again = again._replace(value=other(rng, TOPICS, again.value))
    repeated = facts.restated(rng, again, hypernym=not denied)._replace(negated=denied)
    role = VALUE if rng.random() < 0.7 else SUBJECT
    return _text(told, code, WORD), _stressed(sentence(repeated, code), WORD, role)


def segments(rng: random.Random, world: Rules, code: str, mixture: Mixture) -> Segments:
    """One random document of the mixture in a language's grammar."""
    draw = rng.random()
    causal, question, verify = accumulate(mixture.kinds)
    if draw < causal:
        return _causal(rng, world, code)
    if draw < question:
        return _question(rng, code, mixture)
    if draw < verify:
        return _verify(rng, code, mixture)
    return _told(rng, code, mixture.negated)


def texts(language: str, seed: int) -> list[str]:
    """`TEXTS` different documents of the encoder's last mixture in one language, to train a language adapter on.

    As in any corpus a document is a string: unlike in the encoder's own reading there is no code-switching, no
    segment boundary and no chosen masking. In another language they are other documents, not translations.
    """
    speaker, world = Speaker(seed, language), facts.rules(seed)
    rng = random.Random(f"text {language} {seed}")
    documents: dict[str, None] = {}
    while len(documents) < TEXTS:
        left, right = segments(rng, world, language, SECOND)
        documents[f"{speaker.write(left)[0]} {speaker.write(right)[0]}"] = None
    return list(documents)
