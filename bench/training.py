"""An update of ours beside adapters' AdapterTrainer's: the same encoder, adapters, head and examples.

    python -m bench.training --data FOLDER                                       # NLI, small
    python -m bench.training --data FOLDER --size mbert --updates 12              # a multiple of the layers: gu too
    python -m bench.training --data FOLDER --task squad --size mbert --updates 2 --rounds 1 --precision bf16

FOLDER has the publishers' files, as `data.root` reads them. Encoder and language adapter have random weights, and the
tokenizer is made from the text. Each round sends the same examples once through every way, in turn, so that a machine
that speeds up or slows down meets all of them alike:

- padded to the maximum: AdapterTrainer, each example padded to the task's maximum, as in the authors' code
- longest of the batch: the same with `DataCollatorWithPadding`
- group_by_length: the same with batches of similar length, which are no random draws any more
- ours: random batches in length-sorted parts, all layers open
- ours, gu: the same while layers open one by one, each of the stages equally long (where `--updates` is a multiple of
  the layers)

Times are of whole updates: batch, forward, backward, clipping and step; on a CPU they are processor time, which other
processes on the machine change less. The trainer's loss of question answering takes
the softmax over padding too, ours masks it (`task.mask_padding`): the work is the same. Printed are ratios within a
round, their median and their lowest and highest; the processed token slots; and which share of the gain is reached
that removing all padding could bring.
"""

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from adapters import AdapterTrainer, AutoAdapterModel, SeqBnInvConfig
from torch import Tensor
from transformers import (
    BertConfig,
    DataCollatorWithPadding,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)

from fun.config import RunConfig
from fun.experiment import build_model
from fun.inputs import compose, source
from fun.models.task_model import TaskModel
from fun.tasks.base import Feature
from fun.training.batches import Batches, training_features
from fun.training.checkpoint import Progress
from fun.training.journal import Journal
from fun.training.loop import Training
from tests.tiny_tokenizers import wordpiece

SIZES = {"small": (4, 128), "mbert": (12, 768)}
"""Layers, and units of each."""

LABELS = {"mnli": ("labels",), "squad": ("start_positions", "end_positions")}
"""What the trainer calls a feature's labels."""

Example = dict[str, Any]
Collator = Callable[[Sequence[Example]], Mapping[str, Tensor]]


class Setting:
    """What all ways share: configuration, examples, and the slots and seconds of each way."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.layers, self.hidden = SIZES[arguments.size]
        self.arguments = arguments
        typed = [f"task={arguments.task}", f"data.root={arguments.data}", "data.nonstandard=true", "model=mbert"]
        task = compose(typed).task
        rows = source(compose(typed)).rows(task.training_set, "en", "train")
        self._write_encoder(folder, [str(row[column]) for row in rows for column in task.texts])
        self.typed = [
            *typed,
            f"model.source=folder:{folder / 'encoder'}",
            f"model.layers={self.layers}",
            f"language_adapters.en=folder:{folder / 'en'}",
            f"train.batch_size={arguments.batch}",
            f"train.updates={arguments.updates}",
            f"precision={arguments.precision}",
            f"device={arguments.device}",
        ]
        self.config = self.schedule("schedule=std")
        self.ours, self.theirs = self._model(), self._model()
        self.theirs.module.train_adapter(self.theirs.name)  # AdapterTrainer insists
        self.theirs.activate("en")
        features = training_features(self.config, rows, self.ours.tokenizer)[1]
        count = arguments.batch * arguments.updates
        if len(features) < count:
            raise SystemExit(f"{arguments.data} has {len(features)} examples, {count} are asked for")
        order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
        self.features: list[Feature] = [features[index] for index in order[:count].tolist()]

    def schedule(self, *typed: str) -> RunConfig:
        """The run's configuration with a schedule."""
        return compose([*self.typed, *typed])

    def _write_encoder(self, folder: Path, texts: Sequence[str]) -> None:
        wordpiece(texts, folder / "encoder", self.arguments.vocabulary)
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=self.arguments.vocabulary,
            hidden_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=max(1, self.hidden // 64),
            intermediate_size=4 * self.hidden,
        )
        model: Any = AutoAdapterModel.from_config(config)
        model.add_adapter("en", config=SeqBnInvConfig(reduction_factor=2))
        model.save_pretrained(folder / "encoder")
        model.save_adapter(str(folder / "en"), "en")

    def _model(self) -> TaskModel:
        model = build_model(self.config)
        model.module.to(torch.device(self.arguments.device))
        model.activate("en")
        return model

    def our_way(self, config: RunConfig) -> Callable[[], tuple[float, int]]:
        """An epoch of our loop: seconds and slots."""

        def epoch() -> tuple[float, int]:
            batches = Batches(
                self.features,
                batch_size=config.train.batch_size,
                seed=0,
                slots=config.train.slots,
                pad_id=self.ours.pad_id,
                device=self.ours.device,
            )
            work = Training(
                config=config,
                model=self.ours,
                batches=batches,
                updates=batches.per_epoch,
                validate=lambda: {"none": 0.0},
                test=dict,
                journal=cast(Journal, Unwritten()),
                progress=Progress(),
            )
            started = now(self.arguments.device)
            work.run()
            seconds = now(self.arguments.device) - started
            parts = (part for update in range(1, batches.per_epoch + 1) for part in batches[update].parts)
            return seconds, sum(part["input_ids"].numel() for part in parts)

        return epoch

    def their_way(
        self, examples: Sequence[Example], collate: Collator, **settings: Any
    ) -> Callable[[], tuple[float, int]]:
        """An epoch of AdapterTrainer: seconds and slots."""
        slots: list[int] = []

        def counted(chosen: Sequence[Example]) -> Mapping[str, Tensor]:
            batch = collate(chosen)
            slots.append(batch["input_ids"].numel())
            return batch

        def epoch() -> tuple[float, int]:
            slots.clear()
            train, clock = self.config.train, Clock(self.arguments.device)
            arguments = TrainingArguments(
                per_device_train_batch_size=train.batch_size,
                num_train_epochs=1,
                learning_rate=train.lr,
                max_grad_norm=train.clip,
                bf16=self.config.precision == "bf16",
                use_cpu=self.arguments.device == "cpu",
                remove_unused_columns=False,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                **settings,
            )
            model = self.theirs.module
            trainer = AdapterTrainer(
                model=model, args=arguments, train_dataset=examples, data_collator=counted, callbacks=[clock]
            )
            trainer.remove_callback(PrinterCallback)
            trainer.train()
            trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)
            return clock.seconds, sum(slots)

        return epoch

    def ways(self) -> dict[str, Callable[[], tuple[float, int]]]:
        """Every way by its name."""
        names, tokenizer = LABELS[self.config.task.name], self.theirs.tokenizer
        examples = [
            {
                **{name: values.tolist() for name, values in feature.inputs.items()},
                **dict(zip(names, feature.labels, strict=True)),
            }
            for feature in self.features
        ]
        whole = {"padding": "max_length", "max_length": self.config.task.max_length}
        padded = [dict(tokenizer.pad(dict(example), **whole)) for example in examples]
        to_longest = DataCollatorWithPadding(tokenizer)
        ways = {
            "padded to the maximum": self.their_way(padded, default_data_collator),
            "longest of the batch": self.their_way(examples, to_longest),
            "group_by_length": self.their_way(examples, to_longest, group_by_length=True),
            "ours": self.our_way(self.config),
        }
        if self.arguments.updates % self.layers == 0:
            k = self.arguments.updates // self.layers
            ways["ours, gu"] = self.our_way(self.schedule("schedule=gu", f"schedule.k={k}"))
        return ways


