"""Every hyperparameter that the paper prints, compared with what composing the run gives."""

import csv
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

import yaml

from fun.config import CONFIG_DIR, RunConfig, ours
from fun.inputs import compose, flat, run_id
from fun.models.tuning.adapters import Lora
from reproduce.declare.papers import PAPERS

Row = Mapping[str, str]
Run = tuple[str, str, str, str, str]
"""Task, model, adapter, schedule, data size."""

MODELS = ("mbert", "xlmr", "mdeberta")
TABULATED = ("mbert", "xlmr")
SIZES = {"1k": 1000, "5k": 5000, "10k": 10000}

# A printed key -> the field that it fixes, for keys that are a value of one run.
FIELDS = {
    "epochs": "train.epochs",
    "lr": "train.lr",
    "batch_size": "train.batch_size",
    "lr_schedule": "train.lr_schedule",
    "max_grad_norm": "train.clip",
    "k": "schedule.k",
    "data_size": "data_size.examples",
    "max_seq_length": "task.max_length",
    "reduction_factor": "adapter.reduction",
    "lora_r": "adapter.r",
    "lora_alpha": "adapter.alpha",
    "fisher_batches": "fisher.batches",
    "warmup_steps": "train.warmup",
}


def rows(file: str) -> list[Row]:
    with (PAPERS / "fun" / file).open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


@cache
def composed(*overrides: str) -> RunConfig:
    return compose(overrides)


def config_of(run: Run) -> RunConfig:
    task, model, adapter, schedule, size = run
    order = ("schedule.order=[10,9,8,7,6,5,4,3,2,1,0]",) if schedule == "fixed" else ()
    names = (f"task={task}", f"model={model}", f"adapter={adapter}", f"schedule={schedule}", f"data_size={size}")
    return composed(*names, *order)


def value(config: RunConfig, field: str) -> Any:
    return flat(config.active())[field]


def runs_of(row: Row) -> list[Run]:
    """The runs that a row speaks of: an empty column means every choice that its table has."""
    methods = {
        "all": ("std", "gu", "fun", "rand", "lpft"),
        "scheduled": ("gu", "fun", "rand", "lpft"),
    }.get(row["method"], (row["method"],))
    return list(
        product(
            [row["train_task"]] if row["train_task"] else ["squad", "mnli", "copa"],
            [row["model"]] if row["model"] else TABULATED,
            [row["adapter"]] if row["adapter"] else ["madx", "lora"],
            methods,
            [row["setting"] or "full"],
        )
    )


def expected(row: Row) -> float | str:
    """The printed value as a number, or a word."""
    try:
        return float(SIZES.get(row["value"], row["value"]))
    except ValueError:
        return row["value"]


def configs_of(row: Row) -> list[RunConfig]:
    if row["train_task"] == "mlm":
        return [composed("task=mlm", f"model={row['model']}", f"lang={lang}") for lang in ("it", "ta", "th")]
    return [config_of(run) for run in runs_of(row)]


def differences(row: Row) -> Iterator[str]:
    """Where a run's value is not the printed one."""
    for config in configs_of(row):
        found = value(config, FIELDS[row["key"]])
        if found != expected(row) or FIELDS[row["key"]] in ours(config):
            yield f"{row['source_row']}: {row['key']} is {found} in {config.label}, printed {row['value']}"


def searched(row: Row, field: str) -> bool:
    """Whether the main experiments' values lie in the printed search range (the text excepts COPA's rates)."""
    tasks = ("squad", "mnli") if field == "train.lr" else ("squad", "mnli", "copa")
    runs = product(tasks, TABULATED, ["madx"], ["gu", "fun", "lpft"], ["full"])
    return {value(config_of(run), field) for run in runs} <= {float(text) for text in row["value"].split(", ")}


def declared(*path: str) -> Any:
    """A part of the paper's declaration."""
    part = yaml.safe_load((PAPERS / "fun" / "paper.yaml").read_text(encoding="utf-8"))
    for key in path:
        part = part[key]
    return part


def tracked(row: Row) -> bool:
    intervals = {
        part["fisher_every"]
        for name, part in declared("targets", "figure3", "parts").items()
        if name.endswith("copa") == (row["train_task"] == "copa")
    }
    return intervals == {int(row["value"])}


def replicates(row: Row) -> bool:
    table = declared("targets", "table12", "rows", "rev") if row["method"] == "rev" else declared("targets", "table1")
    return len(table["replicates"]) == int(row["value"])


