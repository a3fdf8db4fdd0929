"""The words of the miniature world: concepts, languages, and the form of every concept in every language.

A *concept* is what a word means (an index into `CONCEPTS`); a *form* is how a language writes it. English
forms are English words. The other languages draw pronounceable stems that no two languages share, except for
cognates (the form is the English word), shared names, digits and punctuation. Graded typology
(`LANGUAGES_BY_CODE`) and graded sharing make l1 the nearest and l7 the farthest language. l8 stands apart: English
words, every clause backwards, and no share of the text that the encoder was pretrained on.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

TOPICS = 8  # every class of nouns and adjectives has one word per topic: the co-occurrence signature

CLASSES: dict[str, tuple[str, ...]] = {
    # sea, farm, forest, city, mountain, desert, garden, school
    "place": ("harbour", "farm", "forest", "city", "mountain", "desert", "garden", "school"),
    "animal": ("whale", "cow", "bear", "pigeon", "goat", "camel", "rabbit", "mouse"),
    "food": ("fish", "milk", "berry", "bread", "cheese", "date", "carrot", "apple"),
    "tool": ("net", "plough", "axe", "key", "rope", "tent", "spade", "pen"),
    "profession": ("sailor", "farmer", "hunter", "driver", "climber", "trader", "gardener", "teacher"),
    "mood": ("calm", "proud", "brave", "angry", "lonely", "tired", "happy", "sad"),
}
HYPERNYMS = {"place": "area", "animal": "creature", "food": "meal", "tool": "thing"}
COLOURS = ("red", "blue", "green", "white", "black", "yellow")
DIGITS = ("2", "3", "4", "5", "6", "7", "8", "9")
NAMES = (
    "adam", "bella", "carl", "dora", "emil", "flora", "greg", "hanna",
    "ivan", "julia", "karim", "lena", "marco", "nina", "oscar", "paula",
    "quinn", "rosa", "simon", "tara", "umar", "vera", "walter", "yara",
    "wanda", "anton", "bianca", "cyril", "diana", "edgar", "frida", "hugo",
)  # fmt: skip
FUNCTION = ("the", "never", "in", "what", "where", "who", "so", "because", "yes", "maybe", "no")
# COPA asks "What was the cause?" in English for every language, as XCOPA runs do.
ENGLISH_ONLY = ("what", "was", "the", "cause", "effect")
SUFFIXES = ("accusative", "locative")
SUFFIX_INITIAL = "z"  # no form contains it, so greedy WordPiece always splits stem and suffix


@dataclass(frozen=True)
class Relation:
    """What a clause says of a person: `verb` (and perhaps a synonym) and the class of its object."""

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


@dataclass(frozen=True)
class Language:
    """Typology and kinship of one language (shares are of English forms; weight is its share of text)."""

    code: str
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
    language.code: language
    for language in (
        Language("en", "SVO", 1.0, 1.0, True, True, False, "before", False, 1.5),
        Language("l1", "SVO", 0.5, 1.0, True, True, False, "before", False, 1.0),
        Language("l2", "SVO", 0.3, 1.0, True, True, True, "before", False, 1.0),
        Language("l3", "SVO", 0.1, 0.9, False, False, False, "none", True, 1.0),
        Language("l4", "SOV", 0.1, 0.8, False, True, False, "after", False, 1.0),
        Language("l5", "VSO", 0.0, 0.6, True, False, True, "before", False, 0.8),
        Language("l6", "SOV", 0.0, 0.5, False, True, False, "none", True, 0.7),
        Language("l7", "SOV", 0.0, 0.25, False, False, True, "after", True, 0.4),
        Language("l8", "backwards", 1.0, 1.0, True, True, False, "before", False, 0.0),
    )
}
LANGUAGES: tuple[str, ...] = tuple(code for code, language in LANGUAGES_BY_CODE.items() if language.weight)
"""Those that the encoder was pretrained on, each with a shipped language adapter."""
UNSEEN: tuple[str, ...] = tuple(code for code in LANGUAGES_BY_CODE if code not in LANGUAGES)
"""Those that the encoder has never seen, for which no language adapter ships."""


KINDS: dict[str, Iterable[str]] = {
    **CLASSES,
    "hypernym": HYPERNYMS.values(),
    "colour": COLOURS,
    "verb": [verb for relation in RELATIONS for verb in (relation.verb, relation.synonym) if verb],
    "function": FUNCTION,
    "name": NAMES,
    "digit": DIGITS,
    "punctuation": (".", "?"),
    "english": ENGLISH_ONLY,
    "suffix": SUFFIXES,
}
CONCEPTS = [(kind, word) for kind, words in KINDS.items() for word in dict.fromkeys(words)]
"""Kind and English word of every concept, in the order of their numbers."""
CONCEPT = {concept: number for number, concept in enumerate(CONCEPTS)}
NAME, COLOUR, DIGIT = CONCEPT["name", NAMES[0]], CONCEPT["colour", COLOURS[0]], CONCEPT["digit", DIGITS[0]]
SUFFIX = {word: CONCEPT["suffix", word] for word in SUFFIXES}


def _stem(rng: random.Random) -> str:
    """A pronounceable stem of two or three syllables."""
    syllables = 2 + int(rng.random() * 2)
    return "".join(
        "bdfghjklmnprstvw"[int(rng.random() * 16)] + "aeiou"[int(rng.random() * 5)] for _ in range(syllables)
    )


def forms(seed: int) -> dict[str, tuple[str, ...]]:
    """The form of every concept in every language, by number; suffixes read "##…", absent ones are empty."""
    rng = random.Random(f"lexicon {seed}")
    taken = {word for _, word in CONCEPTS}
    suffixes = iter([SUFFIX_INITIAL + vowel for vowel in "aeiou"] + [SUFFIX_INITIAL + "y"])
    lexicon = {}
    for language in LANGUAGES_BY_CODE.values():
        words = []
        for kind, english in CONCEPTS:
            stem = _stem(rng)
            while stem in taken:
                stem = _stem(rng)
            draw = rng.random()
            share = language.shared_names if kind == "name" else language.cognates
            if kind == "suffix":
                words.append("##" + next(suffixes) if language.case else "")
            elif kind in ("digit", "punctuation", "english") or draw < share:
                words.append(english)
            else:
                words.append(stem)
                taken.add(stem)
        lexicon[language.code] = tuple(words)
    return lexicon
