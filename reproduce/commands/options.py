"""What a command of `python -m reproduce` is, and what several let one type."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from fun.config import results_root
from fun.config.schema import checked_root
from fun.errors import ConfigError
from fun.inputs import evaluations
from fun.sweep import expand
from reproduce.declare import papers
from reproduce.declare.papers import Target
from reproduce.declare.parts import ANY, Needed
from reproduce.runs.store import Store, configuration
from reproduce.show.text import WIDTH
from reproduce.start.search import searches

Targets = Mapping[str, Target]
"""Every target of every paper, by name."""

Run = Callable[[argparse.Namespace, Targets], int]
"""From what was typed, and all targets, to the exit status. What is slow to import is imported inside."""

Option = Callable[[argparse.ArgumentParser, Targets], Any]
"""Lets something be typed after a command's name."""

COMMANDS: list[Callable[[Any, Targets], None]] = []
"""What adds each command to argparse's subparsers, in the order in which `--help` lists them."""


def command(name: str, help: str, *options: Option) -> Callable[[Run], Run]:
    """Makes the decorated function the command `name`."""

    def register(run: Run) -> Run:
        def add(parsers: Any, declared: Targets) -> None:
            parser = parsers.add_parser(name, help=help)
            parser.set_defaults(run=run)
            for add_option in options:
                add_option(parser, declared)

        COMMANDS.append(add)
        return run

    return register


class Parser(argparse.ArgumentParser):
    """argparse that tells a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}\n")


def console(**settings: Any) -> Console:
    """Standard output, as wide as the terminal; elsewhere as wide as a table needs."""
    return Console(width=None if sys.stdout.isatty() else WIDTH, **settings)


def option(*names: str, **settings: Any) -> Option:
    """What argparse's `add_argument` takes; `help` and `choices` may be functions of the targets."""

    def add(parser: argparse.ArgumentParser, declared: Targets) -> None:
        told = {name: settings[name](declared) for name in ("help", "choices") if callable(settings.get(name))}
        parser.add_argument(*names, **settings | told)

    return add


def flag(name: str, help: str) -> Option:
    return option(name, action="store_true", help=help)


def folder(text: str) -> Path:
    """A folder as it was typed, from anywhere."""
    if not text:  # a variable of the shell that is not set
        raise argparse.ArgumentTypeError("found nothing; expected a folder")
    return Path(text).expanduser().absolute()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"found {number}, expected at least 1")
    return number


MODEL = option("--model", help="the targets' variants for this model, for example micro")
RESULTS = option("--results", type=folder, help="results root (default: $FUN_RESULTS, else ./results)")
MARKED = flag("--allow-marked", "count records marked synthetic or nonstandard: tests only")
TARGET = option("target", metavar="TARGET", help=lambda declared: f"one of {', '.join(declared)}")


def targets(nargs: str) -> Option:
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


def of_paper(**settings: Any) -> tuple[Option, ...]:
    """What commands of a paper, which may be left out, let one type."""
    name = option("paper", nargs="?", choices=lambda declared: {t.paper.name: t for t in declared.values()}, **settings)
    return name, MODEL, RESULTS


ONE, MANY, OPTIONAL = ((named, MODEL, RESULTS) for named in (TARGET, targets("+"), targets("*")))
"""What commands of one target, of several, and of several or none let one type."""

READING = (option("--out", type=folder, help="where tables/ and figures/ go (default: the results root)"), MARKED)
"""What further those let one type that read finished runs."""


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
    if overrides and typed.model:
        raise ConfigError(
            f"found --model {typed.model} with {' '.join(overrides)}; expected it with names of targets: type "
            f"model={typed.model} in its place"
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
    return Needed(
        tuple(override for override in job if not override.startswith("track.")),
        tuple((dataset, language, ANY) for dataset, names in evaluations(config).items() for language in names),
        config.track.fisher_every,
        str(config.track.tests_every or ""),
    )


def numbered(name: str, model: str | None, declared: Targets) -> list[Target]:
    """A paper's numbered tables and figures, or their variants for a model; nothing where it is no paper."""
    stem = re.compile(rf"[a-z]+\d+{re.escape(f'-{model}' if model else '')}")
    return [target for target in declared.values() if target.paper.name == name and stem.fullmatch(target.stem)]
