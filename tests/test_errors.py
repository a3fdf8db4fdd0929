"""What Hydra, a launcher or a scheduler says in many lines, and the one line that a user reads instead."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fun.config import compose
from fun.errors import ConfigError
from tests.conftest import Cli

TYPED = {
    ("train.update=60",): "train has no field update: did you mean train.updates?",
    ("shedule=gu",): "there is no field shedule: did you mean schedule?",
    ("lr=1e-4",): "there is no field lr: did you mean train.lr?",
    ("nonsense=1",): "there is no field nonsense: python -m fun.run --help shows all",
    ("schedule=gu", "schedule.first=top"): (
        "schedule=gu has no field first; it has k, delay, offset: leave schedule.first out, "
        "or run schedule=gu in a sweep of its own"
    ),
    ("hydra/launcher=slurm_a10",): (
        "hydra/launcher is 'slurm_a10'; expected one of basic, local, slurm_a100, slurm_v100, submitit_local, "
        "submitit_slurm: did you mean slurm_a100?"
    ),
    ("data_size=1000",): "data_size is '1000'; expected one of 10k, 1k, 5k, full: type data_size=…",
    ("train=5",): "train is 5; expected its fields: type train.lr=…",
    ("seed", "0"): "'seed' is neither group=choice nor key=value: type seed=…",
    ("data.root=a(b)",): (
        "data.root is 'a(b)', which cannot be read; expected a value, with special characters quoted: "
        "type 'data.root=\"a(b)\"'"
    ),
    ("seed=0,1",): "seed=0,1 stands for many runs: type -m too, or seed=[0,1] for a list",
    ("sweep=lr_k",): "sweep=lr_k chooses from a group that not every run has: type +sweep=lr_k",
    ("+seed=1",): "+seed=1 adds a field that is there already: type seed=1",
}


@pytest.mark.parametrize("typed", TYPED, ids=" ".join)
def test_a_typing_error_is_one_line_with_what_to_type(typed: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as error:
        compose(typed)
    assert str(error.value) == TYPED[typed]


def test_a_single_run_says_it_in_the_same_line(cli: Cli) -> None:
    for typed in (("train.update=60",), ("data_size=1000",)):
        refused = cli("task=copa", *typed, status=2)
        assert refused.stderr == f"error: {TYPED[typed]}\n"


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
