"""Checks a whole sweep before its first job trains."""

import itertools
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig
from omegaconf.errors import InterpolationResolutionError

from fun.config.compose import compose, search
from fun.config.schema import RunConfig, results_root
from fun.errors import ConfigError, FunError
from fun.results.files import make_folder

SWEEP: dict[str, RunConfig] = {}
"""The runs that this process's multirun starts, by their overrides; empty where it starts none."""


class CheckSweep(Callback):
    """Hydra callback: composes every job of a multirun; one bad job ends the sweep with status 2."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        # Hydra turns a callback's exceptions into warnings and goes on, so every way out of here is ours.
        try:
            parameters = config.hydra.sweeper.get("params") or {}
            swept = [f"{field}={values}" for field, values in parameters.items()]
            typed = list(config.hydra.overrides.task)
            if swept:
                _check_points(typed)
            jobs = expand([*swept, *typed])
            problems = {" ".join(job): problem for job in jobs if (problem := _problem(job))}
            if not problems:
                make_folder(results_root())  # Hydra is about to write there, and would tell a failure in many lines
        except InterpolationResolutionError as error:
            print(f"error: {str(error).splitlines()[0].partition('interpolation: ')[2]}", file=sys.stderr)
            sys.exit(2)
        except FunError as error:
            SWEEP.clear()
            print(f"error: {error}", file=sys.stderr)
            sys.exit(2)
        except Exception:
            traceback.print_exc()
            SWEEP.clear()
            sys.exit("error: the sweep could not be checked; none of its jobs was started")
        if problems:
            SWEEP.clear()
            for job_text, problem in problems.items():
                print(f"error: {job_text}: {problem}", file=sys.stderr)
            print(f"error: {len(problems)} of {len(jobs)} jobs are wrong; none was started", file=sys.stderr)
            sys.exit(2)


def _check_points(typed: Sequence[str]) -> None:
    """Raise ConfigError for the first point of a search that is refused: once, and not as one wrong job per seed."""
    for choice in expand(typed):
        search(choice)


def _problem(job: list[str]) -> str | None:
    try:
        SWEEP[" ".join(job)] = compose(job)
    except ConfigError as error:
        return str(error)
    return None


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of every job of a sweep, in Hydra's order; of two for one field the later counts.

    Raises ConfigError.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    fields = {override.get_key_element(): override for override in parsed}
    return [list(job) for job in itertools.product(*map(_choices, fields.values()))]


def _choices(override: Override) -> list[str]:
    if not override.is_sweep_override():
        assert override.input_line is not None
        return [override.input_line]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
