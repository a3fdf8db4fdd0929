"""A miniature multilingual world: eight languages, nine tasks, a pretrained encoder and language adapters.

Everything is made from one seed. Task data are generated when asked for and compared with the manifest, which has a
hash for everything, so that a run can name what it read; the encoder and the adapters are shipped in `assets/`.
`python -m fun.world build` makes it all again.
"""

import hashlib
import json
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

from fun.errors import ConfigError
from fun.world.documents import texts
from fun.world.lexicon import LANGUAGES, LANGUAGES_BY_CODE, UNSEEN
from fun.world.splits import DATASETS, SPLITS, TASKS, Row, generate

ASSETS = Path(__file__).parent / "assets"
MANIFEST = "manifest.json"


def load_split(task: str, language: str, split: str) -> list[Row]:
    """The rows of a split, in the publishers' columns as conf/datasets has them, and each with an id.

    Rows are parallel across languages and share ids. Raises ConfigError for an unknown name or where the generated
    data are not those of the manifest.
    """
    return _generated(f"splits/{task}/{language}/{split}", partial(generate, task, language, split))


def load_text(language: str) -> list[str]:
    """Documents in one language, to train a language adapter on. Raises ConfigError as `load_split` does."""
    return _generated(f"text/{language}", partial(texts, language))


def folder(name: str) -> Path:
    """The folder of what ships, for transformers and adapters: encoder, mlm_head or adapters/<language>.

    The encoder comes with its tokenizer; the head that it was pretrained with is a folder of its own. Raises
    ConfigError for an unknown name and where a file is not that of the manifest.
    """
    expected, actual = _hashes(name), folder_hashes(ASSETS / name)
    if changed := sorted(file for file in expected if actual.get(file) != expected[file]):
        raise ConfigError(
            f"{ASSETS / name / changed[0]} is not what the manifest says: install the package again, or type "
            "python -m fun.world build"
        )
    return ASSETS / name


def key(name: str) -> str:
    """The content key of what ships, by its folder's name, of splits/<task>/<language>/<split> or of text/<language>.

    Nothing is generated. Raises ConfigError for an unknown name.
    """
    hashes = _hashes(name)
    content = hashes if isinstance(hashes, str) else digest(hashes)
    return f"world@sha256:{content[:16]}"


def digest(value: Any) -> str:
    """SHA-256, in hexadecimal, of the value as JSON with sorted keys and no spaces."""
    content = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def folder_hashes(folder: Path) -> dict[str, str]:
    """File name -> SHA-256 of every file in the folder."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@cache
def manifest() -> dict[str, Any]:
    """The shipped manifest: `seed`, `splits` (task/language/split -> hash), `text` (language -> hash),
    `encoder`, `mlm_head` and `adapters` (file -> hash)."""
    content: dict[str, Any] = json.loads((ASSETS / MANIFEST).read_text())
    return content


def _generated(name: str, generate: Callable[[int], list[Any]]) -> list[Any]:
    """What is generated from the seed, if it is what the content keys of finished runs name."""
    expected, generated = _hashes(name), generate(manifest()["seed"])
    if (actual := digest(generated)) != expected:
        raise ConfigError(
            f"the miniature world's {name} is not what its manifest says (generated {actual[:16]}, expected "
            f"{expected[:16]}): the generator was changed; undo that, or run `python -m fun.world build`"
        )
    return generated


def _hashes(name: str) -> Any:
    """The manifest's hash of what is generated, or of every file of what ships."""
    group, _, member = name.partition("/")
    hashes = manifest()[group]
    if not member:
        return hashes
    if member in hashes:
        return hashes[member]
    if group == "adapters" and member in UNSEEN:
        raise ConfigError(
            f"no language adapter of {member} ships with the miniature world, whose encoder has never seen it: train "
            f"one with python -m fun.run task=mlm lang={member}, and type language_adapters.{member}=train"
        )
    raise ConfigError(
        f"the miniature world has no {name}: its tasks are {', '.join(TASKS)}, its languages "
        f"{', '.join(LANGUAGES_BY_CODE)}, and its splits {', '.join(SPLITS)}, but other languages than en test alone"
    )
