"""Text in one language, to train a language adapter on: documents of the encoder's last mixture, written out.

Unlike in the encoder's own reading there is no code-switching, no segment boundary and no chosen masking: a
document is a string, as in any corpus.
"""

import random

from fun.world.documents import SECOND, segments
from fun.world.facts import rules
from fun.world.splits import speaker

DOCUMENTS = 12000


def generate(language: str, seed: int) -> list[str]:
    """`DOCUMENTS` different documents; in another language they are other ones, not translations."""
    say, world = speaker(seed, language), rules(seed)
    rng = random.Random(f"text {language} {seed}")
    documents: dict[str, None] = {}
    while len(documents) < DOCUMENTS:
        documents[" ".join(say.write(segment)[0] for segment in segments(rng, world, language, SECOND))] = None
    return list(documents)
