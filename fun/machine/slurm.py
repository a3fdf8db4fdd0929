"""What SLURM's programs inherit. Each of its options has a variable too, and a job leaves many to what it starts:

SLURM_MEM_PER_CPU of an interactive session ends a job that asks for memory per node, SQUEUE_STATES hides jobs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

PREFIXES = ("SLURM_", "SBATCH_", "SRUN_", "SALLOC_", "SQUEUE_", "SCANCEL_", "SCONTROL_", "SUBMITIT_")
KEPT = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "SLURM_JWT")
"""These say which cluster, and not what to do there."""


def environment() -> dict[str, str]:
    """This process's environment without what would change the meaning of a command to SLURM."""
    return {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(PREFIXES)}


@contextmanager
def outside_of_jobs() -> Iterator[None]:
    """Within, this process has that environment: for libraries that call SLURM's programs."""
    before = dict(os.environ)
    leave_job()
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


def leave_job() -> None:
    """From here on this process has that environment: it only submits and waits."""
    for name in os.environ.keys() - environment().keys():
        del os.environ[name]
