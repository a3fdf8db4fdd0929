"""Composition, look-up, identity, and thirty mistakes with the line that each of them gets."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from fun.config import compose
from fun.config.identity import FROZEN, SEMANTICS, identity
from fun.config.lookup import fill
from fun.errors import ConfigError
from tests.conftest import ROOT, Cli
from tests.test_unfreezing import parsed

# What is typed -> what the message must say.
MISTAKES: list[tuple[list[str], str]] = [
    (["sede=1"], "Key 'sede' is not in struct"),
    (["train.learning_rate=1"], "Key 'learning_rate' is not in struct"),
    (["+train.learning_rate=1"], "train.learning_rate is not a field of this configuration"),
    (["schedule=gradual"], "Could not find 'schedule/gradual'"),
    (["model=bert"], "Could not find 'model/bert'"),
    (["model=mbert"], "model=mbert is declared, but this version runs only the built-in one"),
    (["model=xlmr"], "type model=micro"),
    (["model=mdeberta"], "type model=micro"),
    (["task=xnli"], "Could not find 'task/xnli'"),
    (["schedule.k=0"], "schedule.k is 0; expected a whole number of at least 1"),
    (["schedule.k=many"], "schedule.k is 'many'; expected a whole number of at least 1"),
    (["schedule=std", "schedule.k=5"], "Key 'k' is not in struct"),
    (["schedule.offset=-1"], "schedule.offset is -1; expected a whole number of at least 0"),
    (["schedule=fun", "schedule.first=bottom"], "schedule.first is 'bottom'; expected top or select"),
    (["schedule=fixed"], "schedule.order has no value: type schedule.order=…"),
    (
        ["schedule=fixed", "schedule.order=[1,2,3]"],
        "expected a permutation of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]",
    ),
    (["schedule.k=500"], "opens its last layer at update 5501, but training has"),
    (["schedule=lpft", "schedule.k=100000"], "opens its last layer at update 100001"),
    (["seed=-1"], "seed is -1; expected"),
    (["seed=first"], "seed is 'first'; expected"),
    (["train.lr=0"], "train.lr is 0; expected"),
    (["train.lr=fast"], "train.lr is 'fast'; expected"),
    (["train.batch_size=0"], "train.batch_size is 0; expected"),
    (["train.epochs=1", "train.updates=5"], "both of train.epochs and train.updates given; expected one"),
    (["train.lr_schedule=cosine"], "train.lr_schedule is 'cosine'; expected 'linear' or 'constant'"),
    (["train.ties=newest"], "train.ties is 'newest'; expected 'earliest' or 'latest'"),
    (
        ["task=copa", "data_size=1k"],
        "asks for 1000 training examples, but task=copa has 400: type data_size=full",
    ),
    (["data_size=2k"], "Could not find 'data_size/2k'"),
    (["task.max_length=384"], "model=micro reads at most 128 tokens: type task.max_length=128 or less"),
    (["task=squad", "task.doc_stride=60"], "windows must advance: type a task.doc_stride below"),
    (["task=squad", "schedule=fun", "fisher=exact", "fisher.labels=expected"], "type fisher.labels=sampled"),
    (["fisher=diagonal"], "Could not find 'fisher/diagonal'"),
    (["evaluate.languages=[en,fr]"], "evaluate.languages has 'fr'; task=mnli has en, l1, l2"),
    (["precision=fp8"], "precision is 'fp8'; expected 'fp32' or 'bf16'"),
    (["adapter.reduction=0"], "adapter.reduction is 0; expected"),
    (["adapter=lora", "adapter.r=-8"], "adapter.r is -8; expected"),
    (["device=tpu"], "device is 'tpu'; expected"),
    (["train.lr=inf"], "train.lr is inf; expected"),
    (["schedule=fixed", "schedule.order=[1,a,2]"], "expected a list of layers"),
    (["schedule=fixed", "schedule.order=3"], "expected a list of layers"),
    (["+schedule.foo=1"], "schedule.foo is not a field of schedule=gu; it has k, delay, offset"),
    (["+data_size.examples=8"], "data_size.examples and data_size.subset go together"),
    (["task=squad", "task.mask_padding=false"], "type task.pad_to_max_length=true as well"),
    (["logger=wandb", "logger.mode=online"], "needs a key: type wandb login first, or logger.mode=offline"),
    (["device=cuda"], "device=cuda, but torch finds no GPU here: type device=cpu"),
    (["threads=0"], "threads is 0; expected"),
    (["logger=tensorboard"], "Could not find 'logger/tensorboard'"),
    (["-m", "seed=0,1", "schedule=gu,fun", "schedule.k=20,500"], "4 of 8 jobs are wrong; none was started"),
    (["-m", "seed=0,-1"], "seed=-1: seed is -1; expected"),
]


def test_every_mistake_ends_in_a_clear_line_and_trains_nothing(cli: Cli) -> None:
    def attempt(mistake: tuple[list[str], str]) -> str | None:
        typed, message = mistake
        done = cli(*typed, status=None)
        problems = []
        if done.returncode == 0:
            problems.append("exit status 0")
        if message not in done.stderr:
            problems.append(f"expected {message!r}")
        if "Traceback" in done.stderr:
            problems.append("a traceback")
        return f"{' '.join(typed)}: {problems}, got:\n{done.stderr}" if problems else None

    # On a machine with a GPU device=cuda is no mistake.
    mistakes = [mistake for mistake in MISTAKES if mistake[0] != ["device=cuda"] or not torch.cuda.is_available()]
    with ThreadPoolExecutor(2) as pool:
        wrong = [problem for problem in pool.map(attempt, mistakes) if problem]
    assert not wrong, "\n".join(wrong)
    assert not list(cli.results.glob("runs/**/*")), "a mistake left something in the results"


def test_typed_values_win_over_looked_up_ones_and_null_ones_are_filled() -> None:
    looked_up, typed = compose([]), compose(["train.lr=0.123", "schedule.k=7"])
    assert (typed.train.lr, typed.schedule.fields["k"]) == (0.123, 7)
    assert looked_up.train.lr not in (None, 0.123)
    assert typed.train.updates == looked_up.train.updates


def test_typing_a_budget_in_one_unit_leaves_the_other_out() -> None:
    config = compose(["train.epochs=3", "schedule.k=20"])
    assert (config.train.epochs, config.train.updates) == (3, None)


def test_later_rules_win_and_typed_values_stay() -> None:
    values = {
        "task": {"name": "mnli"},
        "schedule": {"name": "gu", "k": None},
        "train": {"lr": 3.0, "epochs": None, "updates": None},
    }
    rules = [
        {"set": {"schedule.k": 1, "train.lr": 1.0}},
        {"task": ["mnli"], "schedule": ["gu", "fun"], "set": {"schedule.k": 2}},
        {"task": ["squad"], "set": {"schedule.k": 3}},
    ]
    fill(values, rules, "here")
    assert (values["schedule"]["k"], values["train"]["lr"]) == (2, 3.0)
    with pytest.raises(ValueError, match=r"here: a rule sets train\.lrr"):
        fill(values, [{"set": {"train.lrr": 1}}], "here")


def test_protocols_set_the_fields_that_the_design_names() -> None:
    def chosen(*overrides: str) -> dict[str, object]:
        return compose(list(overrides)).active()

    official = chosen("protocol=official", "schedule=gu", "task=squad", "train.updates=2000")
    assert official["schedule"] == {"name": "gu", "k": official["schedule"]["k"], "delay": 1, "offset": 0}  # type: ignore[index]
    assert official["task"]["mask_padding"] is False  # type: ignore[index]
    assert official["task"]["pad_to_max_length"] is True  # type: ignore[index]
    assert official["adapter"]["language_adapter"] is False  # type: ignore[index]
    assert official["train"]["ties"] == "latest"  # type: ignore[index]
    low = chosen("protocol=official", "schedule=fun", "data_size=1k")
    assert low["fisher"] == {"name": "official", "batches": 41}
    assert low["data_size"] == {"examples": 1000, "subset": "first"}
    assert low["adapter"]["language_adapter"] is True  # type: ignore[index]
    paper = chosen("schedule=fun", "data_size=1k")
    assert paper["data_size"] == {"examples": 1000, "subset": "seeded"}
    assert paper["train"]["ties"] == "earliest"  # type: ignore[index]
    assert "data_size" not in chosen()
    assert chosen("adapter=lora")["adapter"]["language_adapter"] is False  # type: ignore[index]


def test_identity_holds_what_is_read_and_nothing_else() -> None:
    base = compose([])
    same = compose(
        ["evaluate.languages=[en]", "track.fisher_every=5", "checkpoint.every=7", "threads=2", "logger=wandb",
         "device=cpu", "force=true", "fisher=exact"]
    )  # fmt: skip
    assert same.run_id == base.run_id  # gu does not use the Fisher estimator
    changes = (
        "seed=1", "schedule=rev", "schedule.k=19", "schedule=std", "train.lr=0.004", "train.eval_every=99", "task=copa",
        "adapter=lora", "adapter.reduction=2", "adapter.language_adapter=false", "data_size=1k", "precision=bf16",
        "train.ties=latest", "train.slots=512", "train.eval_slots=64", "protocol=official",
    )  # fmt: skip
    ids = [compose([change]).run_id for change in changes]
    assert len({base.run_id, *ids}) == len(changes) + 1
    assert compose(["schedule=fun"]).run_id != compose(["schedule=fun", "fisher=exact"]).run_id

    named = identity(base)
    assert not set(named["fields"]) & {
        "schedule.delay",
        "schedule.offset",
        "train.clip",
    }  # at their frozen defaults
    assert named["fields"]["schedule.k"] == base.schedule.fields["k"]
    assert set(named["inputs"]) >= {"encoder", "language_adapter.l7", "micronli.en.train", "micronli.l7.test"}
    assert not [key for key in compose(["adapter=lora"]).active()["adapter"] if key == "reduction"]


def test_frozen_defaults_of_a_semantics_number_never_change() -> None:
    # A changed default needs a new semantics number: finished runs keep their ids.
    assert SEMANTICS == 1
    pinned = {
        "adapter.reduction": 16, "adapter.nonlinearity": "relu", "adapter.r": 8, "adapter.alpha": 8,
        "data_size.subset": "seeded", "fisher.batches": 40, "fisher.labels": "sampled", "fisher.name": "algorithm2",
        "schedule.delay": 0, "schedule.first": "top", "schedule.offset": 1, "task.mask_padding": True,
        "task.max_answer_length": 30, "task.n_best": 20, "task.pad_to_max_length": False, "train.clip": 1.0,
        "train.eval_slots": 4096, "train.lr_schedule": "linear", "train.slots": 1024, "train.ties": "earliest",
        "train.weight_decay": 0.0,
    }  # fmt: skip
    assert pinned.items() <= FROZEN[1].items()  # an addition renames nothing


DRY_RUNS = {
    ("schedule=gu",): "1:11 4:10 7:9 10:8 13:7 16:6 19:5 22:4 25:3 28:2 31:1 34:0",
    ("schedule=gu", "protocol=official"): "1:11 6:10 9:9 12:8 15:7 18:6 21:5 24:4 27:3 30:2 33:1 36:0",
    ("schedule=rev", "protocol=official"): "1:11 3:0 6:1 9:2 12:3 15:4 18:5 21:6 24:7 27:8 30:9 33:10",
    ("schedule=fun",): "1:11 4:? 7:? 10:? 13:? 16:? 19:? 22:? 25:? 28:? 31:? 34:?",
    ("schedule=lpft",): "4:11,10,9,8,7,6,5,4,3,2,1,0",
    ("schedule=lpft", "protocol=official"): "3:11,10,9,8,7,6,5,4,3,2,1,0",
}


@pytest.mark.parametrize("choice", DRY_RUNS, ids=" ".join)
def test_dry_run_prints_one_json_object(cli: Cli, choice: tuple[str, ...]) -> None:
    shown = cli.preview(*choice, "schedule.k=3", "train.updates=50")
    assert [(o["update"], tuple(o["layers"])) for o in shown["unfreezing"]] == parsed(DRY_RUNS[choice])
    assert set(shown) == {"run_id", "folder", "state", "config", "updates", "unfreezing"}
    assert (shown["updates"], shown["state"]) == (50, "missing")
    assert Path(shown["folder"]).name.endswith(shown["run_id"])
    assert not cli.results.exists()


def test_dry_run_says_at_least_where_windows_decide(cli: Cli) -> None:
    shown = cli.preview("task=squad", "train.epochs=2", "data_size=1k")
    assert shown["updates"] == {"at_least": 2 * 32}  # 1,000 examples in batches of 32


def test_compose_raises_what_the_command_line_prints() -> None:
    with pytest.raises(ConfigError, match=r"schedule\.k is 0"):
        compose(["schedule.k=0"])
    assert json.dumps(compose([]).active())  # JSON all the way down


def test_help_and_mistakes_do_not_wait_for_torch() -> None:
    code = (
        "import sys, fun.run, fun.preview; from fun.config import compose; compose([]).run_id;"
        "slow = {'torch', 'transformers', 'adapters', 'pandas', 'datasets'} & set(sys.modules);"
        "sys.exit(f'imported: {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
