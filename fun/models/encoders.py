"""Encoders, loaded through transformers and adapters: the miniature world's, and those of the hub."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from adapters import AutoAdapterModel
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils import logging

from fun import world
from fun.errors import ConfigError, HubError, RunError
from fun.machine.hub import Repository, Snapshot, first_line, snapshot, unreadable
from fun.models.files import CONFIG, TOKENIZER, UNREADABLE, WEIGHTS

MODEL_TYPES = ("bert", "xlm-roberta", "deberta-v2")
"""The architectures whose parameter names `fun.models.blocks` knows."""

MLM_BIAS = {r"^(cls\.predictions|lm_head)\.bias$": "heads.default.3.bias"}
"""The bias of a published head for masked language modelling, which adapters 1.3 leaves out of its conversion."""

Loaded = TypeVar("Loaded")


class Encoder(NamedTuple):
    """An adapters-library model in fp32 and its fast tokenizer.

    `module` has no head but the one for masked language modelling that was published with it, named "default";
    `pooler`: whether a pooler was published (MLM alone trains none, and then it is random); `commits`: what was read
    from the hub, {repository: commit}.
    """

    module: Any
    tokenizer: PreTrainedTokenizerBase
    pooler: bool
    commits: dict[str, str]


def load_encoder(source: str, revision: str | None = None, dropout: float | None = None) -> Encoder:
    """The encoder world (the miniature world's), hub:<namespace>/<name>, or folder:<path> (as save_pretrained writes).

    `dropout` replaces the encoder's own, of hidden states and attention, and that of heads added to it. Raises
    ConfigError for a source or an architecture that cannot be used, HubError for a download that failed, RunError
    where the file lacks weights of the encoder.
    """
    encoder, commits = _read(source, revision, download, lambda folder: _load(folder, source, dropout))
    if source == "world":
        encoder.module.load_head(str(world.folder("mlm_head")), load_as="default", use_safetensors=True)
    return encoder._replace(commits=commits)


def load_tokenizer(source: str, revision: str | None = None) -> PreTrainedTokenizerBase:
    """The fast tokenizer of an encoder, whose weights are not downloaded. Raises as `load_encoder` does."""
    return _read(source, revision, lambda place: snapshot(place, (CONFIG, *TOKENIZER)), _load_tokenizer)[0]


def _read(
    source: str, revision: str | None, download: Callable[[Repository], Snapshot], load: Callable[[Path], Loaded]
) -> tuple[Loaded, dict[str, str]]:
    """What `load` reads from the folder that `source` names, and {repository: commit} of what was downloaded."""
    if source == "world":
        return load(world.folder("encoder")), {}
    kind, _, place = source.partition(":")
    if kind == "folder":
        try:
            return load(Path(place)), {}
        except UNREADABLE as error:
            raise ConfigError(
                f"model.source={source} cannot be read ({first_line(error)}); give a folder that save_pretrained "
                "wrote, with its tokenizer"
            ) from error
    if kind != "hub":
        raise ConfigError(f"model.source is {source!r}; expected world, hub:<namespace>/<name> or folder:<path>")
    repository = Repository(place, revision)
    downloaded = download(repository)
    try:
        return load(downloaded.folder), {place: downloaded.commit}
    except UNREADABLE as error:
        raise unreadable(repository, downloaded, error) from error


def check_encoder(config: Any, *, name: str, layers: int, positions: int) -> None:
    """Raise ConfigError unless an encoder's configuration has the layers and positions that conf/model says."""
    actual = {"layers": config.num_hidden_layers, "positions": readable_positions(config)}
    expected = {"layers": layers, "positions": positions}
    if wrong := [key for key in expected if actual[key] != expected[key]]:
        told = ", ".join(f"{key}={actual[key]}, expected {expected[key]}" for key in wrong)
        typed = " ".join(f"model.{key}={actual[key]}" for key in wrong)
        raise ConfigError(f"model={name}: its encoder has {told}: type {typed}, or another model.source")


def check_tokenizer(source: str, module: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise ConfigError unless the encoder has an embedding for all that the tokenizer makes."""
    rows = module.get_input_embeddings().num_embeddings
    tokens = max(tokenizer.get_vocab().values()) + 1
    types = getattr(module.base_model.embeddings, "token_type_embeddings", None)
    special = ("pad", "cls", "sep")
    problems = [f"has no {name} token" for name in special if getattr(tokenizer, f"{name}_token_id") is None]
    if tokens > rows:
        problems.append(f"has {tokens} tokens, and its encoder {rows} rows of embeddings")
    # XLM-R counts positions from it; a BERT masks it and reads no more, and some (e5-small) are published with another.
    if module.config.model_type == "xlm-roberta" and tokenizer.pad_token_id != module.config.pad_token_id:
        problems.append(f"pads with {tokenizer.pad_token_id}, and its encoder with {module.config.pad_token_id}")
    if "token_type_ids" in tokenizer.model_input_names and types is not None and types.num_embeddings < 2:
        problems.append(f"numbers two segments, and its encoder {types.num_embeddings}")
    if problems:
        raise ConfigError(
            f"{source}: its tokenizer {problems[0]}: give the tokenizer that the encoder was trained with"
        )


def readable_positions(config: Any) -> int:
    """How many tokens an encoder reads."""
    total = int(config.max_position_embeddings)
    # RoBERTa counts positions from the padding id + 1: the first two of its 514 embeddings are never used.
    return total - config.pad_token_id - 1 if config.model_type == "xlm-roberta" else total


def download(repository: Repository) -> Snapshot:
    """Configuration, tokenizer and one file of weights."""
    downloaded = snapshot(repository, (CONFIG, *TOKENIZER, WEIGHTS[0]))
    folder = downloaded.folder
    if not (folder / WEIGHTS[0]).exists():
        folder = snapshot(Repository(repository.name, downloaded.commit), (CONFIG, *TOKENIZER, *WEIGHTS[1:])).folder
    if not (folder / CONFIG).exists():
        raise HubError(f"{repository} has no {CONFIG} (in the cache: {folder}): expected a transformers model")
    if not any((folder / name).exists() for name in WEIGHTS):
        raise HubError(
            f"{repository} has neither {' nor '.join(WEIGHTS)} (in the cache: {folder}): if its download was "
            "interrupted, type the same command with a network"
        )
    return downloaded


def _load(folder: Path, source: str, dropout: float | None) -> Encoder:
    check_type(json.loads((folder / CONFIG).read_text(encoding="utf-8")), source)
    config = AutoConfig.from_pretrained(str(folder))
    if dropout is not None:
        names = ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout")  # the last is for heads
        config.update(dict.fromkeys(names, dropout))
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # what was there and what was missing is looked at here
    try:
        module, info = AutoAdapterModel.from_pretrained(
            str(folder), config=config, dtype=torch.float32, output_loading_info=True, key_mapping=MLM_BIAS
        )
        tokenizer = _load_tokenizer(folder)
    finally:
        logging.set_verbosity(verbosity)
    check_tokenizer(source, module, tokenizer)
    # Every saved adapter names its encoder: by what it is, not by where it lies on this machine.
    module.config.name_or_path = f"folder:{folder.name}" if source.startswith("folder:") else source
    prefix = f"{module.base_model_prefix}."
    missing = {name for name in info["missing_keys"] if name.startswith(prefix)}
    pooler = {name for name in missing if name.startswith(f"{prefix}pooler.")}
    if lacking := sorted(missing - pooler):
        raise RunError(
            f"{source}: its file lacks {len(lacking)} weights of the encoder ({', '.join(lacking[:2])}, …), which "
            "would stay random: give a complete model.source or model.revision"
        )
    return Encoder(module, tokenizer, pooler=hasattr(module.base_model, "pooler") and not pooler, commits={})


def check_type(described: Mapping[str, Any], source: str) -> None:
    """Raise ConfigError unless a model's description is of an architecture that the rest can work with."""
    if (found := described.get("model_type")) not in MODEL_TYPES:
        raise ConfigError(f"{source} is a model of type {found}; expected one of {', '.join(MODEL_TYPES)}")


def _load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        return AutoTokenizer.from_pretrained(str(folder))
    except ImportError:
        raise
    except Exception as error:  # tokenizers has no exception of its own for a file that it cannot read
        raise ValueError(f"its tokenizer: {error}") from error
