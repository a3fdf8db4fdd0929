"""The life of one run, from configuration to record."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pandas as pd
import torch
import yaml

from fun.config import RunConfig, results_root
from fun.config.checks import check_updates
from fun.config.choices import active_fields
from fun.errors import ConfigError, InputChanged
from fun.inputs import (
    SEMANTICS,
    Input,
    adapter_origins,
    evaluation_inputs,
    evaluation_keys,
    evaluations,
    identity_of,
    keys,
    run_folder,
    source,
    training_inputs,
)
from fun.machine.device import peak_memory_bytes, pick_device
from fun.machine.environment import code_version, environment
from fun.models.encoders import check_encoder
from fun.models.task_model import TaskModel
from fun.randomness import derive, generator
from fun.results import Attempt, Record, State, predictions_file
from fun.results.record import Evaluations, metrics_of
from fun.tasks.base import Feature, Row, Scored
from fun.tasks.fisher import FisherTask
from fun.training.batches import Batches, training_features
from fun.training.checkpoint import Checkpoint, Progress
from fun.training.estimation import Estimation
from fun.training.inference import outputs
from fun.training.journal import CHECKPOINT_FILE, Journal, WandbView, check_view
from fun.training.loop import Training
from fun.training.memory import check_memory

log = logging.getLogger("fun")

Tests = Sequence[tuple[str, str]]
"""Data sets, each with a language."""


def run(config: RunConfig) -> None:
    """Bring the run to *done*: train, evaluate and record it, or only what a done run still lacks."""
    # Neither a GPU that is not there nor a missing key or language adapter is a failure of the run.
    pick_device(config.device, config.precision)
    check_view(config)
    check_training_inputs(config)
    folder = run_folder(config, results_root()).present()
    gaps = evaluation_gaps(config)
    wanted = [(dataset, language) for dataset, language in _pairs(evaluations(config)) if language not in gaps]
    tracking = _tracking(config, wanted, {})
    done = folder.record() if folder.status().state is State.DONE and not config.force else None
    if done is None:
        with folder.begin(force=config.force, retry=config.retry) as attempt:
            Experiment(config).train(attempt, wanted, tracking, must_equal=None)
    elif unfollowed := _unfollowed(tracking, done.tracking):
        log.info("%s is done without %s along training: training it again for that", config.label, unfollowed)
        tracking = _tracking(config, wanted, done.tracking)
        with folder.begin(force=True) as attempt:
            # A language that was evaluated once is not lost by training again.
            Experiment(config).train(attempt, [*_pairs(done.evaluations), *wanted], tracking, must_equal=done)
    elif lacking := [test for test in wanted if _lacks(done, config, *test)]:
        folder.record(verify_files=True)  # numbers from weights that changed since would look as good as any
        names = ", ".join(f"{dataset} in {language}" for dataset, language in lacking)
        if not _has_weights(done, config):
            raise ConfigError(f"{config.label} lacks {names}, and kept no weights: type force=true keep=weights")
        log.info("%s is done without %s: evaluating that", config.label, names)
        with folder.begin(extend=True) as attempt:
            Experiment(config).evaluate_further(attempt, done, lacking)
    else:
        log.info("%s is done already: nothing to do", config.label)
    record = folder.record()
    if config.keep == "predictions" and not gaps and _has_weights(record, config):
        with folder.begin(extend=True) as attempt:
            attempt.finish(record.body(), without=config.adapter.artifact)
    log.info("%s\n%s", folder.path, summary(record))
    for reason in gaps.values():
        log.warning("not evaluated: %s", reason)


def _has_weights(record: Record, config: RunConfig) -> bool:
    return any(name.partition("/")[0] == config.adapter.artifact for name in record.files)


def check_training_inputs(config: RunConfig) -> None:
    """Raise ConfigError unless there is everything to train on."""
    for each in training_inputs(config):
        if reason := each.gap(results_root()):
            raise ConfigError(f"{reason} (training reads it)")


def evaluation_gaps(config: RunConfig) -> dict[str, str]:
    """Language -> what fills its gap, for those that the command asks for and that cannot be evaluated yet.

    Nothing is downloaded: an adapter of the hub that cannot be had is an error of its own, not a gap.
    """
    return {
        language: reason
        for dataset, language in _pairs(evaluations(config))
        for each in evaluation_inputs(config, dataset, language)
        if (reason := each.gap(results_root()))
    }


class TestSet(NamedTuple):
    """A data set in one language, and the content keys of what its evaluation reads."""

    dataset: str
    language: str
    rows: Sequence[Row]
    keys: dict[str, str]


class Experiment:
    """One run's task and model, and what is done with them."""

    def __init__(self, config: RunConfig) -> None:
        code_version()  # now, since it is remembered: the checkout may change while this process works
        torch.set_num_threads(config.threads)
        self.config = config
        self.device = pick_device(config.device, config.precision)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.inputs = keys(training_inputs(config))
        self.source = source(config)
        self.task = config.task
        self.model = build_model(config)
        self.model.activate(config.training_language)
        self.model.module.to(self.device)  # parameters keep their identity

    def train(self, attempt: Attempt, wanted: Tests, tracking: dict[str, Any], must_equal: Record | None) -> None:
        """Train or resume, evaluate what is wanted, write the record.

        With `must_equal` the outcome has to equal that record's; otherwise RunError, and the old record stays.
        """
        config = self.config
        described = {"run_id": attempt.run.run_id, "label": config.label, "config": config.active()}
        described["inputs"] = self.inputs
        attempt.write_bytes("config.yaml", yaml.safe_dump(described, sort_keys=False).encode())
        if config.adapter.pretrained and config.task.trains:
            check_memory(config, self.model, self.device)
        batches, updates, validate = self._training_data()
        checkpoint = _usable_checkpoint(attempt, tracking)
        progress = checkpoint.progress if checkpoint else Progress(tracking=tracking)
        followed = _pairs(progress.tracking.get("tests", {}))
        tests = self._tests([*wanted, *followed])
        progress.goes_on_with(code_version())
        attempt.resume(progress.update, updates, config.checkpoint.restarts)
        view = WandbView(config, attempt) if config.logger.name == "wandb" else None
        with Journal(attempt, view, keep=progress.update) as journal:
            work: Training | Estimation
            if isinstance(self.task, FisherTask):
                work = Estimation(config, self.task, self.model, batches, journal, progress)
            else:
                along = [test for test in tests if (test.dataset, test.language) in followed]
                test = partial(self._metrics, along)
                work = Training(config, self.model, batches, updates, validate, test, journal, progress)
            unit = "updates" if self.task.trains else "batches"
            log.info("%s: %d %s in %s", config.label, updates, unit, attempt.run.path)
            if checkpoint:
                log.info("resuming after update %d of %d", progress.update, updates)
                work.restore(checkpoint)
            work.run()
            made = work if isinstance(work, Estimation) else self.model
            attempt.publish(made.artifact, made.save)
            body = self._record_body(progress, *self.evaluate(tests, attempt))
            if view:
                view.summarise(metrics_of(body["evaluations"]))
        attempt.finish(body, must_equal)

    def evaluate_further(self, attempt: Attempt, record: Record, lacking: Tests) -> None:
        """Evaluate a done run on what its record lacks, with the weights it left, and replace the record."""
        self.model.load(attempt.run.path / self.model.artifact)
        body = record.body()
        further, seconds = self.evaluate(self._tests(lacking), attempt)
        for dataset, languages in further.items():
            body["evaluations"].setdefault(dataset, {}).update(languages)
        body["timing"]["evaluate_seconds"] += seconds
        # These evaluations may come from other code or another machine than the training: say so.
        body["environment"].setdefault("further_evaluations", []).append(self._environment())
        attempt.finish(body)

    def _training_data(self) -> tuple[Batches, int, Callable[[], dict[str, float]]]:
        """Training batches, number of updates, and the validation in the training language.

        Raises ConfigError, and InputChanged where what was read is not what named the run.
        """
        config, task, train = self.config, self.task, self.config.train
        dataset, language = self.source.training_set(task), config.training_language
        training_rows, *others = (self.source.rows(dataset, language, split) for split in task.splits)
        check_unchanged(training_inputs(config), self.inputs)
        size, slots = train.batch_size, train.slots
        if isinstance(task, FisherTask):
            size, slots = task.batch_size, task.batch_size * task.max_length  # a batch is one forward pass
        batches = Batches(
            training_features(config, training_rows, self.model.tokenizer)[1],
            batch_size=size,
            seed=config.seed,
            slots=slots,
            pad_id=self.model.pad_id,
            device=self.device,
            unit=self.model.head.unit,
            ahead=self.device.type == "cuda",
        )
        if isinstance(task, FisherTask):
            return batches, task.batches, dict
        (rows,) = others
        updates = train.updates or (train.epochs or 0) * batches.per_epoch
        check_updates(config, updates, batches.per_epoch)
        task.check_scored(rows, f"{dataset} ({language}, validation)")
        features = task.encode(rows, self.model.tokenizer, language)
        return batches, updates, lambda: self.score(rows, features, language, dataset).metrics

    def _tests(self, wanted: Tests) -> list[TestSet]:
        """The test sets, their language adapters loaded: what is missing is told before training.

        Raises ConfigError, and InputChanged where a file changed while it was read.
        """
        tests = []
        for dataset, language in dict.fromkeys(wanted):
            inputs = evaluation_inputs(self.config, dataset, language)
            before = keys(inputs)
            named = evaluation_keys(self.config, dataset, language)
            self.model.activate(language)
            rows = self.source.rows(dataset, language, "test")[:: self.config.evaluate.every]
            tests.append(TestSet(dataset, language, rows, named))
            self.task.check_scored(tests[-1].rows, f"{dataset} ({language})")
            check_unchanged(inputs, before)
        self.model.activate(self.config.training_language)
        return tests

    def score(self, rows: Sequence[Row], features: Sequence[Feature], language: str, dataset: str) -> Scored:
        """Run the model over `features` of `dataset` and score them in `language`."""
        train, random = self.config.train, generator(self.config.seed, "evaluation", 0)
        features = [feature.reading(random) for feature in features]
        logits = outputs(self.model, features, slots=train.eval_slots, precision=self.config.precision)
        return self.task.score(rows, features, logits, language, dataset)

    def evaluate(self, tests: Iterable[TestSet], attempt: Attempt | None = None) -> tuple[Evaluations, float]:
        """Zero-shot evaluation: swap the language adapter, keep predictions in `attempt`. Also the seconds it took."""
        started = time.perf_counter()
        evaluated: Evaluations = {}
        for dataset, language, rows, named in tests:
            self.model.activate(language)
            scored = self.score(rows, self.task.encode(rows, self.model.tokenizer, language), language, dataset)
            evaluated.setdefault(dataset, {})[language] = {"keys": named, "metrics": scored.metrics}
            if attempt:
                attempt.publish(predictions_file(dataset, language), pd.DataFrame(scored.predictions).to_parquet)
        self.model.activate(self.config.training_language)
        return evaluated, time.perf_counter() - started

    def _metrics(self, tests: Iterable[TestSet]) -> dict[str, dict[str, dict[str, float]]]:
        return metrics_of(self.evaluate(tests)[0])

    def _record_body(self, progress: Progress, evaluated: Evaluations, evaluate_seconds: float) -> dict[str, Any]:
        """The record as the results store wants it (design contract 4)."""
        config, seconds = self.config, progress.train_seconds
        return {
            "kind": "training" if self.task.trains else "artifact",
            "semantics": SEMANTICS,
            "label": config.label,
            "identity": identity_of(config, self.inputs),
            "config": config.active(),
            "inputs": self.inputs,
            "evaluations": evaluated,
            "validation": progress.validation,
            "selected": progress.best,
            "stages": progress.stages,
            "tracking": progress.tracking,
            "timing": {
                "train_seconds": seconds,
                "fisher_seconds": progress.fisher_seconds,
                "evaluate_seconds": evaluate_seconds,
                "examples_per_second": progress.examples / (seconds or progress.fisher_seconds or 1),
            },
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "environment": {**self._environment(), "code": progress.code},
            "marks": config.marks,
        }

    def _environment(self) -> dict[str, Any]:
        """Where the run ran, and which commits of the hub it read."""
        return environment(self.device, {**self.model.commits, **self.source.commits})


