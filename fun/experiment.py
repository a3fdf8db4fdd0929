"""The life of one run, from configuration to record."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
import yaml

from fun.config import SEMANTICS, RunConfig, results_root
from fun.config.checks import check_updates
from fun.config.choices import active_fields
from fun.data import subset
from fun.errors import RunError
from fun.inputs.gaps import check_source_language, gaps
from fun.inputs.identity import identity
from fun.inputs.keys import evaluation_keys, evaluations, inputs, source
from fun.machine.device import peak_memory_bytes, pick_device
from fun.machine.environment import TrainingCode, code_version, environment, training_code
from fun.models.encoders import check_encoder
from fun.models.task_model import TaskModel
from fun.results import Attempt, Record, RunFolder, State, folder_of, predictions_file
from fun.results.files import read_object
from fun.results.record import Evaluation
from fun.tasks.base import Feature, Row, Scored, Task
from fun.training.batches import Batches
from fun.training.checkpoint import Checkpoint, Progress
from fun.training.inference import outputs
from fun.training.journal import CHECKPOINT_FILE, Journal, check_view, open_view
from fun.training.loop import Training
from fun.training.randomness import derive, generator

log = logging.getLogger("fun")

Evaluations = dict[str, dict[str, Evaluation]]
Languages = Mapping[str, Sequence[str]]

CODE_FILE = "checkpoint/code.json"


class Test(NamedTuple):
    """A data set in one language."""

    dataset: str
    language: str
    rows: Sequence[Row]


def run(config: RunConfig) -> None:
    """Bring the run to *done*: train, evaluate and record it, or only what a done run still lacks."""
    # Neither a GPU that is not there nor a missing key is a failure of the run.
    pick_device(config.device, config.precision)
    check_view(config)
    check_source_language(config)
    folder = folder_of(config.folder(results_root()), config.run_id)
    missing = _gaps(config)
    wanted = _without(missing, evaluations(config))
    if folder.status().state is State.DONE and not config.force:
        _complete(config, folder, wanted)
    else:
        with folder.begin(force=config.force, retry=config.retry) as attempt:
            Experiment(config).train(attempt, wanted, _tracking(config))
    log.info("%s\n%s", folder.path, summary(folder.record()))
    for reason in missing.values():
        log.warning("not evaluated: %s", reason)


def _complete(config: RunConfig, folder: RunFolder, wanted: Languages) -> None:
    """Give a done run what the command asks for and its record lacks: languages, or tr(F) along training."""
    record = folder.record()
    tracking = _tracking(config)
    if tracking["fisher_every"] and record.tracking != tracking:
        log.info("%s is done without this tr(F): training it again for that", config.label)
        with folder.begin(force=True) as attempt:
            # A language that was evaluated once is not lost by training again.
            Experiment(config).train(attempt, _union(record.evaluations, wanted), tracking, must_equal=record)
    elif lacking := _lacking(config, wanted, record.evaluations):
        folder.record(verify_files=True)  # numbers from weights that changed since would look as good as any
        absent = "; ".join(f"{dataset} in {', '.join(names)}" for dataset, names in lacking.items())
        log.info("%s is done without %s: evaluating that", config.label, absent)
        with folder.begin(extend=True) as attempt:
            Experiment(config).evaluate_further(attempt, record, lacking)
    else:
        log.info("%s is done already: nothing to do", config.label)


class Experiment:
    """One run's task and model, and what is done with them."""

    def __init__(self, config: RunConfig) -> None:
        code_version()  # now, since it is remembered: the checkout may change while this process works
        torch.set_num_threads(config.threads)
        self.config = config
        self.device = pick_device(config.device, config.precision)
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.source = source(config)
        self.task: Task[Any] = config.task
        self.model = build_model(config)
        self.model.activate(config.training_language)
        self.model.to(self.device)

    def train(
        self,
        attempt: Attempt,
        languages: Languages,
        tracking: dict[str, Any],
        must_equal: Record | None = None,
    ) -> Record:
        """Train or resume, evaluate in `languages`, write the record.

        With `must_equal` the outcome has to equal that record's; otherwise RunError, and the old record stays.
        """
        config = self.config
        attempt.write_bytes("config.yaml", _description(config))
        batches, updates, validate = self._training_data()
        tests = self._tests(languages)
        checkpoint = _usable_checkpoint(attempt, tracking)
        progress = checkpoint.progress if checkpoint else Progress(tracking=tracking)
        code = _note_code(attempt, progress.update)
        attempt.resume(progress.update, updates, config.checkpoint.restarts)
        view = open_view(config, attempt)
        with Journal(attempt, view, keep=progress.update) as journal:
            training = Training(config, self.model, batches, updates, validate, journal, progress)
            log.info("%s: %d updates in %s", config.label, updates, attempt.run.path)
            if checkpoint:
                log.info("resuming after update %d of %d", progress.update, updates)
                training.restore(checkpoint)
            training.train()
            attempt.publish(self.model.artifact, self.model.save)
            evaluations: Evaluations = {}
            seconds = self.evaluate(attempt, tests, evaluations)
            if view:
                view.summarise({d: {n: e["metrics"] for n, e in found.items()} for d, found in evaluations.items()})
        body = self._record_body(progress, evaluations, seconds, code)
        if must_equal:
            _compare(must_equal, body)
        return attempt.finish(body)

    def _training_data(self) -> tuple[Batches, int, Callable[[], dict[str, float]]]:
        """Training batches, number of updates, and the validation in the training language. Raises ConfigError."""
        config = self.config
        dataset, language = self.source.training_set(config.task), config.training_language
        batches = Batches(
            self._training_features(self.source.rows(dataset, language, "train")),
            batch_size=config.train.batch_size,
            seed=config.seed,
            slots=config.train.slots,
            pad_id=self.model.pad_id,
            device=self.device,
            unit=self.model.head.unit,
        )
        updates = config.train.updates or (config.train.epochs or 0) * batches.per_epoch
        check_updates(config, updates, batches.per_epoch)
        rows = self.source.rows(dataset, language, "validation")
        features = self.task.encode(rows, self.model.tokenizer)
        return batches, updates, lambda: self.score(rows, features, language, dataset).metrics

    def _tests(self, languages: Languages) -> list[Test]:
        """The test sets in `languages`, their language adapters loaded: what is missing is told before training."""
        tests = []
        for dataset, names in languages.items():
            for language in names:
                self.model.activate(language)
                tests.append(Test(dataset, language, self.source.rows(dataset, language, "test")))
        self.model.activate(self.config.training_language)
        return tests

    def _training_features(self, rows: Sequence[Row]) -> Sequence[Feature]:
        """The encoded training set or its subset."""
        size, rule = self.config.data_size.examples, self.config.data_size.subset
        if rule is not None:
            rows = subset(rows, size, rule)
        features: Sequence[Feature] = self.task.encode(rows, self.model.tokenizer)
        # The authors' code cuts a second time after windowing (run_qa.py, max_train_samples).
        return features[:size] if rule == "first" else features

    def score(self, rows: Sequence[Row], features: Sequence[Feature], language: str, dataset: str) -> Scored:
        """Run the model over `features` of `dataset` and score them in `language`."""
        config = self.config
        random = generator(config.seed, "evaluation", 0)
        features = [feature.reading(random) for feature in features]
        found = outputs(self.model, features, slots=config.train.eval_slots, precision=config.precision)
        return self.task.score(rows, features, found, language, dataset)

    def evaluate(self, attempt: Attempt, tests: Sequence[Test], evaluations: Evaluations) -> float:
        """Zero-shot evaluation into `evaluations`: swap the language adapter, keep the predictions. In seconds."""
        started = time.perf_counter()
        for dataset, language, rows in tests:
            self.model.activate(language)
            features = self.task.encode(rows, self.model.tokenizer)
            scored = self.score(rows, features, language, dataset)
            keys = evaluation_keys(self.config, dataset, language)
            evaluations.setdefault(dataset, {})[language] = {"keys": keys, "metrics": scored.metrics}
            table = pd.DataFrame(scored.predictions)
            attempt.publish(predictions_file(dataset, language), table.to_parquet)
        return time.perf_counter() - started

    def evaluate_further(self, attempt: Attempt, record: Record, languages: Languages) -> Record:
        """Evaluate a done run on further languages, with the weights it left, and replace its record."""
        self.model.load(attempt.run.path / self.model.artifact)
        body = record.body()
        body["timing"]["evaluate_seconds"] += self.evaluate(attempt, self._tests(languages), body["evaluations"])
        # These languages may come from other code or another machine than the training: say so.
        body["environment"]["further_evaluation"] = self._environment()
        return attempt.finish(body)

    def _record_body(
        self, progress: Progress, evaluations: Evaluations, evaluate_seconds: float, code: list[TrainingCode]
    ) -> dict[str, Any]:
        """The record as the results store wants it (design contract 4)."""
        config = self.config
        seconds = progress.train_seconds
        return {
            "kind": "training",
            "semantics": SEMANTICS,
            "label": config.label,
            "identity": identity(config),
            "config": config.active(),
            "inputs": inputs(config),
            "evaluations": evaluations,
            "validation": progress.validation,
            "selected": progress.best,
            "stages": progress.stages,
            "tracking": progress.tracking,
            "timing": {
                "train_seconds": seconds,
                "fisher_seconds": progress.fisher_seconds,
                "evaluate_seconds": evaluate_seconds,
                "examples_per_second": progress.examples / seconds if seconds else 0.0,
            },
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "environment": {**self._environment(), "code": code},
            "marks": ["nonstandard"] if config.data.nonstandard else [],
        }

    def _environment(self) -> dict[str, Any]:
        """Where the run ran, and which commits of the hub it read."""
        return environment(self.device, {**self.model.commits, **self.source.commits})