def bounds_budget(row: Row) -> bool:
    """Language adapters: the printed bound is not the budget, which is a number of updates and ours."""
    return all(
        config.train.epochs is None and "24 hours" in ours(config)["train.updates"] for config in configs_of(row)
    )


def adapted(config: RunConfig) -> list[str]:
    """The projections that a run with LoRA adapts."""
    assert isinstance(config.adapter, Lora)
    projections: list[str] = config.adapter.config(hidden=768).attn_matrices
    return projections


# Printed keys that are no field of a run -> whether what they say holds here.
STATEMENTS: dict[str, Callable[[Row], bool]] = {
    "lr_search": lambda row: searched(row, "train.lr"),
    "k_search": lambda row: searched(row, "schedule.k"),
    "runs": replicates,
    "fisher_every_steps": tracked,
    "schedules": lambda row: len(list((CONFIG_DIR / "schedule").glob("fixed[1-9].yaml"))) == int(row["value"]),
    "optimizer": lambda row: all(config.train.optimizer == row["value"].lower() for config in configs_of(row)),
    "target_modules": lambda row: all(adapted(config) == row["value"].split(",") for config in configs_of(row)),
    "checkpoint": lambda row: composed("model=mdeberta", "schedule=std").model.source.endswith(f"/{row['value']}"),
    "max_epochs": bounds_budget,
    "max_hours": bounds_budget,
}


def test_every_printed_hyperparameter_is_what_its_runs_get() -> None:
    printed = [row for row in rows("settings.csv") if row["table"] not in ("5", "6")]
    wrong = [line for row in printed if row["key"] in FIELDS for line in differences(row)]
    wrong += [
        f"{row['source_row']}: {row['key']}={row['value']} does not hold"
        for row in printed
        if row["key"] not in FIELDS and not STATEMENTS[row["key"]](row)
    ]
    assert not wrong, "\n".join(wrong)
    assert len(printed) == 428  # of the paper's 4 tables and texts, none left uncompared


def test_every_configuration_of_the_result_tables_composes() -> None:
    columns = ("train_task", "model", "adapter", "method", "data_size")
    configurations = {tuple(row[column] for column in columns) for row in rows("numbers.csv")}
    full = {("none", "full"): ("full", "std")}  # as Table 7 is called there -> as it is typed
    runs = [
        (task, model, *full.get((adapter, method), (adapter, method)), size)
        for task, model, adapter, method, size in configurations
    ]
    assert len({run_id(config_of(run)) for run in runs}) == len(runs) == 94
    # Full fine-tuning and mDeBERTa: no learning rate is printed for them, nor a k for rand and rev.
    unprinted = {run for run in runs if run[2] == "full" or run[1] == "mdeberta"}
    assert {run for run in runs if "train.lr" in ours(config_of(run))} == unprinted
    no_k = {run for run in runs if run[3] in ("rand", "rev") or (run[1] == "mdeberta" and run[3] == "gu")}
    assert {run for run in runs if "schedule.k" in ours(config_of(run))} == no_k
    assert (len(unprinted), len(no_k)) == (12, 13)


def test_what_the_paper_did_not_run_composes_too() -> None:
    for model, task in product(MODELS, ("squad", "mnli")):
        for adapter, schedule in (("lora", "lpft"), ("lora", "fixed"), ("madx", "rev"), ("full", "std")):
            config_of((task, model, adapter, schedule, "1k"))


def test_every_value_of_a_real_model_says_where_it_comes_from() -> None:
    choices = product(
        ("squad", "mnli", "copa"), MODELS, ("madx", "lora", "full"), ("std", "gu", "fun", "lpft"), ("full", "1k")
    )
    runs = [
        run for run in choices if (run[0], run[4]) != ("copa", "1k") and (run[2], run[3] != "std") != ("full", True)
    ]
    sources = {
        model: {text for run in runs if run[1] == model for text in config_of(run).looked_up.values()}
        for model in MODELS
    }
    named = {model: {text for text in texts if not text.startswith("ours: ")} for model, texts in sources.items()}
    scripts, heads = "the authors' scripts, by default", "the authors' scripts: the library's heads for XLM-R"
    tables = {"Table 3", "Table 4", "Table 15", "appendix G.3", scripts}
    assert named == {"mbert": tables, "xlmr": tables | {heads}, "mdeberta": {scripts}}
    assert "ours: none given for mDeBERTa; XLM-R's of Table 3" in sources["mdeberta"]