class Clock(TrainerCallback):
    """The seconds of an epoch."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds = 0.0

    def on_epoch_begin(self, *arguments: Any, **known: Any) -> None:
        self.seconds = -now(self.device)

    def on_epoch_end(self, *arguments: Any, **known: Any) -> None:
        self.seconds += now(self.device)


def now(device: str) -> float:
    """Seconds: of the processor, or on a GPU by the clock, behind all that it was asked to do."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Unwritten:
    """Keeps nothing of what the loop writes."""

    def log(self, line: object) -> None:
        return

    def save(self, checkpoint: object) -> None:
        return


def spread(ratios: Sequence[float]) -> str:
    """The median, and the lowest and highest of several."""
    return f"{statistics.median(ratios):5.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="the publishers' own files")
    parser.add_argument("--task", choices=sorted(LABELS), default="mnli")
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--vocabulary", type=int, default=8000, help="pieces of the tokenizer")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument(
        "--updates", type=int, default=16, help="of every way in a round; group_by_length sorts among a quarter"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(arguments, Path(folder))
        ways = setting.ways()
        lengths = sorted(feature.length for feature in setting.features)
        quartiles = ", ".join(str(round(each)) for each in statistics.quantiles(lengths))
        longest = setting.config.task.max_length
        print(
            f"{len(lengths)} examples: {lengths[0]} to {lengths[-1]} tokens, quartiles {quartiles}; maximum {longest}"
        )
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        slots: dict[str, int] = {}
        for turn in range(arguments.rounds):
            for name in itertools.islice(itertools.cycle(ways), turn, turn + len(ways)):
                spent, slots[name] = ways[name]()
                seconds[name].append(spent)
    padded, ours = seconds["padded to the maximum"], seconds["ours"]
    for name, times in seconds.items():
        to_padded = [other / mine for mine, other in zip(times, padded, strict=True)]
        to_ours = [mine / other for mine, other in zip(times, ours, strict=True)]
        each = 1000 * statistics.median(times) / arguments.updates
        print(
            f"{name:22} {each:9.1f} ms  {slots[name]:8,} slots  speed {spread(to_padded)}  time {spread(to_ours)} ours"
        )
    limit = slots["padded to the maximum"] / sum(lengths)
    reached = statistics.median(other / mine for mine, other in zip(ours, padded, strict=True)) / limit
    print(f"without any padding: {limit:.2f} x by slots, of which ours reaches {reached:.2f}")
    if "ours, gu" in ways:
        below = [lowest / setting.layers for lowest in range(setting.layers)]  # of a forward, what backward is spared
        model = 1 - statistics.fmean(below) / (2 - 1 / setting.layers)
        print(f"gu, if backward takes as long as forward, down to the lowest open layer: {model:.2f} x ours")


if __name__ == "__main__":
    main()