def build_model(config: RunConfig) -> TaskModel:
    """The encoder with what trains on it. Raises ConfigError where it is not what conf/model says."""
    model = TaskModel(
        config.model.source,
        config.adapter,
        config.task.head(layers=config.model.head_layers, pooler=config.model.pooler),
        name=config.lang or config.task.name,
        language_adapters=config.language_adapters if config.uses_language_adapters else {},
        init_seed=derive(config.seed, "initialisation", 0),
        revision=config.model.revision,
        dropout=config.train.dropout,
        results=results_root(),
    )
    expected = config.model
    check_encoder(model.module, name=expected.name, layers=expected.layers, positions=expected.positions)
    return model


def _gaps(config: RunConfig) -> dict[str, str]:
    """Language -> what fills its gap, for the wanted languages without a language adapter."""
    return gaps(config, dict.fromkeys(language for names in evaluations(config).values() for language in names))


def _without(missing: Mapping[str, str], wanted: Languages) -> dict[str, list[str]]:
    """Data set -> the languages to evaluate: those that do not lack a language adapter."""
    return {dataset: [language for language in names if language not in missing] for dataset, names in wanted.items()}


def _union(evaluations: Evaluations, wanted: Languages) -> dict[str, list[str]]:
    """What is evaluated, and what is wanted besides."""
    return {dataset: list(dict.fromkeys([*evaluations.get(dataset, {}), *names])) for dataset, names in wanted.items()}