def build_model(config: RunConfig) -> TaskModel:
    """The encoder with what trains on it. Raises ConfigError where it is not what conf/model says."""
    encoder = config.model
    model = TaskModel(
        encoder.source,
        config.adapter,
        config.task.head(layers=encoder.head_layers, pooler=encoder.pooler),
        name=config.lang or config.task.name,
        language_adapters=adapter_origins(config),
        init_seed=derive(config.seed, "initialisation", 0),
        revision=encoder.revision,
        dropout=config.train.dropout,
        results=results_root(),
    )
    check_encoder(model.module.config, name=encoder.name, layers=encoder.layers, positions=encoder.positions)
    return model


def _pairs(tested: Mapping[str, Iterable[str]]) -> list[tuple[str, str]]:
    """Each data set with each of its languages."""
    return [(dataset, language) for dataset, languages in tested.items() for language in languages]


def _lacks(record: Record, config: RunConfig, dataset: str, language: str) -> bool:
    """Whether a test set was not evaluated yet, or by fewer metrics, in other rows or with another language adapter."""
    evaluation = record.evaluations.get(dataset, {}).get(language)
    if evaluation is None or not evaluation["metrics"].keys() >= {*config.task.reported}:
        return True
    return evaluation["keys"] != evaluation_keys(config, dataset, language)


