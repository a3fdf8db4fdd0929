"""Language adapters (MAD-X): loading one frozen under a task adapter, from its origin.

That is world (the miniature world's), hub:<namespace>/<name>[@<revision>], run:<run_id> (trained by a task=mlm run of
ours that is done), or folder:<path> (saved by `save_adapter`).
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fun import world
from fun.errors import AdapterMissing, ConfigError, HubError, RunError
from fun.machine.hub import Repository, Snapshot, first_line, snapshot, unreadable
from fun.models.files import ADAPTER_CONFIG, ADAPTER_WEIGHTS, UNREADABLE, adapter_files
from fun.results import NotDone, done_run


def load_language_adapter(module: Any, language: str, origin: str, results: Path) -> dict[str, str]:
    """Add the language adapter from `origin` to `module`, under the name `language`; not yet active.

    Returns {repository: commit} of what was downloaded; for that of a run in the root `results` what the run had
    downloaded, as {run:<run_id>/<repository>: commit}. Raises AdapterMissing where that run is not done, ConfigError
    for an origin that is none and for an adapter of another encoder, HubError for a download that failed, RunError for
    a file that lacks weights.
    """
    kind, _, place = origin.partition(":")
    commits: dict[str, str] = {}
    match kind:
        case "world":
            folder = world.folder(f"adapters/{language}")
        case "folder":
            folder = Path(place)
        case "hub":
            name, _, revision = place.partition("@")
            repository = Repository(name, revision or None)
            downloaded = download(repository)
            folder, commits = downloaded.folder, {name: downloaded.commit}
        case "run":
            try:
                run = done_run(results, place, "mlm")
            except NotDone as missing:
                raise AdapterMissing(str(missing)) from missing
            folder, read = run.path / "adapter", run.record().environment.get("hub", {})
            commits = {f"{origin}/{repository}": commit for repository, commit in read.items()}
        case _:
            raise ConfigError(
                f"language_adapters.{language} is {origin!r}; expected world, hub:<namespace>/<name>, "
                "run:<run_id>, folder:<path> or train"
            )
    info: dict[str, list[str]] = {}
    try:
        check_fits(json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8")), module.config, origin)
        module.load_adapter(str(folder), load_as=language, with_head=False, use_safetensors=True, loading_info=info)
    except UNREADABLE as error:
        if kind == "hub":
            raise unreadable(repository, downloaded, error) from error
        if kind == "folder":
            raise ConfigError(
                f"language_adapters.{language}={origin} cannot be read ({first_line(error)}); give a folder that "
                "save_adapter wrote"
            ) from error
        raise
    if lacking := info["missing_keys"]:
        raise RunError(
            f"{origin}: its file lacks {len(lacking)} weights of the language adapter ({lacking[0]}, …), which would "
            f"stay random: give another language_adapters.{language}"
        )
    return commits


def download(repository: Repository) -> Snapshot:
    """Configuration and weights."""
    downloaded = snapshot(repository, (ADAPTER_CONFIG, *ADAPTER_WEIGHTS))
    if len(adapter_files(downloaded.folder)) < 2:
        raise HubError(
            f"{repository} has no {ADAPTER_CONFIG} with {' or '.join(ADAPTER_WEIGHTS)} (in the cache: "
            f"{downloaded.folder}): if its download was interrupted, type the same command with a network"
        )
    return downloaded


def check_fits(described: Mapping[str, Any], encoder: Any, origin: str) -> None:
    """Raise ConfigError unless a language adapter's description fits the configuration of its encoder. One of another
    architecture would load without a word, and one of another encoder of the same size to no use."""
    expected = {"model_type": encoder.model_type, "hidden_size": encoder.hidden_size}
    actual = {field: described.get(field) for field in expected}
    # What a run of ours trained is known by that run, wherever the encoder's folder lay then.
    if (named := described.get("model_name")) and not origin.startswith("run:"):
        expected["model_name"], actual["model_name"] = _last(encoder.name_or_path), _last(named)
    for field, value in expected.items():
        if actual[field] != value:
            raise ConfigError(
                f"{origin} is a language adapter for an encoder with {field}={actual[field]}, but this one has "
                f"{field}={value}: give one that was trained for {encoder.name_or_path}"
            )


def _last(name: str) -> str:
    """An encoder's name without its namespace or folder: published adapters name it with or without."""
    return Path(name.partition(":")[2] or name).name
