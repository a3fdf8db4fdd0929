"""What is typed wrongly ends in a clear message: what was found, what was expected, what to type."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fun.errors import ConfigError
from fun.inputs import compose
from fun.sweep import expand
from tests.conftest import ROOT, Cli

# What was typed, what the message says was found, what was expected, and what to type. A row for each kind of mistake.
MISTAKES = [
    ("train.lr=0", "train.lr is 0", "expected greater than 0", ""),
    ("train.lr=fast", "train.lr is 'fast'", "expected a valid number", ""),
    ("train.lr=inf", "train.lr is inf", "expected a finite number", ""),
    ("train.ties=newest", "train.ties is 'newest'", "expected 'earliest' or 'latest'", ""),
    ("train.epochs=1 train.updates=5", "both of train.epochs and train.updates", "expected one", "leave one out"),
    ("setting=2", "setting is 2", "paper=fun has no settings", "leave it out"),
    ("setting=6 paper=l2", "setting is 6", "paper=l2 has settings 1, 2, 3, 4, 5", ""),
    ("task=fisher lang=l1 schedule=rev schedule.k=7", "task=fisher", "no update for schedule=rev", "leave it out"),
    ("train=5", "train is 5", "expected its fields", "type train.optimizer=…"),
    ("+train.learning_rate=1", "train.learning_rate", "not a field of this configuration", "leave it out"),
    ("+schedule.firts=top", "schedule.firts", "schedule=gu has no such field", "did you mean first?"),
    ("schedule.k=0", "schedule.k is 0", "a whole number of at least 1", ""),
    (
        "schedule.name=gradual",
        "schedule.name is 'gradual'",
        "expected one of fixed, fun, gradfreeze, gu, lpft, rand, rev, std",
        "",
    ),
    (
        "task=wpr paper=graddrop adapter=full schedule=std evaluate.every=3",
        "evaluate.every=3",
        "tears apart what task=wpr scores together",
        "type 1",
    ),
    ("schedule=fixed", "schedule.order has no value", "", "type schedule.order=…"),
    ("schedule=fixed schedule.order=3", "schedule.order is 3", "expected a list", "schedule.order=[3]"),
    (
        "schedule=fixed schedule.order=[1,2]",
        "schedule.order is [1, 2]",
        "a permutation of [0, 1, 2",
        "schedule.order=[",
    ),
    ("train.warmup=500", "train.warmup is 500", "training has 500 updates", "a smaller train.warmup"),
    ("schedule.k=500", "at update 5501", "training has 500 updates", "schedule.k or train.updates=5501 or more"),
    ("schedule=gu model=mbert adapter=full", "schedule.k has no value", "for this choice", "type schedule.k=…"),
    ("train.eval_every=never", "train.eval_every is 'never'", "a valid integer", ""),
    ("task=copa data_size=1k", "1000 training examples", "task=copa has 400", "type data_size=full"),
    ("task.max_length=384", "task.max_length is 384", "reads at most 128", "task.max_length=128 or less"),
    (
        "task=squad task.mask_padding=false",
        "task.mask_padding=false",
        "one padded length",
        "task.pad_to_max_length=true",
    ),
    ("task=squad task.doc_stride=60", "task.doc_stride is 60", "must advance", "task.doc_stride below"),
    ("evaluate.languages=[en,fr]", "has 'fr'", "task=mnli has en, l1, l2", ""),
    ("model.source=mbert", "model.source is 'mbert'", "hub:<namespace>/<name> or folder:<path>", "type model=mbert"),
    ("model=mbert schedule=std model.source=folder:nowhere", "folder:nowhere", "no such folder", ""),
    ("model.revision=main", "model.source is world", "a model of the hub", "leave it out"),
    ("language_adapters.l1=run:123", "'run:123'", "run:<16 hexadecimal digits>", ""),
    ("language_adapters.en=null", "there is none", "the language adapter of en", "type language_adapters.en=train"),
    ("model=mbert language_adapters.th=world", "world", "the miniature world's", "language_adapters.th=train"),
    (
        "adapter=full schedule=std regularizer=ewc regularizer.strength=1 regularizer.languages=[l1,l2,l1]",
        "regularizer.languages has l1 more than once",
        "each language once",
        "type regularizer.languages=[l1,l2]",
    ),
    ("task=mlm", "task=mlm", "the text of one language", "type lang=…, such as one of en, l1"),
    ("lang=l1", "lang=l1", "the language of a text", "type task=mlm"),
    ("task=mlm lang=l1 adapter=lora", "adapter=lora", "trains a language adapter", "leave adapter out"),
    ("adapter=language", "adapter=language", "task=mnli trains none", "leave adapter out"),
    ("precision=fp16 device=cpu", "precision=fp16", "needs a GPU", "type device=cuda, or precision=bf16"),
    ("task=squad schedule=fun fisher=exact fisher.labels=expected", "too many", "all classes", "fisher.labels=sampled"),
    ("model=mdeberta adapter=lora schedule=fun fisher=exact", "LoRA", "calls once", "type fisher=algorithm2"),
    ("data.root=nowhere", "data.root is 'nowhere'", "no folder", ""),
    ("data.root=. task=mlm lang=l1", "no text in l1", "expected l1.txt or l1/*.txt", ""),
    ("train.lr=${oc.env:NO_SUCH_VARIABLE}", "train.lr", "'NO_SUCH_VARIABLE' not found", ""),
    ("hparams=best", "hparams is 'best'", "published or selected", "hparams=selected"),
    # Hydra's own messages.
    ("train.update=60", "'train.update'", "", "Did you mean updates?"),
    ("model=bert", "'model/bert'", "Available options in 'model'", ""),
    ("data_size=1000", "Got int", "must be a string", "the name of a choice"),
    ("seed", "'seed'", "missing EQUAL", ""),
    ("seed=0,1", "'seed=0,1'", "", "--multirun"),
    ("+seed=1", "already at 'seed'", "", "remove + prefix"),
    ("sweep=lr_k", "'sweep'", "", "+sweep=lr_k"),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake[0])
def test_a_mistake_says_what_was_found_what_was_expected_and_what_to_type(mistake: tuple[str, ...]) -> None:
    typed, *said = mistake
    with pytest.raises(ConfigError) as error:
        compose(typed.split())
    assert not [part for part in said if part not in str(error.value)], error.value


# The same from the command line, and in sweeps: what was typed, and parts of the message.
COMMANDS = [
    ("schedule.k=0", "error: schedule.k is 0", "at least 1"),
    ("train.update=60", "error: Could not override 'train.update'", "Did you mean updates?"),
    ("data_size=1000", "error: Config group override", "the name of a choice"),
    ("--help model=bert", "error: In 'config': Could not find 'model/bert'", "mbert"),
    ("language_adapters.en=run:0123456789abcdef", "error: ", "no task=mlm run 0123456789abcdef is done under"),
    ("logger=wandb logger.mode=online", "error: ", "type wandb login first, or logger.mode=offline"),
    ("-m seed=0,1 schedule=gu,fun schedule.k=20,500", "4 of 8 jobs are wrong", "none was started"),
    ("-m seed=interval(0,1)", "error: ", "INTERVAL_SWEEP"),
    ("-m schedule=glob(zzz*)", "error: schedule=glob(zzz*) stands for no value", "expected at least one"),
    ("-m +sweep=lr_k +sweep.grid={schedule.kk:[2,3]}", "error: sweep.grid has schedule.kk", "did you mean schedule.k?"),
    ("-m +sweep=lr_k sweep.grid={schedule.k:[]}", "error: sweep.grid.schedule.k is []", "at least 1 item"),
    ("schedul=gu", "error: Could not override 'schedul'", "Did you mean schedule?"),
    ("-m schedule=glob(fixed*) schedule.k=0", "11 of 11 jobs are wrong", "schedule=fixed9"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_the_command_line_ends_without_a_traceback_and_trains_nothing(cli: Cli, command: tuple[str, ...]) -> None:
    typed, *said = command
    refused = cli(*typed.split(), status=2)
    assert not [part for part in said if part not in refused.stderr], refused.stderr
    assert "Traceback" not in refused.stderr
    assert "To append to your config use" not in refused.stderr  # here such a field is refused as well
    assert not cli.results.exists()


def test_a_sweep_may_be_over_all_choices_of_a_pattern() -> None:
    jobs = expand(["schedule=glob(fixed?)", "seed=range(0,2)"])
    assert jobs == [[f"schedule=fixed{number}", f"seed={seed}"] for number in range(10) for seed in (0, 1)]


SBATCH_REFUSES = {
    "srun": "",
    "sbatch": "echo 'sbatch: error: Batch job submission failed: Invalid account' >&2; exit 1",
}

# One job at a time, on this machine, and a sacct that fails as on a cluster without accounting.
NO_ACCOUNTING = {
    "sacct": "echo 'Slurm accounting storage is disabled' >&2; exit 1",
    "srun": 'while [ "$1" != "${1#-}" ]; do [ "$1" = --unbuffered ] || shift; shift; done; exec "$@"',
    "sbatch": (
        "echo Submitted batch job 7; export SLURM_JOB_ID=7 SLURM_JOB_NODELIST=here SLURM_NTASKS=1 SLURM_NNODES=1 "
        'SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0; bash "$1" >/dev/null 2>&1 &'
    ),
}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose programs are found first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder


def install(folder: Path, scripts: Mapping[str, str]) -> None:
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)


def test_a_refused_submission_is_one_line(cli: Cli, programs: Path) -> None:
    install(programs, SBATCH_REFUSES)
    refused = cli("-m", "hydra/launcher=slurm_a100", "task=copa", "seed=0,1", status=1)
    assert "Traceback" not in refused.stderr
    assert [line for line in refused.stderr.splitlines() if line.startswith("error:")] == [
        "error: no job was submitted: sbatch: error: Batch job submission failed: Invalid account: "
        "see partition and account in conf/hydra/launcher, or type hydra/launcher=local"
    ]


def test_a_cluster_without_accounting_is_no_news(cli: Cli, programs: Path) -> None:
    install(programs, NO_ACCOUNTING)
    swept = cli("-m", "hydra/launcher=slurm_a100", "task=copa", "dry_run=true")
    assert "Bypassing" not in swept.stdout + swept.stderr


@pytest.mark.parametrize(
    ("module", "typed"),
    [("fun.run", ["dry_run=true"]), ("fun.run", ["--help"]), ("reproduce", ["status"])],
)
def test_a_reader_that_has_seen_enough_sees_no_traceback(cli: Cli, module: str, typed: list[str]) -> None:
    """As `| head` is, which closes its end; here before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", module, *typed]
    ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=cli.environment())
    os.close(writer)
    assert (ended.stderr, ended.returncode) == ("", 1)
