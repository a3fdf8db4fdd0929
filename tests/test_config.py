"""Composition, look-up and identity."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hydra
import pytest
import torch
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from pydantic import BaseModel

from fun.config import RunConfig, ours, results_root
from fun.config.choices import field_names
from fun.config.compose import composed, hydra_is_up
from fun.config.help import docstrings, help_text
from fun.errors import ConfigError
from fun.fisher import FISHERS
from fun.inputs import (
    SEMANTICS,
    adapter_origins,
    compose,
    identity,
    language_adapters,
    languages,
    run_id,
)
from fun.inputs.identity import FROZEN
from fun.machine.device import pick_device
from fun.models.tuning import TUNINGS
from fun.preview import preview
from fun.sweep import expand
from fun.tasks import TASKS
from fun.unfreezing import SCHEDULES, Standard
from reproduce.runs.store import configuration
from tests.conftest import ROOT, Cli
from tests.test_unfreezing import parsed


@pytest.mark.skipif(torch.cuda.is_available(), reason="device=cuda is no mistake on a machine with a GPU")
def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match="device=cuda, but torch finds no GPU here: type device=cpu"):
        pick_device("cuda", "fp32")


def test_typed_values_win_over_looked_up_ones_and_null_ones_are_filled() -> None:
    looked_up, typed = compose([]), compose(["train.lr=0.123", "schedule.k=7"])
    assert (typed.train.lr, typed.schedule.k) == (0.123, 7)
    assert looked_up.train.lr not in (None, 0.123)
    assert typed.train.updates == looked_up.train.updates


def test_typing_a_budget_in_one_unit_leaves_the_other_out() -> None:
    config = compose(["train.epochs=3", "schedule.k=20"])
    assert (config.train.epochs, config.train.updates) == (3, None)


def test_the_presets_set_the_fields_that_the_design_names() -> None:
    def chosen(*overrides: str) -> dict[str, object]:
        return compose(list(overrides)).active()

    official = chosen("paper=fun_official", "schedule=gu", "task=squad", "train.updates=2000")
    assert official["schedule"].items() >= {"delay": 1, "offset": 0}.items()  # type: ignore[attr-defined]
    assert official["task"]["mask_padding"] is False  # type: ignore[index]
    assert official["task"]["pad_to_max_length"] is True  # type: ignore[index]
    assert official["adapter"]["language_adapter"] is False  # type: ignore[index]
    assert official["train"]["ties"] == "latest"  # type: ignore[index]
    low = chosen("paper=fun_official", "schedule=fun", "data_size=1k")
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
        ["evaluate.languages=[en]", "track.fisher_every=5", "track.tests_every=epoch", "checkpoint.every=7", "threads=2", "logger=wandb",
         "device=cpu", "force=true", "fisher=exact"]
    )  # fmt: skip
    assert run_id(same) == run_id(base)  # gu does not use the Fisher estimator
    changes = (
        "seed=1", "schedule=rev", "schedule.k=19", "schedule=std", "train.lr=0.004", "train.eval_every=99", "task=copa",
        "adapter=lora", "adapter.reduction=2", "adapter.language_adapter=false", "data_size=1k", "precision=bf16",
        "train.ties=latest", "train.slots=512", "train.eval_slots=64", "paper=fun_official",
    )  # fmt: skip
    ids = [run_id(compose([change])) for change in changes]
    assert len({run_id(base), *ids}) == len(changes) + 1
    assert run_id(compose(["schedule=fun"])) != run_id(compose(["schedule=fun", "fisher=exact"]))

    named = identity(base)
    assert not set(named["fields"]) & {
        "schedule.delay",
        "schedule.offset",
        "train.clip",
    }  # at their frozen defaults
    assert named["fields"]["schedule.k"] == base.schedule.k
    assert set(named["inputs"]) == {"encoder", "language_adapter.en", "micronli.en.train", "micronli.en.validation"}
    assert not [key for key in compose(["adapter=lora"]).active()["adapter"] if key == "reduction"]


# Overrides -> the run_id that finished runs of the miniature world have.
FINISHED = {
    "": "61b4c1cae8c37276",
    "schedule=std seed=3": "923090ad77d740a5",
    "schedule=fun task=squad": "9696aaa0c0a25f32",
    "schedule=rev task=copa seed=1": "90ba3875d8d64ee8",
    "schedule=rand task=squad seed=2": "1b6d6a2231d94232",
    "schedule=lpft": "f6baead8ce31a5ff",
    "adapter=lora schedule=fun": "5ec83143724305e8",
    "data_size=1k": "a1cea865a0151986",
    "precision=bf16": "dbe592195a3d945f",
}


@pytest.mark.parametrize("typed", FINISHED)
def test_finished_runs_keep_their_ids(typed: str) -> None:
    assert run_id(compose(typed.split())) == FINISHED[typed]


REAL = ("model=mbert", "task=mnli", "schedule=std")


def test_identity_holds_revision_precision_and_the_origin_of_every_language_adapter() -> None:
    changes = (
        "model.revision=0123abc",
        "precision=bf16",
        "language_adapters.en=hub:AdapterHub/bert-base-multilingual-cased-sw-wiki_pfeiffer_relu",
        "language_adapters.en=hub:AdapterHub/bert-base-multilingual-cased-sw-wiki_pfeiffer@0123abc",
        "language_adapters.en=train",
        "data.nonstandard=true",
        "adapter.language_adapter=false",
    )
    ids = [run_id(compose([*REAL, change])) for change in changes]
    assert len({run_id(compose(REAL)), *ids}) == len(changes) + 1
    named = identity(compose([*REAL, "model.revision=0123abc"]))["inputs"]
    assert named["encoder"] == "hub:google-bert/bert-base-multilingual-cased@0123abc"
    assert named["language_adapter.en"] == "hub:AdapterHub/bert-base-multilingual-cased-en-wiki_pfeiffer_relu@main"


def test_the_caches_place_is_no_part_of_identity(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shown = []
    for cache in ("one", "another"):
        monkeypatch.setenv("HF_HOME", str(tmp_path / cache))
        shown.append(cli.preview(*REAL)["run_id"])
    assert shown[0] == shown[1] == run_id(compose(REAL))


def test_files_are_named_by_their_content_and_not_by_their_place(tmp_path: Path) -> None:
    for folder, text in {"a": "one\n", "b": "one\n", "c": "two\n"}.items():
        for data in ("text/l1.txt", "copa/copa-dev.xml", "encoder/config.json", "adapter/adapter_config.json"):
            (tmp_path / folder / data).parent.mkdir(parents=True)
            (tmp_path / folder / data).write_text(text)

    for overrides in (
        ["task=mlm", "lang=l1", "data.root={}/text"],
        ["task=copa", "data.root={}", "data.nonstandard=true"],
        ["task=mnli", "model.source=folder:{}/encoder", "language_adapters.en=train"],
        ["task=mnli", "language_adapters.en=folder:{}/adapter"],
    ):
        a, b, c = (run_id(compose([typed.format(tmp_path / folder) for typed in overrides])) for folder in "abc")
        assert a == b != c, overrides
    # Only the source language has a file there, so it is the only one that the run is tested in.
    config = compose(["task=copa", f"data.root={tmp_path / 'a'}", "data.nonstandard=true"])
    assert languages(config) == ("en",)


def test_origin_train_is_the_run_of_task_mlm_with_its_defaults() -> None:
    mlm = compose(["task=mlm", "lang=th", "model=mbert"])
    assert adapter_origins(compose(REAL))["th"] == f"run:{run_id(mlm)}"
    (thai,) = language_adapters(compose(REAL), "th")
    assert thai.producer() == ("task=mlm", "lang=th", "model=mbert")
    named = identity(mlm)
    assert [named[key] for key in ("task", "model", "adapter", "schedule")] == ["mlm", "mbert", "language", "std"]
    assert set(named["inputs"]) == {"encoder", "wikipedia.th.train", "wikipedia.th.validation"}
    assert named["fields"].items() >= {"lang": "th", "task.masking": 0.15, "adapter.reduction": 2}.items()
    assert not [key for key in mlm.active() if key in ("fisher", "data_size", "language_adapters")]
    # Another encoder has language adapters of its own.
    pinned = compose([*REAL, "model.revision=0123abc"])
    (thai,) = language_adapters(pinned, "th")
    assert thai.producer() == ("task=mlm", "lang=th", "model=mbert", "model.revision=0123abc")
    assert run_id(compose(thai.producer())) == thai.run_id != run_id(mlm)
    # Another paper's run has its values.
    (thai,) = language_adapters(compose([*REAL, "paper=fun_official"]), "th")
    assert thai.producer() == ("task=mlm", "lang=th", "model=mbert", "paper=fun_official")
    assert run_id(compose(thai.producer())) == thai.run_id != run_id(mlm)


def gaps(config: RunConfig, languages: Sequence[str]) -> dict[str, str]:
    adapters = {language: language_adapters(config, language) for language in languages}
    reasons = {language: each.gap(results_root()) for language, made in adapters.items() for each in made}
    return {language: reason for language, reason in reasons.items() if reason}


def test_gaps_name_the_command_that_fills_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FUN_RESULTS", str(tmp_path))
    config = compose([*REAL, "language_adapters.sw=null", "language_adapters.de=run:0123456789abcdef"])
    found = gaps(config, ["en", "th", "sw", "de"])
    assert set(found) == {"th", "sw", "de"}
    assert found["th"].endswith("type python -m fun.run task=mlm lang=th model=mbert first, then this command again")
    assert "type language_adapters.sw=train" in found["sw"]
    none = compose([*REAL, "~language_adapters", "+language_adapters.en=hub:AdapterHub/english"])
    assert "type +language_adapters.sw=train" in gaps(none, ["sw"])["sw"]
    assert "no task=mlm run 0123456789abcdef is done" in found["de"]
    assert not gaps(compose([*REAL, "adapter=lora"]), ["en", "th", "sw"])
    from fun.experiment import check_training_inputs

    with pytest.raises(ConfigError, match=r"lang=en model=micro first, .*training reads it"):
        check_training_inputs(compose(["language_adapters.en=train"]))


def test_values_of_ours_are_told_with_their_reasons() -> None:
    told = ours(compose(["model=mbert", "task=mnli", "schedule=rand"]))
    assert "GU's" in told["schedule.k"]
    assert "train.lr" not in told
    assert "schedule.k" not in ours(compose(["model=mbert", "task=mnli", "schedule=rand", "schedule.k=7"]))


def test_frozen_defaults_of_a_semantics_number_never_change() -> None:
    # A changed default needs a new semantics number: finished runs keep their ids.
    assert SEMANTICS == 2
    pinned = {
        "adapter.reduction": 16, "adapter.nonlinearity": "relu", "adapter.r": 8, "adapter.alpha": 8,
        "data_size.subset": "seeded", "fisher.batches": 40, "fisher.labels": "sampled", "fisher.name": "algorithm2",
        "schedule.delay": 0, "schedule.first": "top", "schedule.offset": 1, "task.mask_padding": True,
        "task.max_answer_length": 30, "task.n_best": 20, "task.pad_to_max_length": False, "train.clip": 1.0,
        "train.eval_slots": 4096, "train.lr_schedule": "linear", "train.slots": 1024, "train.ties": "earliest",
        "train.weight_decay": 0.0,
    }  # fmt: skip
    assert pinned.items() <= FROZEN[2].items()  # an addition renames nothing


DRY_RUNS = {
    ("schedule=gu",): "1:11 4:10 7:9 10:8 13:7 16:6 19:5 22:4 25:3 28:2 31:1 34:0",
    ("schedule=gu", "paper=fun_official"): "1:11 6:10 9:9 12:8 15:7 18:6 21:5 24:4 27:3 30:2 33:1 36:0",
    ("schedule=rev", "paper=fun_official"): "1:11 3:0 6:1 9:2 12:3 15:4 18:5 21:6 24:7 27:8 30:9 33:10",
    ("schedule=fun",): "1:11 4:? 7:? 10:? 13:? 16:? 19:? 22:? 25:? 28:? 31:? 34:?",
    ("schedule=lpft",): "4:11,10,9,8,7,6,5,4,3,2,1,0",
    ("schedule=lpft", "paper=fun_official"): "3:11,10,9,8,7,6,5,4,3,2,1,0",
}


SHORT_SCHEDULE = ("schedule.k=3", "train.updates=50")


@pytest.mark.parametrize("choice", DRY_RUNS, ids=" ".join)
def test_a_preview_says_what_opens_when(choice: tuple[str, ...]) -> None:
    shown = preview(compose([*choice, *SHORT_SCHEDULE]))
    assert [(o["update"], tuple(o["layers"])) for o in shown["unfreezing"]] == parsed(DRY_RUNS[choice])


def test_dry_run_prints_one_json_object(cli: Cli) -> None:
    shown = cli.preview("schedule=gu", *SHORT_SCHEDULE)
    assert set(shown) == {"run_id", "folder", "state", "config", "ours", "updates", "unfreezing"}
    assert (shown["updates"], shown["state"]) == (50, "missing")
    assert Path(shown["folder"]).name.endswith(shown["run_id"])
    assert not cli.results.exists()


def test_a_preview_says_at_least_where_windows_decide() -> None:
    shown = preview(compose(["task=squad", "train.epochs=2", "data_size=1k"]))
    assert shown["updates"] == {"at_least": 2 * 32}  # 1,000 examples in batches of 32


def test_help_says_what_every_field_means() -> None:
    sections = [RunConfig, *(field.annotation for field in RunConfig.model_fields.values())]
    choices = [kind for registry in (TASKS, TUNINGS, SCHEDULES, FISHERS) for kind in registry.values()]
    for section in [*(part for part in sections if isinstance(part, type) and issubclass(part, BaseModel)), *choices]:
        names = section.model_fields if issubclass(section, BaseModel) else field_names(section)
        own = [name for name in names if section is not RunConfig or not RunConfig.model_fields[name].metadata]
        nested = [name for name in own if section is RunConfig and name in ("model", "data_size", "train", "data")]
        assert not set(own) - {*docstrings(section), *nested, "evaluate", "track", "checkpoint", "logger"}, section


def test_help_shows_values_and_meanings_of_what_is_chosen() -> None:
    text = help_text(["schedule=lpft", "model=xlmr", "schedule.k=7"])
    assert "  schedule.k=7                            Updates of the head alone.\n" in text
    assert "  model.pooler=false " in text  # as the paper's rules say it
    assert re.search(r"\n  paper +fun fun_official graddrop l2 together\n", text)
    assert "schedule.delay" not in text


@dataclass(frozen=True)
class Twice(Standard):
    """A schedule of the tests."""

    times: int = 2
    """A field of its own."""


def test_a_choice_registered_here_composes_by_itself_and_beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCHEDULES, "twice", Twice)
    monkeypatch.setattr(Twice, "name", "twice")
    ConfigStore.instance().store(group="schedule", name="twice", node={"name": "twice", "times": 3})
    try:
        alone, beside = compose(["schedule=twice"]), configuration(("schedule=twice", "task=copa", "seed=1"))
        assert alone.schedule == beside.schedule == Twice(times=3)
        assert beside.active()["schedule"] == {"name": "twice", "times": 3}
        assert compose(["schedule=twice", "schedule.times=5"]).schedule == Twice(times=5)
        assert "schedule.times=3                        A field of its own." in help_text(["schedule=twice"])
    finally:
        del ConfigStore.instance().repo["schedule"]["twice.yaml"]


def test_another_paper_has_its_own_values_for_the_same_choice_and_one_for_each_setting() -> None:
    full = {"model": ["mbert"], "adapter": ["full"]}
    rules = [
        "fun/shared",
        {**full, "set": {"train.lr": 1e-5, "train.ties": "latest", "fisher.batches": 1}, "source": "Table 9"},
        {**full, "setting": [2, 3], "set": {"train.lr": 2e-5}, "source": "appendix Z"},
    ]
    ConfigStore.instance().store(group="paper", name="other", node={"name": "other", "rules": rules})
    try:
        typed = ["paper=other", "model=mbert", "task=mnli", "adapter=full", "schedule=std"]
        one, two = compose(typed), compose([*typed, "setting=2"])
        assert (one.train.lr, two.train.lr, compose(typed[1:]).train.lr) == (1e-5, 2e-5, 2e-5)  # the last is BERT's
        assert (one.looked_up["train.lr"], two.looked_up["train.lr"]) == ("Table 9", "appendix Z")
        # A paper and its setting fill values, and are no identity.
        by_hand = compose([*typed[1:], "train.lr=2e-5", "train.ties=latest"])
        assert run_id(by_hand) == run_id(two) != run_id(one)
    finally:
        del ConfigStore.instance().repo["paper"]["other.yaml"]


def test_choices_put_together_are_what_hydra_composes() -> None:
    with hydra_is_up() as loader:
        groups = ("model", "adapter", "schedule", "task", "fisher", "data_size", "regularizer", "mask", "paper")
        options = {group: loader.get_group_options(group) for group in groups}
    longest = max(map(len, options.values()))  # so that every choice is among them
    every = [[f"{group}={names[turn % len(names)]}" for group, names in options.items()] for turn in range(longest)]
    for typed in (
        *every,
        ["task=mlm", "lang=th", "model=mbert"],
        ["paper=fun_official", "schedule=fun", "model=xlmr", "task=squad", "data_size=1k", "train.lr=1e-3"],
        ["lang=${oc.env:NO_SUCH_VARIABLE,l1}", "schedule=fixed3"],
        ["logger=wandb", "adapter=lora", "evaluate.languages=[en]", "data.root='a b'", "lang=null"],
    ):
        with hydra_is_up():
            whole = OmegaConf.to_container(hydra.compose("config", overrides=typed), resolve=True)
        assert composed(typed) == whole


def test_jobs_of_a_sweep_are_what_their_overrides_compose(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = ("task=mnli,squad", "schedule=glob(r*)", "data_size=1k", "train.lr=choice(1e-3,5e-4)")
    typed += ("evaluate.languages=[en,l1]", "dry_run=true")
    jobs = expand(typed)
    assert len(jobs) == 8
    monkeypatch.setenv("FUN_RESULTS", str(cli.results))
    swept, decoder = cli("-m", *typed).stdout.strip(), json.JSONDecoder()
    for job in jobs:
        printed, end = decoder.raw_decode(swept)
        swept = swept[end:].lstrip()
        assert printed == json.loads(json.dumps(preview(compose(job))))
    assert swept == ""


def test_help_and_mistakes_do_not_wait_for_torch() -> None:
    code = (
        "import sys, fun.run, fun.preview; from fun.inputs import compose, run_id; run_id(compose([]));"
        "slow = {'torch', 'transformers', 'adapters', 'pandas', 'datasets'} & set(sys.modules);"
        "sys.exit(f'imported: {slow}' if slow else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
