"""Which of the runs that targets need may be started, and behind which others; which are held back, and why."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fun.config import RunConfig
from fun.results import JobKnown, RunFolder, State, folders_of
from reproduce.declare.parts import Needed, merged
from reproduce.runs.plan import needed_by_both
from reproduce.runs.store import Found, Gap, Store, configuration, producers, read_languages
from reproduce.start.jobs import idle_logs

FAILURES = 3
"""After so many failures in a row because of the machine a run waits for `retry`, unless another number is typed."""


@dataclass(frozen=True)
class Planned:
    """A run to start: what to type after `python -m fun.run`, and its folder.

    `failed`: the attempt after which it is tried once more all the same (`retry`); 0 for none.
    """

    arguments: tuple[str, ...]
    run: RunFolder
    failed: int = 0

    @property
    def asked_again(self) -> bool:
        """Whether it is still to be tried once more."""
        return self.failed > 0 and self.run.attempts() == self.failed

    @property
    def typed(self) -> tuple[str, ...]:
        """What to type now."""
        return (*self.arguments, "retry=true") if self.asked_again else self.arguments


@dataclass(frozen=True)
class Wanted:
    """A run to start, and the folders of the runs that it reads from and that are not done."""

    planned: Planned
    producers: tuple[RunFolder, ...] = ()

    def not_yet(self, command: str) -> str:
        """Why it is not started now, and when `command` is to be typed again."""
        makers = ", ".join(producer.path.name for producer in self.producers)
        return f"not yet: {self.planned.run.path.name} reads what {makers} makes; {command} again when that is done"


@dataclass
class Selection:
    """The runs to start, producers first; those held back, each with the reason; and how many are done.

    `gaps`: those done runs that lack only languages whose language adapters are neither there nor on their way.
    """

    wanted: list[Wanted] = field(default_factory=list)
    held: dict[RunFolder, str] = field(default_factory=dict)
    gaps: dict[RunFolder, str] = field(default_factory=dict)
    done: int = 0

    @property
    def count(self) -> int:
        """How many runs were looked at, with the producers that are lacking."""
        return self.done + len(self.wanted) + len(self.held)

    def remarks(self) -> list[str]:
        """The gaps and the runs that are held back, for people."""
        return [
            *self.gap_remarks(),
            *(f"held back: {run.path.name}: {' '.join(reason.split())}" for run, reason in self.held.items()),
        ]

    def gap_remarks(self) -> list[str]:
        """The gaps, a line for all runs that have the same."""
        return [
            f"gap: {runs} done run{'s' * (runs > 1)} {lacks}: no language adapter is there, or on its way"
            for lacks, runs in Counter(self.gaps.values()).items()
        ]


def waves(wanted: Iterable[Wanted]) -> tuple[list[Wanted], list[Wanted]]:
    """Runs without producers that are still to be made, then the others: a producer has none itself."""
    runs = list(wanted)
    return [one for one in runs if not one.producers], [one for one in runs if one.producers]


def select(
    needed: Iterable[Needed],
    store: Store,
    jobs: JobKnown | None = None,
    *,
    retry: bool = False,
    failures: int = FAILURES,
) -> Selection:
    """The runs of `needed` that may be started, each once, behind the producers that they lack.

    Those that run or wait to run, as `jobs` knows, are among them: who starts them sees that somebody else does.
    With `retry` also those that failed because of their method, or `failures` times in a row because of their
    machine. Raises ConfigError.
    """
    runs: dict[str, Needed] = {}
    for run in merged(needed):
        run_id = configuration(run.overrides).run_id
        runs[run_id] = needed_by_both(runs[run_id], run) if run_id in runs else run
    selector = _Selector(store, jobs, retry, failures)
    for run in runs.values():
        selector.add(run)
    return selector.chosen


class _Selector:
    """Fills a selection, run by run."""

    def __init__(self, store: Store, jobs: JobKnown | None, retry: bool, failures: int) -> None:
        self.store = store
        self.jobs = jobs
        self.retry = retry
        self.failures = failures
        self.chosen = Selection()
        self._seen: set[RunFolder] = set()

    def add(self, needed: Needed) -> None:
        """Put a run into the selection, behind the producers that it lacks; or hold it back."""
        result = self.store(needed)
        if isinstance(result, Found) and not result.startable:
            self.chosen.done += 1
            return
        config = configuration(needed.overrides)
        folder = self._folder(config)
        if folder in self._seen:
            return
        self._seen.add(folder)
        if reason := self._reason_to_hold(folder, result):
            self._hold(folder, reason)
            return
        makers = self._add_producers(config)
        maker = makers.get(config.SOURCE_LANGUAGE)
        if maker in self.chosen.held:
            # Any other language is a gap of the run; without this one it cannot begin.
            self._hold(folder, f"its {config.SOURCE_LANGUAGE} language adapter cannot be made: {maker} is held back")
            return
        if isinstance(result, Found) and not self._can_be_completed(needed, config, makers):
            self.chosen.gaps[folder] = result.lacks
            self.chosen.done += 1
            return
        waits_for = tuple(maker for maker in makers.values() if maker not in self.chosen.held)
        failed = folder.attempts() if self.retry and folder.status().state is State.FAILED else 0
        self.chosen.wanted.append(Wanted(Planned(needed.arguments, folder, failed), waits_for))

    def _add_producers(self, config: RunConfig) -> dict[str, RunFolder]:
        """Language -> the run that makes its language adapter and is not done; now in the selection, or held back."""
        lacking = {
            language: made for language, made in producers(config).items() if not isinstance(self.store(made), Found)
        }
        for made in lacking.values():
            self.add(made)
        return {language: self._folder(configuration(made.overrides)) for language, made in lacking.items()}

    def _can_be_completed(self, needed: Needed, config: RunConfig, makers: Mapping[str, RunFolder]) -> bool:
        """Whether a done run lacks anything but languages that are gaps: starting it again would not fill those."""
        gaps = {language for language in read_languages(config) if self._is_gap(config, language, makers)}
        values = tuple(value for value in needed.values if value[1] not in gaps)
        without_gaps = self.store(replace(needed, values=values))
        return isinstance(without_gaps, Found) and without_gaps.startable

    def _is_gap(self, config: RunConfig, language: str, makers: Mapping[str, RunFolder]) -> bool:
        """Whether a language adapter is neither there nor made by a run that is selected or under way."""
        if language in makers:
            return makers[language] in self.chosen.held
        origin = config.language_adapters.get(language)
        return origin is None or (origin.startswith("run:") and not self._trained(origin.removeprefix("run:")))

    def _trained(self, run_id: str) -> bool:
        folders = folders_of(self.store.root, run_id, "mlm")
        return any(RunFolder(folder, run_id).status().state is State.DONE for folder in folders)

    def _reason_to_hold(self, folder: RunFolder, result: Found | Gap) -> str:
        """Why a run is not to be started unasked; empty where it may be, or somebody else has it in hand."""
        if folder.under_way(self.jobs):
            return ""
        if not self.retry and (reason := self._reason_to_wait(folder)):
            return reason
        # Whether a run is queued or running is asked of the scheduler, when it is to be submitted.
        held = isinstance(result, Gap) and not result.startable and result.state is not State.RUNNING
        if isinstance(result, Gap) and held and not (self.retry and result.state is State.FAILED):
            return f"{result.state.value}: {result.reason}"
        return ""

    def _reason_to_wait(self, folder: RunFolder) -> str:
        """Why a run that could be started waits for `retry`; empty where it need not."""
        failures = folder.machine_failures()
        later = folder.status().later
        if failures >= self.failures:
            return f"failed {failures} times in a row: {(later or folder.status()).detail}"
        if later and later.failure == "method":
            return f"done, but it could not be completed: {later.detail}"
        logs = idle_logs(folder, self.store.root)
        if len(logs) >= self.failures:
            return f"{len(logs)} jobs in a row ended before they could begin it; the log of the last: {logs[0]}"
        return ""

    def _hold(self, folder: RunFolder, reason: str) -> None:
        self.chosen.held[folder] = reason

    def _folder(self, config: RunConfig) -> RunFolder:
        return self.store.runs(config)[0]
