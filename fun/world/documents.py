"""Documents for masked language modelling: what the encoder and the language adapters read.

A document is two segments of concepts in one language's grammar. It is kept as numbers so that code-switching
and masking are array operations, drawn anew whenever a document is read.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fun.world.facts import (
    CAUSES,
    FACTUAL,
    Context,
    Rules,
    asked_again,
    below,
    causal,
    claim_about,
    context,
    fact,
    other,
    people,
    pick,
    premise,
    restated,
    rules,
)
from fun.world.grammar import ASK, OTHER, STOP, SUBJECT, VALUE, Clause, Word, claim, question, statement
from fun.world.lexicon import CONCEPT, LANGUAGES, LANGUAGES_BY_CODE, NAMES, TOPICS
from fun.world.splits import speaker

TEXTS = 12000
MAX_WORDS = 69  # with [CLS] and two [SEP] a document has at most 72 tokens

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


@dataclass(frozen=True)
class Masking:
    """Shares masked, by stress: words; salient ones, which the rest of the document tells; verdicts; and the
    evidence for answers and verdicts, where every masked word may leave nothing to learn from."""

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
    cause, effect = causal(rng, world, CAUSES, below(rng, len(NAMES)), below(rng, TOPICS))
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
    given = context(rng, length)
    answered = _answered(given, code)
    for _ in range(_several(rng, mixture.questions) - 1):
        answered = [*answered, *_answered(asked_again(rng, given), code)]
    text = _stressed([word for clause in given.clauses for word in statement(clause, code)], EVIDENCE)
    return (answered, text) if rng.random() < 0.5 else (text, answered)


def _answered(given: Context, code: str) -> list[Stressed]:
    role = SUBJECT if given.who else VALUE
    answer = [(concept, SALIENT) for concept, r in statement(given.answering, code) if r == role]
    return [*_stressed(question(given.asked, code, given.who), EVIDENCE), *answer, (STOP, EVIDENCE)]


def _verify(rng: random.Random, code: str, mixture: Mixture) -> Segments:
    """Facts, and claims with a verdict: yes, maybe or no."""
    given = premise(rng, mixture.matched, mixture.single)
    text = _stressed([word for clause in given.clauses for word in statement(clause, code)], EVIDENCE)
    judged: list[Stressed] = []
    for _ in range(_several(rng, mixture.claims)):
        label = below(rng, len(VERDICTS))
        about = claim_about(rng, given, label, mixture.matched, mixture.negated)
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
    facts: list[Clause] = []
    for relation in dict.fromkeys(pick(rng, FACTUAL) for _ in range(1 + below(rng, 3))):
        facts.append(fact(rng, person, relation, _topical(rng, TOPICS, topic)))
        if rng.random() < 0.5:
            person = next(p for p in people(rng, 2) if p != person)
    again = pick(rng, facts)
    if rng.random() < negated:
        again = again._replace(value=other(rng, TOPICS, again.value))
        repeated = restated(rng, again, hypernym=False)._replace(negated=True)
    else:
        repeated = restated(rng, again, hypernym=True)
    text = [word for clause in facts for word in statement(clause, code)]
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
    say, world = speaker(seed, language), rules(seed)
    rng = random.Random(f"text {language} {seed}")
    documents: dict[str, None] = {}
    while len(documents) < TEXTS:
        documents[" ".join(say.write(segment)[0] for segment in segments(rng, world, language, SECOND))] = None
    return list(documents)


@dataclass(frozen=True)
class Documents:
    """n documents as arrays: `concepts` and `stresses` [n, MAX_WORDS] (concept -1 is padding), `language`,
    words of the first segment `first` and words in all `length` [n]."""

    concepts: NDArray[np.int16]
    stresses: NDArray[np.int8]
    language: NDArray[np.int8]
    first: NDArray[np.int16]
    length: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.length)


def collect(rng: random.Random, world: Rules, mixture: Mixture, n: int, only: str | None = None) -> Documents:
    """n random documents, in languages by weight or in one language."""
    weights = [LANGUAGES_BY_CODE[code].weight for code in LANGUAGES]
    codes = [only] * n if only else rng.choices(LANGUAGES, weights, k=n)
    concepts = np.full((n, MAX_WORDS), -1, np.int16)
    stresses = np.zeros((n, MAX_WORDS), np.int8)
    first, length = np.zeros(n, np.int16), np.zeros(n, np.int16)
    for row, code in enumerate(codes):
        left, right = segments(rng, world, code, mixture)
        left = left[: MAX_WORDS - len(right)] if len(right) < len(left) else left
        words = (left + right)[:MAX_WORDS]
        concepts[row, : len(words)] = [concept for concept, _ in words]
        stresses[row, : len(words)] = [stress for _, stress in words]
        first[row], length[row] = len(left), len(words)
    language = np.array([LANGUAGES.index(code) for code in codes], np.int8)
    return Documents(concepts, stresses, language, first, length)


@dataclass(frozen=True)
class MaskedBatch:
    """Token ids [B, T], their segments and attention mask, and the masked positions (flat) with their ids."""

    input_ids: NDArray[np.int64]
    token_type_ids: NDArray[np.int64]
    attention_mask: NDArray[np.int64]
    positions: NDArray[np.int64]
    targets: NDArray[np.int64]


@dataclass(frozen=True)
class Reader:
    """Reads documents: spells concepts as token ids, switches code, masks words and forms batches.

    `table` [languages, concepts] holds token ids; `cls`, `sep`, `pad` and `mask` are the special ids.
    """

    table: NDArray[np.int64]
    cls: int
    sep: int
    pad: int
    mask: int
    switched_documents: float = 0.4
    switched_words: float = 0.4

    def batches(
        self, documents: Documents, size: int, masking: Masking, rng: np.random.Generator
    ) -> Iterator[MaskedBatch]:
        """Every document once, in batches of like length and random order; the rest is left out."""
        noise = rng.permutation(len(documents))
        order = noise[np.argsort(documents.length[noise], kind="stable")]
        starts = rng.permutation(len(documents) // size) * size
        for start in starts:
            yield self._batch(documents, order[start : start + size], masking, rng)

    def _spelled(self, documents: Documents, rows: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        """Token ids of the words [B, words], some in the words of another language."""
        concepts = documents.concepts[rows, : documents.length[rows].max()]
        own = np.broadcast_to(documents.language[rows][:, None], concepts.shape).astype(np.int64)
        foreign = np.where(own == 0, rng.integers(1, len(self.table), concepts.shape), 0)
        switched = (rng.random(len(rows)) < self.switched_documents)[:, None]
        switched = switched & (rng.random(concepts.shape) < self.switched_words)
        ids = self.table[np.where(switched, foreign, own), concepts]
        # a case suffix has no counterpart in most languages: it stays
        return np.where(ids < 0, self.table[own, concepts], ids)

    def _batch(
        self, documents: Documents, rows: NDArray[np.int64], masking: Masking, rng: np.random.Generator
    ) -> MaskedBatch:
        words = self._spelled(documents, rows, rng)
        first, length = documents.first[rows][:, None], documents.length[rows][:, None]
        place = np.arange(words.shape[1])[None, :]
        chance = np.array([masking.words, masking.salient, masking.verdicts, masking.evidence])
        stresses = documents.stresses[rows, : words.shape[1]]
        hidden = (rng.random(words.shape) < chance[stresses]) & (place < length)

        column = np.broadcast_to(1 + place + (place >= first), words.shape)
        inside = place < length
        row = np.broadcast_to(np.arange(len(rows))[:, None], words.shape)
        ids = np.full((len(rows), words.shape[1] + 3), self.pad)
        ids[:, 0] = self.cls
        ids[row[inside], column[inside]] = words[inside]
        ids[np.arange(len(rows)), 1 + first[:, 0]] = self.sep
        ids[np.arange(len(rows)), 2 + length[:, 0]] = self.sep
        flat = (row * ids.shape[1] + column)[hidden]
        targets = words[hidden]
        fate = rng.random(len(flat))
        random_ids = rng.choice(self.table[self.table >= 0], len(flat))
        shown = np.where(fate < 0.8, self.mask, np.where(fate < 0.9, random_ids, targets))
        ids.reshape(-1)[flat] = shown
        columns = np.arange(ids.shape[1])[None, :]
        return MaskedBatch(
            ids,
            ((columns > 1 + first) & (columns <= 2 + length)).astype(np.int64),
            (columns <= 2 + length).astype(np.int64),
            flat,
            targets,
        )
