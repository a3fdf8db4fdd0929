"""Checks a whole sweep before its first job trains."""

import itertools
import sys
import traceback
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from fun.config.compose import compose
from fun.errors import ConfigError


class CheckSweep(Callback):
    """Hydra callback: composes every job of a multirun; one bad job ends the sweep with status 2."""

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        # Hydra turns a callback's exceptions into warnings and goes on, so every way out of here is ours.
        try:
            jobs = expand(list(config.hydra.overrides.task))
            problems = {" ".join(job): problem for job in jobs if (problem := _problem(job))}
        except Exception:
            traceback.print_exc()
            sys.exit("error: the sweep could not be checked; none of its jobs was started")
        if problems:
            for job_text, problem in problems.items():
                print(f"error: {job_text}: {problem}", file=sys.stderr)
            print(f"error: {len(problems)} of {len(jobs)} jobs are wrong; none was started", file=sys.stderr)
            sys.exit(2)


def _problem(job: list[str]) -> str | None:
    try:
        compose(job)
    except ConfigError as error:
        return str(error)
    return None


def expand(overrides: list[str]) -> list[list[str]]:
    """The overrides of every job of a sweep, in Hydra's order."""
    parsed = OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(overrides)
    return [list(job) for job in itertools.product(*map(_choices, parsed))]


def _choices(override: Override) -> list[str]:
    if not override.is_sweep_override():
        assert override.input_line is not None
        return [override.input_line]
    return [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()]
