"""The words of the miniature world: concepts, languages, and the form of every concept in every language.

A *concept* is what a word means (an index into `CONCEPTS`); a *form* is how a language writes it. English
forms are English words. The other languages draw pronounceable stems that no two languages share, except for
cognates (the form is the English word), shared names, digits and punctuation. Graded typology
(`LANGUAGES_BY_CODE`) and graded sharing make l1 the nearest and l7 the farthest language. l8 stands apart: English
words, every clause backwards, and no share of the text that the encoder was pretrained on.
"""

import random
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from fun.world.draws import below, pick

TOPICS = 8  # each has one word in every class of nouns and adjectives: the co-occurrence signature
HYPERNYMS = {"place": "area", "animal": "creature", "food": "meal", "tool": "thing"}
COLOURS = ("red", "blue", "green", "white", "black", "yellow")
NAMES = (
    "adam", "bella", "carl", "dora", "emil", "flora", "greg", "hanna",
    "ivan", "julia", "karim", "lena", "marco", "nina", "oscar", "paula",
    "quinn", "rosa", "simon", "tara", "umar", "vera", "walter", "yara",
    "wanda", "anton", "bianca", "cyril", "diana", "edgar", "frida", "hugo",
)  # fmt: skip


class Relation(NamedTuple):
    """What a clause says of a person: `verb` (and perhaps a synonym) and the kind of its object."""

    name: str
    verb: str
    synonym: str | None
    object: str
    copula: bool = False
    locative: bool = False
    counted: bool = False


RELATIONS = (
    Relation("own", "owns", "keeps", "animal"),
    Relation("eat", "eats", "tastes", "food"),
    Relation("fear", "fears", "dreads", "animal"),
    Relation("carry", "carries", "holds", "tool"),
    Relation("like", "likes", "loves", "food"),
    Relation("visit", "visits", None, "place"),
    Relation("see", "sees", "spots", "animal"),
    Relation("buy", "buys", None, "tool", counted=True),
    Relation("live", "lives", None, "place", locative=True),
    Relation("work", "is", None, "profession", copula=True),
    Relation("feel", "is", None, "mood", copula=True),
)
RELATION = {relation.name: relation for relation in RELATIONS}


class Language(NamedTuple):
    """Typology and kinship of one language (shares are of English forms; weight is its share of text)."""

    order: str
    cognates: float
    shared_names: float
    articles: bool
    copula: bool
    adjective_after: bool
    adposition: str  # "before" or "after" the noun phrase, or "none": a case suffix alone
    case: bool
    weight: float


LANGUAGES_BY_CODE = {
    "en": Language("SVO", 1.0, 1.0, True, True, False, "before", False, 1.5),
    "l1": Language("SVO", 0.5, 1.0, True, True, False, "before", False, 1.0),
    "l2": Language("SVO", 0.3, 1.0, True, True, True, "before", False, 1.0),
    "l3": Language("SVO", 0.1, 0.9, False, False, False, "none", True, 1.0),
    "l4": Language("SOV", 0.1, 0.8, False, True, False, "after", False, 1.0),
    "l5": Language("VSO", 0.0, 0.6, True, False, True, "before", False, 0.8),
    "l6": Language("SOV", 0.0, 0.5, False, True, False, "none", True, 0.7),
    "l7": Language("SOV", 0.0, 0.25, False, False, True, "after", True, 0.4),
    "l8": Language("backwards", 1.0, 1.0, True, True, False, "before", False, 0.0),
}
LANGUAGES: tuple[str, ...] = tuple(code for code, language in LANGUAGES_BY_CODE.items() if language.weight)
"""Those that the encoder was pretrained on, each with a shipped language adapter."""
UNSEEN: tuple[str, ...] = tuple(code for code in LANGUAGES_BY_CODE if code not in LANGUAGES)
"""Those that the encoder has never seen, for which no language adapter ships."""

KINDS: dict[str, Iterable[str]] = {
    # topics: sea, farm, forest, city, mountain, desert, garden, school
    "place": ("harbour", "farm", "forest", "city", "mountain", "desert", "garden", "school"),
    "animal": ("whale", "cow", "bear", "pigeon", "goat", "camel", "rabbit", "mouse"),
    "food": ("fish", "milk", "berry", "bread", "cheese", "date", "carrot", "apple"),
    "tool": ("net", "plough", "axe", "key", "rope", "tent", "spade", "pen"),
    "profession": ("sailor", "farmer", "hunter", "driver", "climber", "trader", "gardener", "teacher"),
    "mood": ("calm", "proud", "brave", "angry", "lonely", "tired", "happy", "sad"),
    "hypernym": HYPERNYMS.values(),
    "colour": COLOURS,
    "verb": [verb for relation in RELATIONS for verb in (relation.verb, relation.synonym) if verb],
    "function": ("the", "never", "in", "what", "where", "who", "so", "because", "yes", "maybe", "no"),
    "name": NAMES,
    "digit": "23456789",
    "punctuation": (".", "?"),
    # COPA asks "What was the cause?" in English for every language, as XCOPA runs do.
    "english": ("what", "was", "the", "cause", "effect"),
    "suffix": ("accusative", "locative"),
}
CONCEPTS = [(kind, word) for kind, words in KINDS.items() for word in dict.fromkeys(words)]
"""Kind and English word of every concept, in the order of their numbers."""
CONCEPT = {concept: number for number, concept in enumerate(CONCEPTS)}
START = {kind: CONCEPT[kind, next(iter(words))] for kind, words in KINDS.items()}
"""The number of a kind's first concept; the others of the kind follow."""


def _stem(rng: random.Random) -> str:
    """A pronounceable stem of two or three syllables."""
    return "".join(pick(rng, "bdfghjklmnprstvw") + pick(rng, "aeiou") for _ in range(2 + below(rng, 2)))


@cache
def forms(seed: int) -> dict[str, tuple[str, ...]]:
    """The form of every concept in every language, by number; suffixes read "##…", absent ones are empty."""
    rng = random.Random(f"lexicon {seed}")
    taken = {word for _, word in CONCEPTS}
    # no other form has a z, so greedy WordPiece always splits stem and suffix
    suffixes = (f"##z{vowel}" for vowel in "aeiouy")
    lexicon = {}
    for code, language in LANGUAGES_BY_CODE.items():
        words = []
        for kind, english in CONCEPTS:
            stem = _stem(rng)
            while stem in taken:
                stem = _stem(rng)
            share = language.shared_names if kind == "name" else language.cognates
            shared = rng.random() < share or kind in ("digit", "punctuation", "english")
            if kind == "suffix":
                words.append(next(suffixes) if language.case else "")
            elif shared:
                words.append(english)
            else:
                words.append(stem)
                taken.add(stem)
        lexicon[code] = tuple(words)
    return lexicon
