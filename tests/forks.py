"""Commands without the seconds that their imports take: a process that has imported what they import is forked for
each. What is tested is a process of its own as ever, which can be killed, stopped and told.
"""

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

IMPORTED = (
    "adapters",
    "datasets",
    "evaluate",
    "fun.experiment",
    "fun.preview",
    "reproduce.commands",
    "wandb",
    "tests.frozen",
)
READ_LATE = ("FUN_", "PATH", "PYTEST_", "SLURM_")
"""How the environment variables begin that nothing reads while it is imported."""

CONTEXT = multiprocessing.get_context("forkserver")
SERVED: dict[str, str] = {}
"""The environment in which the process of this session has imported."""


class Fork:
    """`python -m module arguments`; used as `subprocess.Popen` is, with text."""

    def __init__(self, module: str, arguments: tuple[str, ...], cwd: Path, environment: Mapping[str, str]) -> None:
        self.args = ["python", "-m", module, *arguments]
        self.returncode: int | None = None
        # A file never fills up as a pipe does that nobody reads.
        self._out, self._err = (tempfile.NamedTemporaryFile("r") for _ in range(2))  # noqa: SIM115
        streams = self._out.name, self._err.name
        self._process = ForkServerProcess(target=_become, args=(module, arguments, cwd, dict(environment), streams))
        _serve(environment)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        self.returncode = self._process.exitcode
        return self.returncode

    def wait(self) -> int | None:
        self._process.join()
        return self.poll()

    def communicate(self, said: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        assert not said, "nobody reads it"
        self._process.join(timeout)
        if self.poll() is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        with self._out, self._err:
            return self._out.read(), self._err.read()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()


Process = subprocess.Popen[str] | Fork


def can_fork(cwd: Path, root: Path, environment: Mapping[str, str]) -> bool:
    """Whether a process in this directory would import the same modules as one in `root`, and alike."""
    if cwd != root and any((*cwd.glob("*.py"), *cwd.glob("*/__init__.py"))):
        return False
    differing = environment.items() ^ SERVED.items() if SERVED else ()
    return all(name.startswith(READ_LATE) for name, _ in differing)


def _serve(environment: Mapping[str, str]) -> None:
    """Start the process to fork, in the environment of the first command."""
    if SERVED:
        return
    SERVED.update(environment)
    CONTEXT.set_forkserver_preload(list(IMPORTED))
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _become(
    module: str, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str], streams: tuple[str, str]
) -> None:
    for number, name in enumerate(streams, start=1):
        file = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