def _lacking(config: RunConfig, wanted: Languages, evaluations: Evaluations) -> dict[str, list[str]]:
    """What of `wanted` is not evaluated yet, or was with other test rows or another language adapter."""

    def lacks(dataset: str, language: str) -> bool:
        evaluation = evaluations.get(dataset, {}).get(language)
        return evaluation is None or evaluation["keys"] != evaluation_keys(config, dataset, language)

    lacking = {dataset: [name for name in names if lacks(dataset, name)] for dataset, names in wanted.items()}
    return {dataset: names for dataset, names in lacking.items() if names}


def _tracking(config: RunConfig) -> dict[str, Any]:
    """How tr(F) is to be tracked, as the record says it."""
    every = config.track.fisher_every
    return {"fisher_every": every, "fisher": active_fields(config.fisher) if every else {}}


def _usable_checkpoint(attempt: Attempt, tracking: Mapping[str, Any]) -> Checkpoint | None:
    """The checkpoint to resume from; None, and none left, where it lacks the tr(F) that is asked for."""
    path = attempt.folder / CHECKPOINT_FILE
    if not path.is_file():
        return None
    checkpoint = Checkpoint.read(path)
    if tracking["fisher_every"] and checkpoint.progress.tracking != tracking:
        log.info("starting afresh: the interrupted run did not track this tr(F)")
        attempt.discard_checkpoint()
        return None
    return checkpoint


def _note_code(attempt: Attempt, update: int) -> list[TrainingCode]:
    """The code that made each update, where this process goes on behind `update`; noted for whoever resumes."""
    path = attempt.folder / CODE_FILE
    earlier = read_object(path)["code"] if path.is_file() else []
    code = training_code(earlier, update, code_version())
    attempt.write_json(CODE_FILE, {"code": code})
    return code


def _description(config: RunConfig) -> bytes:
    """config.yaml of the run folder."""
    described = {
        "run_id": config.run_id,
        "label": config.label,
        "config": config.active(),
        "inputs": inputs(config),
    }
    return yaml.safe_dump(described, sort_keys=False).encode()


def _compare(old: Record, new: Mapping[str, Any]) -> None:
    """Raise RunError unless a repeated run ended as the first one did."""
    contradicted = [
        (dataset, language)
        for dataset, languages in new["evaluations"].items()
        for language, evaluation in languages.items()
        if (theirs := old.evaluations.get(dataset, {}).get(language)) is not None
        and theirs["keys"] == evaluation["keys"]
        and theirs["metrics"] != evaluation["metrics"]
    ]
    if contradicted or new["stages"] != old.stages or new["validation"] != old.validation:
        raise RunError(
            "the repeated training differs from the recorded one (another machine or version?); the old record "
            "stays. To replace it, type force=true"
        )


def summary(record: Record) -> str:
    """Metrics per language, one line per data set and metric."""
    lines = []
    for dataset, languages in record.metrics.items():
        for name in next(iter(languages.values()), {}):
            values = "  ".join(f"{language} {values[name]:.1f}" for language, values in languages.items())
            lines.append(f"  {dataset} {name}: {values}")
    return "\n".join(lines)
