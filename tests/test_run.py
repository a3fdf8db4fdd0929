"""Runs end to end through the real entry point, on the miniature world with shrunken budgets."""

import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from fun.config import results_root
from fun.errors import ConfigError
from fun.results import Record
from tests.conftest import ROOT, SHORT, Cli, metrics_of, openings_of, outcome
from tests.test_unfreezing import parsed
from tests.waiting import until

FUN_COPA = ("task=copa", "schedule=fun", *SHORT, "evaluate.languages=[en,l1,l2]")


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A results folder with one finished run of `FUN_COPA`."""
    cli = Cli(tmp_path_factory.mktemp("done") / "results")
    cli(*FUN_COPA)
    return cli


@pytest.fixture
def copy(done: Cli, tmp_path: Path) -> Cli:
    """A copy of the finished run to break."""
    shutil.copytree(done.results, tmp_path / "results")
    return Cli(tmp_path / "results")


def only(cli: Cli) -> tuple[Path, dict]:  # type: ignore[type-arg]
    (file,) = cli.results.glob("runs/*/*/*/record.json")
    return file.parent, json.loads(file.read_text())


@pytest.mark.parametrize(
    ("arguments", "openings"),
    [
        (
            ("task=squad", "adapter=lora", "schedule=rand", "data_size=1k"),
            "1:11 2:? 3:? 4:? 5:? 6:? 7:? 8:? 9:? 10:? 11:? 12:?",
        ),
        (("task=mnli", "adapter=madx", "schedule=gu"), "1:11 2:10 3:9 4:8 5:7 6:6 7:5 8:4 9:3 10:2 11:1 12:0"),
        (("task=copa", "schedule=rev", "paper=fun_official"), "1:11,0 2:1 3:2 4:3 5:4 6:5 7:6 8:7 9:8 10:9 11:10"),
    ],
    ids=["squad lora rand", "mnli madx gu", "copa madx rev official"],
)
def test_a_run_of_each_task_ends_done(cli: Cli, arguments: tuple[str, ...], openings: str) -> None:
    cli(*arguments, *SHORT, "evaluate.languages=[en,l7]")
    folder, record = only(cli)
    for (opened_in, opened), (update, known) in zip(openings_of(record), parsed(openings), strict=True):
        assert opened_in == update
        assert set(known) <= set(opened)
    assert record["stages"][-1]["open"] == list(range(12))
    ((dataset, languages),) = metrics_of(record).items()
    assert list(languages) == ["en", "l7"]
    for language in languages:
        assert len(pd.read_parquet(folder / f"predictions/{dataset}.{language}.parquet")) >= 300
    assert [entry["update"] for entry in record["validation"]] == [7, 14]
    assert record["selected"]["update"] in (7, 14)
    assert not (folder / "checkpoint").exists()
    assert cli.preview(*arguments, *SHORT)["state"] == "done"


def test_fun_opens_the_layer_whose_recorded_score_is_largest(done: Cli) -> None:
    _, record = only(done)
    opened = {11}
    for stage in record["stages"][1:-1]:
        closed = {int(layer): score for layer, score in stage["scores"].items() if int(layer) not in opened}
        opened.add(max(closed, key=lambda layer: (closed[layer], layer)))
        assert set(stage["open"]) == opened
    parameters = [stage["trainable"] for stage in record["stages"]]
    assert parameters == sorted(parameters)
    assert len(set(parameters)) == 12


def test_metrics_can_be_recomputed_from_the_predictions_alone(done: Cli) -> None:
    folder, record = only(done)
    for language, metrics in metrics_of(record)["microcopa"].items():
        table = pd.read_parquet(folder / f"predictions/microcopa.{language}.parquet")
        assert 100 * (table["prediction"] == table["label"]).mean() == pytest.approx(metrics["accuracy"])


def test_adapter_and_head_load_in_a_script_that_knows_nothing_of_us(done: Cli, tmp_path: Path) -> None:
    folder, _ = only(done)
    script = tmp_path / "plain.py"
    assets = ROOT / "fun/world/assets"
    script.write_text(f"""