def check_unchanged(inputs: Iterable[Input], before: Mapping[str, str]) -> None:
    """Raise InputChanged where a file changed between its hash and its reading."""
    if changed := [f"{each.name} ({each.place})" for each in inputs if each.key() != before.get(each.name, "")]:
        raise InputChanged(
            f"{', '.join(changed)} changed while it was read: type the same command again once nobody writes there"
        )


def _tracking(config: RunConfig, wanted: Tests, before: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be followed along training, as the record says it: also what was followed `before`."""
    fisher_every = config.track.fisher_every or before.get("fisher_every", 0)
    tests_every = config.track.tests_every or before.get("tests_every")
    tracking = {"fisher_every": fisher_every, "fisher": active_fields(config.fisher) if fisher_every else {}}
    tests: dict[str, list[str]] = {}
    for dataset, language in dict.fromkeys([*_pairs(before.get("tests", {})), *wanted]):
        tests.setdefault(dataset, []).append(language)
    return tracking | ({"tests_every": tests_every, "tests": tests} if tests_every else {})


def _unfollowed(asked: Mapping[str, Any], tracking: Mapping[str, Any]) -> str:
    """What of that which is asked for was not followed along training; empty where nothing."""
    lacking = []
    if asked["fisher_every"] and any(tracking[name] != asked[name] for name in ("fisher_every", "fisher")):
        lacking.append("this tr(F)")
    if every := asked.get("tests_every"):
        tested = _pairs(tracking.get("tests", {}))
        if tracking.get("tests_every") != every or not set(tested) >= set(_pairs(asked["tests"])):
            lacking.append("these test scores")
    return " and ".join(lacking)


def _usable_checkpoint(attempt: Attempt, tracking: Mapping[str, Any]) -> Checkpoint | None:
    """The checkpoint to resume from; None, and none left, where it lacks what is to be followed along training."""
    path = attempt.folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    checkpoint = Checkpoint.read(path)
    if unfollowed := _unfollowed(tracking, checkpoint.progress.tracking):
        log.info("starting afresh: the interrupted run did not follow %s", unfollowed)
        attempt.discard_checkpoint()
        return None
    return checkpoint


def summary(record: Record) -> str:
    """Metrics per language, one line per data set and metric."""
    lines = []
    for dataset, languages in record.metrics.items():
        for name in next(iter(languages.values()), {}):
            values = "  ".join(f"{language} {values[name]:.1f}" for language, values in languages.items())
            lines.append(f"  {dataset} {name}: {values}")
    return "\n".join(lines)
