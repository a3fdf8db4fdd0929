"""What several commands let one type, and what it means."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from fun.config import results_root
from fun.config.schema import checked_root
from fun.errors import ConfigError
from fun.sweep import expand
from reproduce.commands.command import Option, Targets, flag, option
from reproduce.declare import papers
from reproduce.declare.papers import Target
from reproduce.declare.parts import Needed
from reproduce.runs.store import Store, configuration, evaluated
from reproduce.start.search import searches


class Parser(argparse.ArgumentParser):
    """argparse that tells a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def folder(text: str) -> Path:
    """A folder as it was typed, from anywhere."""
    return Path(text).expanduser().absolute()


def positive(text: str) -> int:
    """A number that must be at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, expected at least 1")
    return number


MODEL = option("--model", help="the targets' variants for this model, for example micro")
RESULTS = option("--results", type=folder, help="results root (default: $FUN_RESULTS, else ./results)")
OUT = option("--out", type=folder, help="where tables/ and figures/ go (default: the results root)")
MARKED = flag("--allow-marked", "count records marked synthetic or nonstandard: tests only")
READING = (OUT, MARKED)


TARGET = option("target", metavar="TARGET", help=lambda declared: f"one of {', '.join(declared)}")


def targets(nargs: str = "+") -> Option:
    """TARGET…, for `needed`."""
    return option(
        "targets",
        metavar="TARGET",
        nargs=nargs,
        help=lambda declared: (
            f"any of {', '.join(declared)}; a paper, for all that it numbers; or, without these, the overrides of one "
            "sweep, or of a search with sweep=lr_k"
        ),
    )


def paper(**settings: Any) -> Option:
    """PAPER, which may be left out."""
    return option("paper", nargs="?", choices=lambda declared: {t.paper.name: t for t in declared.values()}, **settings)


ONE, MANY = (TARGET, MODEL, RESULTS), (targets(), MODEL, RESULTS)
"""What commands of one target, and of several, let one type."""


def target(typed: argparse.Namespace, declared: Targets) -> Target:
    """The target that was typed. Raises ConfigError that names the valid ones."""
    return papers.find(typed.target, typed.model, declared)


def root(typed: argparse.Namespace) -> Path:
    """The results root. Raises ConfigError where it is no folder."""
    return checked_root(typed.results, "--results", "--results FOLDER") if typed.results else results_root()


def store(typed: argparse.Namespace) -> Store:
    """The results root, to look runs up in. Raises ConfigError where --results names no folder."""
    if typed.results and not typed.results.is_dir():
        raise ConfigError(f"found --results {typed.results}, which is no folder; expected one with runs/ in it.")
    return Store(root(typed), typed.allow_marked)


def out(typed: argparse.Namespace) -> Path:
    """The folder below which tables and figures are written. Raises ConfigError where it cannot be."""
    place: Path = typed.out or root(typed)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"found --out {place}, which is no folder to write to: {error.strerror}.") from None
    return place


def needed(typed: argparse.Namespace, declared: Targets) -> dict[str, list[Needed]]:
    """Target -> the runs that it needs. A paper's name stands for all its numbered tables and figures.

    What has an equals sign is one sweep, as after `python -m fun.run -m`; with `sweep=lr_k` among it, a search.
    Raises ConfigError, also for names beside a sweep, whose overrides would change nothing of a target's runs.
    """
    overrides = [name for name in typed.targets if "=" in name]
    names = [name for name in typed.targets if name not in overrides]
    searching = any(override.startswith("sweep=") for override in overrides)
    if names and overrides and not searching:
        raise ConfigError(
            f"found {' '.join(names)} with {' '.join(overrides)}; expected names of targets, which say all of their "
            "runs, or the overrides of one sweep: type each in a command of its own"
        )
    chosen = [numbered(name, typed.model, declared) or [papers.find(name, typed.model, declared)] for name in names]
    groups = {target.name: target.needed() for targets in chosen for target in targets}
    for searched in searches(overrides) if searching else ():
        groups.setdefault(f"{searched.search.name} {searched.search.label}", []).extend(searched.needed())
    if overrides and not searching:
        groups[" ".join(overrides)] = [_typed(job) for job in expand(overrides)]
    return groups


def _typed(job: Sequence[str]) -> Needed:
    """A run with all that typing it after `python -m fun.run` asks for."""
    sweep = next((override for override in job if override.startswith("+sweep=")), None)
    if sweep and "hparams=selected" not in job:
        raise ConfigError(
            f"found {sweep} for single runs: type {sweep[1:]} for the search, or hparams=selected as well"
        )
    config = configuration(job)
    overrides = tuple(override for override in job if not override.startswith("track."))
    return Needed(overrides, evaluated(config), config.track.fisher_every, str(config.track.tests_every or ""))


def numbered(name: str, model: str | None, declared: Targets) -> list[Target]:
    """A paper's numbered tables and figures, or their variants for a model; nothing where it is no paper."""
    stem = re.compile(rf"[a-z]+\d+{re.escape(f'-{model}' if model else '')}")
    return [target for target in declared.values() if target.paper.name == name and stem.fullmatch(target.stem)]