import sys
import torch
from adapters import AutoAdapterModel
from adapters.composition import Stack
from transformers import AutoTokenizer

model = AutoAdapterModel.from_pretrained({str(assets / "encoder")!r}, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained({str(assets / "encoder")!r})
model.load_adapter({str(assets / "adapters/l2")!r}, load_as="l2", with_head=False, use_safetensors=True)
name = model.load_adapter({str(folder / "adapter")!r}, use_safetensors=True)
model.set_active_adapters(Stack("l2", name))
model.eval()
rows = {rows_for_plain_script()!r}
predictions = []
for premise, question, choice1, choice2 in rows:
    first = f"{{premise}} What was the {{question}}?"
    inputs = tokenizer([first, first], [choice1, choice2], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = model(**{{name: value.unsqueeze(0) for name, value in inputs.items()}}).logits
    predictions.append(int(logits.argmax()))
print(predictions)
assert not [name for name in sys.modules if name.split(".")[0] == "fun"]
""")
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=tmp_path)
    table = pd.read_parquet(folder / "predictions/microcopa.l2.parquet")
    assert json.loads(printed.stdout.splitlines()[-1]) == table["prediction"].tolist()[:40]


def rows_for_plain_script() -> list[tuple[str, ...]]:
    from fun import world

    columns = ("premise", "question", "choice1", "choice2")
    return [tuple(row[column] for column in columns) for row in world.load_split("copa", "l2", "test")[:40]]


def test_further_languages_are_evaluated_without_training(copy: Cli) -> None:
    folder, whole = only(copy)
    lacking = {name: value for name, value in json.loads(json.dumps(whole)).items() if name != "checksum"}
    del lacking["evaluations"]["microcopa"]["l2"], lacking["files"]["predictions/microcopa.l2.parquet"]
    (folder / "predictions/microcopa.l2.parquet").unlink()
    (folder / "record.json").write_text(json.dumps(Record.sealed(lacking).to_json()))
    trained = (folder / "adapter/adapter.safetensors").stat().st_mtime_ns
    told = copy(*FUN_COPA).stderr
    assert "evaluating" in told
    assert "microcopa accuracy" in told
    assert (folder / "adapter/adapter.safetensors").stat().st_mtime_ns == trained
    assert outcome(only(copy)[1]) == outcome(whole)


def test_tracking_is_added_to_a_done_run_by_an_identical_training(done: Cli, copy: Cli) -> None:
    _, before = only(copy)
    assert before["tracking"]["fisher_every"] == 0
    copy(*FUN_COPA, "track.fisher_every=4")
    folder, after = only(copy)
    assert after["tracking"]["fisher_every"] == 4
    kept = outcome(after) | {"tracking": before["tracking"]}
    assert kept == outcome(before)
    assert after["tracking"]["fisher"] == {"name": "algorithm2", "batches": 2}
    assert "nothing to do" in copy(*FUN_COPA, "track.fisher_every=4").stderr
    tracked = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    tracked = [line for line in tracked if line["kind"] == "fisher"]
    assert [line["update"] for line in tracked] == [1, 5, 9, 13]
    assert [len(line["open"]) for line in tracked] == [1, 5, 9, 12]
    for line in tracked:
        assert line["mean_open"] == pytest.approx(sum(line["scores"].values()) / len(line["open"]))


def test_a_repeated_training_that_differs_leaves_the_old_record(copy: Cli) -> None:
    folder, record = only(copy)
    content = {name: value for name, value in record.items() if name != "checksum"}
    content["evaluations"]["microcopa"]["l1"]["metrics"]["accuracy"] += 1.0
    (folder / "record.json").write_text(json.dumps(Record.sealed(content).to_json()))
    before = (folder / "record.json").read_bytes()
    refused = copy(*FUN_COPA, "track.fisher_every=4", status=1)
    assert "the repeated training differs from the recorded one" in refused.stderr
    assert (folder / "record.json").read_bytes() == before


def test_a_diverging_run_stops_before_the_step_and_is_not_retried_unasked(cli: Cli) -> None:
    arguments = ("task=copa", "schedule=std", "train.lr=1e30", "train.updates=14")
    failed = cli(*arguments, status=1)
    assert "this update was not made" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert cli.preview(*arguments)["state"] == "failed"
    again = cli(*arguments, status=1)
    assert "retry=true" in again.stderr
    assert not list(cli.results.glob("runs/*/*/*/record.json"))
    assert "this update was not made" in cli(*arguments, "retry=true", status=1).stderr


def test_a_flipped_byte_is_damage(copy: Cli) -> None:
    folder, record = only(copy)
    text = (folder / "record.json").read_text()
    value = str(metrics_of(record)["microcopa"]["l1"]["accuracy"])
    assert text.count(value) >= 1
    (folder / "record.json").write_text(text.replace(value, "9" + value[1:], 1))
    assert copy.preview(*FUN_COPA)["state"] == "damaged"
    assert "force=true" in copy(*FUN_COPA, status=1).stderr


def test_changed_weights_are_found_before_further_languages_are_evaluated(copy: Cli) -> None:
    folder, record = only(copy)
    weights = folder / "adapter/adapter.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-5] ^= 64
    weights.write_bytes(changed)
    refused = copy(*FUN_COPA, "evaluate.languages=[l3]", status=1)
    assert "adapter.safetensors" in refused.stderr
    assert "force=true" in refused.stderr
    assert only(copy)[1] == record


def test_a_sweep_repeats_nothing_and_its_jobs_equal_runs_alone(done: Cli, tmp_path: Path) -> None:
    sweep = Cli(tmp_path / "results", cwd=tmp_path)  # another directory
    typed = ("-m", "schedule=gu,fun", *(item for item in FUN_COPA if not item.startswith("schedule=")))
    sweep(*typed)
    records = sweep.records()
    assert len(records) == 2
    _, alone = only(done)
    assert outcome(records[alone["run_id"]]) == outcome(alone)  # the second job
    before = {file: file.stat().st_mtime_ns for file in sweep.results.glob("runs/**/*")}
    shown = sweep(*typed)
    assert shown.stderr.count("nothing to do") == 2
    assert {file: file.stat().st_mtime_ns for file in sweep.results.glob("runs/**/*")} == before


def test_every_failing_job_of_a_sweep_is_named_and_the_others_finish(cli: Cli) -> None:
    typed = ("-m", "task=copa", "schedule=std", "train.lr=1e30,1e-3,1e31", "train.updates=8", "evaluate.languages=[en]")
    failed = cli(*typed, status=1)
    assert "2 jobs of the sweep failed" in failed.stderr
    errors = [line for line in failed.stderr.splitlines() if line.startswith("error:")]
    assert ["1e+30" in errors[0], "1e+31" in errors[1]] == [True, True]  # each when it happens …
    assert errors[2].count("train.lr=") == 2  # … and all at the end
    assert failed.stderr.count("this update was not made") == 2
    assert "Traceback" not in failed.stderr
    assert len(cli.records()) == 1


def test_installed_package_runs_from_an_empty_directory(tmp_path: Path) -> None:
    site, empty = tmp_path / "site", tmp_path / "empty"
    empty.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(site), str(ROOT)], check=True, capture_output=True, text=True)
    cli = Cli(tmp_path / "results", cwd=empty)
    environment = cli.environment() | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "fun.run", "task=copa", *SHORT, "evaluate.languages=[en]"]

    where = [sys.executable, "-c", "import fun, reproduce; print(fun.__file__, reproduce.__file__)"]
    found = subprocess.run(where, cwd=empty, env=environment, capture_output=True, text=True).stdout
    assert found.count(str(site)) == 2
    done = subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (record,) = cli.records().values()
    assert record["environment"]["git_sha"] is None
    assert not list(empty.iterdir())


def test_a_record_names_the_code_that_trained_whatever_becomes_of_the_checkout(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    for folder in ("fun", "conf"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / ".gitignore").write_text("__pycache__/\n")
    git(checkout, "init", "--quiet")
    first = commit(checkout)
    cli = Cli(tmp_path / "results", cwd=checkout)
    longer = [item for item in SHORT if not item.startswith("train.updates=")]
    typed = ("task=copa", "schedule=gu", *longer, "train.updates=42", "checkpoint.every=4", "evaluate.languages=[en]")
    killed = cli.start(*typed)
    wait_for_update(cli, 6)
    killed.kill()
    killed.communicate()
    second = commit(checkout)
    (checkpoint,) = cli.results.glob("runs/*/*/*/checkpoint/last.pt")
    before = checkpoint.stat().st_mtime_ns
    resumed = cli.start(*typed)
    until(lambda: checkpoint.stat().st_mtime_ns != before, "the second attempt trains")
    commit(checkout)
    (checkout / "fun/errors.py").write_text("no Python\n")
    _, told = resumed.communicate()
    assert resumed.returncode == 0, told
    environment = only(cli)[1]["environment"]
    assert (environment["git_sha"], environment["git_dirty"]) == (second, False)
    resumed_after = environment["code"][1]["update"] - 1
    assert environment["code"] == [
        {"update": 1, "git_sha": first, "git_dirty": False},
        {"update": resumed_after + 1, "git_sha": second, "git_dirty": False},
    ]
    assert resumed_after in range(4, 42, 4)  # after a checkpoint


def commit(checkout: Path) -> str:
    """The new commit of a checkout with a change."""
    with (checkout / "fun/errors.py").open("a") as file:
        file.write("# changed\n")
    git(checkout, "add", ".")
    git(checkout, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message", "change")
    return git(checkout, "rev-parse", "HEAD")


def git(checkout: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", checkout, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_results_root_that_is_no_folder_is_told_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.touch()
    for root, problem in ((file, "not a folder"), (file / "below", "cannot be reached (Not a directory)")):
        monkeypatch.setenv("FUN_RESULTS", str(root))
        with pytest.raises(ConfigError) as told:
            results_root()
        assert str(told.value) == f"FUN_RESULTS is {root}: {problem}: type export FUN_RESULTS=FOLDER"
    monkeypatch.setenv("FUN_RESULTS", str(tmp_path / "new/results"))
    assert results_root() == tmp_path / "new/results"
    assert not (tmp_path / "new").exists()


def test_wandb_offline_has_every_step_once_after_a_kill(cli: Cli) -> None:
    arguments = ("task=copa", "schedule=gu", *SHORT, "logger=wandb", "checkpoint.every=4", "evaluate.languages=[en]")
    process = cli.start(*arguments)
    wait_for_update(cli, 6)
    process.kill()
    process.communicate()
    cli(*arguments)
    folder, record = only(cli)
    steps = [step for run in sorted(folder.glob("wandb/offline-run-*/*.wandb")) for step in wandb_steps(run)]
    assert steps == list(range(1, 15))
    assert all(file.name.endswith(f"{record['run_id']}.wandb") for file in folder.glob("wandb/offline-run-*/*.wandb"))


def wandb_steps(file: Path) -> list[int]:
    """The steps in an offline run: LevelDB's log format, whose records are protobuf messages."""
    from wandb.proto import wandb_internal_pb2

    data, block = file.read_bytes(), 32768
    messages, position = [b""], 7  # behind the file's own header
    while position + 7 <= len(data):
        if block - position % block < 7:
            position += block - position % block
            continue
        length, kind = struct.unpack_from("<HB", data, position + 4)
        chunk = data[position + 7 : position + 7 + length]
        if kind == 0 or len(chunk) < length:  # a killed process leaves a torn end
            break
        messages[-1] += chunk
        if kind in (1, 4):  # a whole message, or the last part of one
            messages.append(b"")
        position += 7 + length
    steps = []
    for message in messages[:-1]:
        record = wandb_internal_pb2.Record.FromString(message)
        if record.WhichOneof("record_type") == "history":
            steps.append(record.history.step.num)
    return steps


def wait_for_update(cli: Cli, update: int) -> None:
    """Until some run's step log has reached `update`."""
    logs = lambda: cli.results.glob("runs/*/*/*/metrics.jsonl")  # noqa: E731
    until(lambda: any(f'"update": {update},' in log.read_text() for log in logs()), f"a run reached update {update}")
