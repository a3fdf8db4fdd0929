"""A miniature multilingual world: eight languages, three tasks, a pretrained encoder and language adapters.

Everything is made from one seed. Task data are generated when asked for and compared with the manifest; the
encoder and the adapters are shipped in `assets/`. `python -m fun.world build` makes it all again.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from fun.errors import ConfigError
from fun.world.documents import texts
from fun.world.lexicon import LANGUAGES, UNSEEN
from fun.world.manifest import ASSETS, canonical, folder_hashes, key, manifest, sha256
from fun.world.splits import DATASETS, SPLITS, TASKS, Row, available, generate

T = TypeVar("T")


def _known(what: str, name: str, names: Iterable[str]) -> str:
    if name not in names:
        raise ConfigError(f"{what} {name!r} is not in the miniature world: choose one of {', '.join(names)}")
    return name


def _language(language: str) -> str:
    return _known("language", language, (*LANGUAGES, *UNSEEN))


def _adapter(language: str) -> str:
    """A language with an adapter."""
    if _language(language) in UNSEEN:
        raise ConfigError(
            f"no language adapter of {language} ships with the miniature world, whose encoder has never seen it: train "
            f"one with python -m fun.run task=mlm lang={language}, and type language_adapters.{language}=train"
        )
    return language


def _split_name(task: str, language: str, split: str) -> str:
    _known("task", task, TASKS)
    _known("split", split, SPLITS)
    if split not in available(task, _language(language)):
        raise ConfigError(f"{task} has no {split} data in {language}: choose language en or split test")
    return f"{task}/{language}/{split}"


def load_split(task: str, language: str, split: str) -> list[Row]:
    """The rows of a split, in the publishers' columns.

    squad: id, title, context, question, answers {text, answer_start}; mnli: id, premise, hypothesis, label
    (0 entailment, 1 neutral, 2 contradiction); copa: id, premise, choice1, choice2, question, label. Rows are
    parallel across languages and share ids. Raises ConfigError for an unknown name or where the generated
    data are not those of the manifest.
    """
    name = _split_name(task, language, split)
    return _as_expected(name, generate(task, language, split, manifest()["seed"]), manifest()["splits"][name])


def _as_expected(name: str, generated: list[T], expected: str) -> list[T]:
    """What was generated, if it is what the content keys of finished runs name."""
    if (found := sha256(canonical(generated))) != expected:
        raise ConfigError(
            f"the miniature world's {name} is not what its manifest says (generated {found[:16]}, expected "
            f"{expected[:16]}): the generator was changed; undo that, or run `python -m fun.world build`"
        )
    return generated


def data_key(task: str, language: str, split: str) -> str:
    """The content key of a split; nothing is generated."""
    return key(manifest()["splits"][_split_name(task, language, split)])


def load_text(language: str) -> list[str]:
    """Documents in one language, to train a language adapter on. Raises ConfigError as `load_split` does."""
    documents = texts(_language(language), manifest()["seed"])
    return _as_expected(f"text in {language}", documents, manifest()["text"][language])


def text_key(language: str) -> str:
    """The content key of `load_text`; nothing is generated."""
    return key(manifest()["text"][_language(language)])


def encoder_folder() -> Path:
    """The pretrained encoder with its tokenizer, as a transformers folder. Raises ConfigError if it was changed."""
    return _unchanged(ASSETS / "encoder", manifest()["encoder"])


def _unchanged(folder: Path, expected: dict[str, str]) -> Path:
    """The folder, if its files are those that the content keys of finished runs name."""
    found = folder_hashes(folder)
    if wrong := sorted(name for name in expected if found.get(name) != expected[name]):
        raise ConfigError(
            f"{folder / wrong[0]} is not what the manifest says: install the package again, or type "
            "python -m fun.world build"
        )
    return folder


def encoder_key() -> str:
    """The content key of the encoder and tokenizer."""
    return key(manifest()["encoder"])


def mlm_head_folder() -> Path:
    """The head that the encoder was pretrained with, as an adapters folder. Raises ConfigError if it was changed."""
    return _unchanged(ASSETS / "mlm_head", manifest()["mlm_head"])


def mlm_head_key() -> str:
    """The content key of the head."""
    return key(manifest()["mlm_head"])


def language_adapter_folder(language: str) -> Path:
    """A language's adapter, as an adapters folder (safetensors, no head). Raises ConfigError if it was changed."""
    return _unchanged(ASSETS / "adapters" / _adapter(language), manifest()["adapters"][language])


def language_adapter_key(language: str) -> str:
    """The content key of a language's adapter."""
    return key(manifest()["adapters"][_adapter(language)])
