"""What evaluation costs: English validation beside bare forward passes, and the share of evaluation in whole runs.

    python -m bench.evaluation --data FOLDER                       # small: English validation of MNLI, 2,490 pairs
    python -m bench.evaluation --data FOLDER --size mbert --rounds 1
    python -m bench.evaluation --runs mnli squad copa              # runs on the miniature world, with what they took

FOLDER has the publishers' files, as `data.root` reads them; encoder and tokenizer are those of bench.training. The
limit of validation is what bare forward passes over the same slots take, padding included. Its times are processor time
on a CPU, which other processes on the machine change less; those of whole runs are by the clock.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from bench.training import SIZES, Setting, now, spread
from fun.config.schema import results_root
from fun.experiment import run
from fun.inputs import compose, run_folder, source
from fun.training.inference import outputs


def validation(arguments: argparse.Namespace) -> None:
    """English validation as a run makes it, beside its limit."""
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(arguments, Path(folder))
    config, model = setting.config, setting.ours
    task, dataset = config.task, config.task.training_set
    rows = source(config).rows(dataset, "en", "validation")
    features = task.encode(rows, model.tokenizer, "en")
    passed: list[dict[str, Any]] = []
    seen = model.module.register_forward_pre_hook(lambda _, args, given: passed.append(given), with_kwargs=True)

    def whole() -> None:
        logits = outputs(model, features, slots=config.train.eval_slots, precision=config.precision)
        task.score(rows, features, logits, "en", dataset)

    @torch.inference_mode()
    def bare() -> None:
        model.module.eval()
        for given in passed:
            model.module(**given)

    whole()
    seen.remove()
    slots = sum(given["input_ids"].numel() for given in passed)
    tokens = sum(feature.slots for feature in features)
    ratios = []
    for _ in range(arguments.rounds):
        times = []
        for work in (whole, bare):
            started = now(arguments.device)
            work()
            times.append(now(arguments.device) - started)
        ratios.append(times[0] / times[1])
    print(f"{len(rows):,} rows, {len(passed)} parts, {slots:,} slots, {1 - tokens / slots:.1%} of them padding")
    print(f"validation: {spread(ratios)} its limit")


def shares(tasks: list[str]) -> None:
    """Where the time of whole runs goes."""
    with tempfile.TemporaryDirectory() as root:
        os.environ["FUN_RESULTS"] = root
        for task in tasks:
            config = compose([f"task={task}", "model=micro"])
            started = time.perf_counter()
            run(config)
            spent = time.perf_counter() - started
            timing = run_folder(config, results_root()).record().timing
            training, testing = (timing[name] / spent for name in ("train_seconds", "evaluate_seconds"))
            print(f"{task:8} updates {training:.0%}, test sets {testing:.0%}, validation, loading and saving the rest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="the publishers' own files")
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--vocabulary", type=int, default=8000, help="pieces of the tokenizer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", nargs="+", default=[], metavar="TASK")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.data:
        validation(argparse.Namespace(**vars(arguments), task="mnli", batch=32, updates=1))
    shares(arguments.runs)


if __name__ == "__main__":
    main()
