"""Checks across fields: every mistake that can be known before a download or a training step."""

from fun.config.inputs import languages, training_examples, windows_decide
from fun.config.schema import RunConfig, SquadConfig
from fun.errors import ConfigError


def check(config: RunConfig) -> None:
    """Raise ConfigError for a run that could not work, or that would not do what was typed."""
    _check_budget(config)
    _check_lengths(config)
    _check_data(config)
    _check_schedule(config)
    _check_fisher(config)
    _check_languages(config)


def planned_updates(config: RunConfig) -> tuple[int, bool]:
    """The number of updates, and whether it is only a lower bound (QA windows may add examples)."""
    if config.train.updates is not None:
        return config.train.updates, False
    assert config.train.epochs is not None
    examples = config.data_size.examples or training_examples(config.task.name)
    per_epoch = -(-examples // config.train.batch_size)
    # The authors' subset rule cuts a second time, after windowing: its number of training examples is exact.
    exact = config.data_size.subset == "first" or not windows_decide(config.task.name)
    return config.train.epochs * per_epoch, not exact


def check_last_opening(config: RunConfig, updates: int) -> None:
    """Raise ConfigError unless every layer opens within `updates` updates."""
    planned = config.schedule.built.planned(config.model.layers, updates)
    last = max((opening.update for opening in planned), default=0)
    if last > updates:
        raise ConfigError(
            f"schedule={config.schedule.name} opens its last layer at update {last}, but training has "
            f"{updates} updates: type a smaller schedule.k or train.updates={last} or more"
        )


def _check_budget(config: RunConfig) -> None:
    if (config.train.epochs is None) == (config.train.updates is None):
        found = "both" if config.train.epochs else "neither"
        raise ConfigError(f"{found} of train.epochs and train.updates given; expected one: type train.updates=…")


def _check_lengths(config: RunConfig) -> None:
    task = config.task
    if task.max_length > config.model.positions:
        raise ConfigError(
            f"task.max_length is {task.max_length}, but model={config.model.name} reads at most "
            f"{config.model.positions} tokens: type task.max_length={config.model.positions} or less"
        )
    if isinstance(task, SquadConfig) and not (task.mask_padding or task.pad_to_max_length):
        # The span softmax over padding depends on the padded length, which would differ by micro-batch.
        raise ConfigError("task.mask_padding=false needs one padded length: type task.pad_to_max_length=true as well")
    if isinstance(task, SquadConfig) and task.doc_stride >= task.max_length // 2:
        raise ConfigError(
            f"task.doc_stride is {task.doc_stride} and task.max_length {task.max_length}; windows must advance: "
            f"type a task.doc_stride below {task.max_length // 2}"
        )


def _check_data(config: RunConfig) -> None:
    if (config.data_size.examples is None) != (config.data_size.subset is None):
        raise ConfigError("data_size.examples and data_size.subset go together: type data_size=1k, 5k, 10k or full")
    examples, available = config.data_size.examples, training_examples(config.task.name)
    if examples is not None and examples > available:
        raise ConfigError(
            f"data_size={config.data_size.name} asks for {examples} training examples, but task="
            f"{config.task.name} has {available}: type data_size=full"
        )


def _check_schedule(config: RunConfig) -> None:
    updates, at_least = planned_updates(config)
    try:
        config.schedule.built.planned(config.model.layers, updates)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if not at_least:  # otherwise known, and checked, once the windows are counted
        check_last_opening(config, updates)


def _check_fisher(config: RunConfig) -> None:
    used = config.schedule.chooses_by_scores or config.track.fisher_every
    if used and config.fisher.labels == "expected" and config.task.name == "squad":
        raise ConfigError(
            "fisher.labels=expected sums over all classes, and a QA span has too many: type fisher.labels=sampled"
        )


def _check_languages(config: RunConfig) -> None:
    known = languages(config.task.name)
    for language in config.evaluate.languages or ():
        if language not in known:
            raise ConfigError(f"evaluate.languages has {language!r}; task={config.task.name} has {', '.join(known)}")
