"""Logs of jobs: below the results root, in `jobs/`, a folder per day."""

from pathlib import Path

from fun.results import RunFolder


def job_log(root: Path, job: str) -> Path | None:
    """The standard error of a job that `submit` started; None where there is none."""
    name = job.split(":")[2] if job.startswith("local:") else job
    return max((root / "jobs").glob(f"*/{name}_0_log.err"), default=None)


def idle_logs(run: RunFolder, root: Path) -> list[Path]:
    """The logs of the jobs that were last to run it and could not begin it (`RunFolder.idle_jobs`); latest first."""
    return [log for job in run.idle_jobs() if (log := job_log(root, job))]


def last_line(text: str) -> str:
    """The last line that says anything."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no output")
