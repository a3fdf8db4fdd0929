"""Documents for masked language modelling: what the encoder and the language adapters read.

A document is two segments of concepts in one language's grammar.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fun.world import facts
from fun.world.draws import below, other, pick
from fun.world.facts import Context, Rules
from fun.world.grammar import ASK, OTHER, STOP, SUBJECT, VALUE, Clause, Word, claim, question, statement
from fun.world.lexicon import CONCEPT, NAMES, RELATIONS, TOPICS
from fun.world.splits import speaker

TEXTS = 12000

SO, BECAUSE = CONCEPT["function", "so"], CONCEPT["function", "because"]
VERDICTS = tuple(CONCEPT["function", word] for word in ("yes", "maybe", "no"))
_WHAT, _WAS, _THE = (CONCEPT["english", word] for word in ("what", "was", "the"))
ASKED = {
    kind: tuple((word, OTHER) for word in (_WHAT, _WAS, _THE, CONCEPT["english", kind], ASK))
    for kind in ("cause", "effect")
}

# stress: what a word is to the document, and so how often it is masked
WORD, SALIENT, VERDICT, EVIDENCE = range(4)
Stressed = tuple[int, int]  # concept, stress
Segments = tuple[list[Stressed], list[Stressed]]


class Masking(NamedTuple):
    """Shares masked, in the order of the stresses: words; salient ones, which the rest of the document tells;
    verdicts; and the evidence for answers and verdicts, where every masked word may leave nothing to learn from."""

    words: float
    salient: float
    verdicts: float
    evidence: float


@dataclass(frozen=True)
class Mixture:
    """Shares of the kinds of document (the rest is told facts); most questions and most claims of one
    document; fewest facts to ask about; shares of claims on a single fact, of negated claims and of matched
    words (see `fun.world.facts`); the masking."""

    causal: float
    question: float
    verify: float
    questions: int
    claims: int
    fewest: int
    single: float
    negated: float
    matched: float
    masking: Masking


FIRST = Mixture(
    causal=0.20,
    question=0.25,
    verify=0.25,
    questions=1,
    claims=2,
    fewest=4,
    single=0.0,
    negated=0.25,
    matched=0.3,
    masking=Masking(words=0.2, salient=0.5, verdicts=0.5, evidence=0.2),
)
SECOND = Mixture(
    causal=0.15,
    question=0.28,
    verify=0.37,
    questions=2,
    claims=3,
    fewest=2,
    single=0.3,
    negated=0.10,
    matched=0.4,
    masking=Masking(words=0.2, salient=0.85, verdicts=0.9, evidence=0.04),
)


def _stressed(words: Sequence[Word], stress: int) -> list[Stressed]:
    return [(concept, stress) for concept, _ in words]


def _salient(words: Sequence[Word], role: int) -> list[Stressed]:
    return [(concept, SALIENT if role_ == role else WORD) for concept, role_ in words]


def _several(rng: random.Random, most: int) -> int:
    """From one to `most`."""
    return 1 + below(rng, most) if most > 1 else 1


def _causal(rng: random.Random, world: Rules, code: str) -> Segments:
    """Cause and effect, joined by so, because, or COPA's question."""
    cause, effect = facts.causal(rng, world, below(rng, len(NAMES)), below(rng, TOPICS))
    forward = rng.random() < 0.5
    first, second = (cause, effect) if forward else (effect, cause)
    left, right = statement(first, code), statement(second, code)
    if rng.random() < 0.5:
        left = [*left, *ASKED["effect" if forward else "cause"]]
    else:
        right = [(SO if forward else BECAUSE, OTHER), *right]
    return _salient(left, VALUE if rng.random() < 0.3 else -1), _salient(right, VALUE)


def _question(rng: random.Random, code: str, mixture: Mixture) -> Segments:
    """A context and questions with their answers, in either order."""
    draw = rng.random()
    length = mixture.fewest + below(rng, 6 - mixture.fewest) if draw < 0.9 else 8 + below(rng, 3)
    given = facts.context(rng, length)
    answered = _answered(given, code)
    for _ in range(_several(rng, mixture.questions) - 1):
        answered = [*answered, *_answered(facts.asked_again(rng, given), code)]
    text = _stressed([word for clause in given.clauses for word in statement(clause, code)], EVIDENCE)
    return (answered, text) if rng.random() < 0.5 else (text, answered)


def _answered(given: Context, code: str) -> list[Stressed]:
    role = SUBJECT if given.who else VALUE
    answer = [(concept, SALIENT) for concept, r in statement(given.answering, code) if r == role]
    return [*_stressed(question(given.asked, code, given.who), EVIDENCE), *answer, (STOP, EVIDENCE)]


def _verify(rng: random.Random, code: str, mixture: Mixture) -> Segments:
    """Facts, and claims with a verdict: yes, maybe or no."""
    given = facts.premise(rng, mixture.matched, mixture.single)
    text = _stressed([word for clause in given.clauses for word in statement(clause, code)], EVIDENCE)
    judged: list[Stressed] = []
    for _ in range(_several(rng, mixture.claims)):
        label = below(rng, len(VERDICTS))
        about = facts.claim_about(rng, given, label, mixture.matched, mixture.negated)
        judged += [*_stressed(claim(about, code), EVIDENCE), (VERDICTS[label], VERDICT), (STOP, EVIDENCE)]
    return text, judged


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
    if rng.random() < negated:
        again = again._replace(value=other(rng, TOPICS, again.value))
        repeated = facts.restated(rng, again, hypernym=False)._replace(negated=True)
    else:
        repeated = facts.restated(rng, again, hypernym=True)
    text = [word for clause in told for word in statement(clause, code)]
    role = VALUE if rng.random() < 0.7 else SUBJECT
    return _stressed(text, WORD), _salient(statement(repeated, code), role)


def segments(rng: random.Random, world: Rules, code: str, mixture: Mixture) -> Segments:
    """One random document of the mixture in a language's grammar."""
    draw = rng.random()
    if draw < mixture.causal:
        return _causal(rng, world, code)
    if draw < mixture.causal + mixture.question:
        return _question(rng, code, mixture)
    if draw < mixture.causal + mixture.question + mixture.verify:
        return _verify(rng, code, mixture)
    return _told(rng, code, mixture.negated)


def texts(language: str, seed: int) -> list[str]:
    """`TEXTS` different documents of the encoder's last mixture in one language, to train a language adapter on.

    As in any corpus a document is a string: unlike in the encoder's own reading there is no code-switching, no
    segment boundary and no chosen masking. In another language they are other documents, not translations.
    """
    say, world = speaker(seed, language), facts.rules(seed)
    rng = random.Random(f"text {language} {seed}")
    documents: dict[str, None] = {}
    while len(documents) < TEXTS:
        documents[" ".join(say.write(segment)[0] for segment in segments(rng, world, language, SECOND))] = None
    return list(documents)
