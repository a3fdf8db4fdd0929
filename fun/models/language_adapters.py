"""Language adapters (MAD-X): where each comes from, and loading it frozen under a task adapter.

An origin is one of

    world                                 shipped with the miniature world
    hub:<namespace>/<name>[@<revision>]   published, as AdapterHub does
    run:<run_id>                          trained by a task=mlm run of ours, if that run is done
    folder:<path>                         saved by `save_adapter`
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fun import world
from fun.errors import AdapterMissing, ConfigError, HubError, RunError
from fun.machine.hub import Repository, Snapshot, first_line, snapshot, unreadable
from fun.models.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from fun.results import NotDone, done_run

UNREADABLE = (OSError, RuntimeError, ValueError)
"""What the adapters library raises for files that are cut off, or that do not belong together."""

TRAINED = "adapter"
"""The folder of a task=mlm run that holds its language adapter."""


def load_language_adapter(module: Any, language: str, origin: str, results: Path) -> dict[str, str]:
    """Add the language adapter from `origin` to `module`, under the name `language`; not yet active.

    `results` is the results root that `run:` looks into. Returns {repository: commit} of what was downloaded, for a
    run's adapter what that run had downloaded, as {run:<run_id>/<repository>: commit}.

    Raises AdapterMissing where the run of a `run:` origin is not done; ConfigError for an origin that is none
    and for an adapter of another encoder; HubError for a download that did not succeed; RunError for a file
    that lacks weights.
    """
    kind, _, place = origin.partition(":")
    match kind:
        case "hub":
            return _load_published(module, language, Repository(*_split(place)))
        case "world":
            _load(module, language, world.folder(f"adapters/{language}"), origin)
        case "run":
            try:
                run = done_run(results, place, "mlm")
            except NotDone as missing:
                raise AdapterMissing(str(missing)) from missing
            _load(module, language, run.path / TRAINED, origin)
            read = run.record().environment.get("hub", {})
            return {f"{origin}/{repository}": commit for repository, commit in read.items()}
        case "folder":
            _load_saved(module, language, Path(place))
        case _:
            raise ConfigError(
                f"language_adapters.{language} is {origin!r}; expected world, hub:<namespace>/<name>, "
                "run:<run_id>, folder:<path> or train"
            )
    return {}


def _split(place: str) -> tuple[str, str | None]:
    name, _, revision = place.partition("@")
    return name, revision or None


def _load_saved(module: Any, language: str, folder: Path) -> None:
    problem = None
    if not (folder / ADAPTER_CONFIG).is_file() or not any((folder / name).is_file() for name in ADAPTER_WEIGHTS):
        problem = f"it has no {ADAPTER_CONFIG} with {' or '.join(ADAPTER_WEIGHTS)} beside it"
    else:
        try:
            _load(module, language, folder, f"folder:{folder}")
        except UNREADABLE as error:
            problem = first_line(error)
    if problem:
        raise ConfigError(
            f"language_adapters.{language}=folder:{folder} cannot be read ({problem}); give a folder that "
            "save_adapter wrote"
        )


def _load_published(module: Any, language: str, repository: Repository) -> dict[str, str]:
    found = download(repository)
    try:
        _load(module, language, found.folder, f"hub:{repository}")
    except UNREADABLE as error:
        raise unreadable(repository, found, error) from error
    return {repository.name: found.commit}


def download(repository: Repository) -> Snapshot:
    found = snapshot(repository, (ADAPTER_CONFIG, *ADAPTER_WEIGHTS))
    if not (found.folder / ADAPTER_CONFIG).exists() or not any(
        (found.folder / name).exists() for name in ADAPTER_WEIGHTS
    ):
        raise HubError(
            f"{repository} has no {ADAPTER_CONFIG} with {' or '.join(ADAPTER_WEIGHTS)} (in the cache: {found.folder}): "
            "if its download was interrupted, type the same command with a network"
        )
    return found


def _load(module: Any, language: str, folder: Path, origin: str) -> None:
    check_fits(json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")), module.config, origin)
    info: dict[str, list[str]] = {}
    module.load_adapter(str(folder), load_as=language, with_head=False, use_safetensors=True, loading_info=info)
    if missing := info["missing_keys"]:
        raise RunError(
            f"{origin}: its file lacks {len(missing)} weights of the language adapter ({missing[0]}, …), which would "
            f"stay random: give another language_adapters.{language}"
        )


def check_fits(described: Mapping[str, Any], encoder: Any, origin: str) -> None:
    """Raise ConfigError unless a language adapter's description fits the configuration of its encoder.

    An adapter of another architecture would load without a word, as no name in its file would fit; one of another
    encoder of the same size would load, and be of no use.
    """
    expected = {"model_type": encoder.model_type, "hidden_size": encoder.hidden_size}
    found = {field: described.get(field) for field in expected}
    # What a run of ours trained is known by that run, wherever the encoder's folder lay then.
    if (named := described.get("model_name")) and not origin.startswith("run:"):
        expected["model_name"], found["model_name"] = _last(encoder.name_or_path), _last(named)
    for field, value in expected.items():
        if found[field] != value:
            raise ConfigError(
                f"{origin} is a language adapter for an encoder with {field}={found[field]}, but this one has "
                f"{field}={value}: give one that was trained for {encoder.name_or_path}"
            )


def _last(name: str) -> str:
    """An encoder's name without its namespace or folder: published adapters name it with or without."""
    return Path(name.partition(":")[2] or name).name
