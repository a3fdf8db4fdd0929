"""What a record holds, what damages it, and who may read it."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fun.errors import RunError
from fun.results import Damaged, InvalidRecord, NotDone, RunFolder, State, checksum, run_folders, run_id_of
from fun.results.record import canonical_json
from tests.conftest import queue
from tests.results.runs import body, done, killed_attempt, run_in, start
from tests.waiting import ended

# --- canonical JSON ---


def test_canonical_json_has_one_spelling() -> None:
    assert canonical_json({"b": [1, 0.1, None], "a": "é"}) == '{"a":"é","b":[1,0.1,null]}'
    assert checksum({"b": 1, "a": 2.0}) == checksum({"a": 2.0, "b": 1}) != checksum({"a": 2, "b": 1})
    assert run_id_of({}) == "44136fa355b3678a"  # sha256("{}")


def test_canonical_json_refuses_what_would_not_come_back() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical_json({"loss": [float("nan")]})


# --- the schema ---


def measured(accuracy: object) -> dict[str, Any]:
    return {"evaluations": {"microcopa": {"l1": {"keys": {}, "metrics": {"accuracy": accuracy}}}}}


def opened(**changes: object) -> dict[str, Any]:
    return {"stages": [{"update": 1, "open": [1], "scores": {}, "trainable": 1, **changes}]}


def test_an_artifacts_record_has_inputs_files_and_timing_and_no_training(root: Path) -> None:
    training = {"evaluations": {}, "validation": [], "selected": None, "stages": []}
    run = run_in(root)
    with run.begin() as attempt:
        attempt.write_bytes("fisher/fisher.safetensors", b"f")
        attempt.finish(body(kind="artifact", **training))
    assert run.status().state is State.DONE
    assert (run.record().kind, run.record().metrics) == ("artifact", {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            measured("n/a"),
            r"evaluations\.microcopa\.l1\.metrics\.accuracy: found 'n/a': Input should be a valid number",
        ),
        (
            measured(float("nan")),
            r"evaluations\.microcopa\.l1\.metrics\.accuracy: found nan: Input should be a finite number",
        ),
        (
            {"evaluations": {"microcopa": {"l1": {"metrics": {}}}}},
            r"evaluations\.microcopa\.l1\.keys: found .*: Field required",
        ),
        ({"environment": {"x": [float("inf")]}}, r"environment\.x.*\.0.*: found inf: "),
        ({"config": {"layers": (1, 2)}}, r"config\.layers.*: found \(1, 2\): input was not a valid JSON value"),
        (opened(update=0), r"stages\.0\.update: found 0: Input should be greater than or equal to 1"),
        (opened(scores={1: 0.5}), r"stages\.0\.scores\.1.*: found 1: Input should be a valid string"),
        (opened(open=[3, 1]), r"stages\.0\.open: found \[3, 1\]: .*in ascending order, each once"),
        ({"stages": 2 * opened()["stages"]}, r"found .*expected in ascending order"),
        ({"selected": None}, r"the record: found .*expected a record that says what was selected"),
        (
            {"kind": "artifact"},
            r"the record: found .*expected no evaluations, validation, selected and",
        ),
        ({"peak_memory_bytes": True}, r"peak_memory_bytes: found True: Input should be a valid integer"),
        ({"marks": ["sinthetic"]}, r"marks\.0: found 'sinthetic': Input should be 'synthetic' or 'nonstandard'"),
        ({"notes": "x"}, r"notes: found 'x': Extra inputs"),
        ({"semantics": 2}, r"identity\.semantics: found 1, expected 2"),
        ({"inputs": {"train": "other"}}, r"identity\.inputs"),
        (
            {"identity": {"semantics": 1}},
            r"run_id: found '[0-9a-f]{16}', expected [0-9a-f]{16} for this identity",
        ),
    ],
)
def test_a_record_against_the_schema_names_the_field(root: Path, changes: dict[str, Any], message: str) -> None:
    run = run_in(root)
    with pytest.raises(InvalidRecord, match=message), run.begin() as attempt:
        attempt.finish(body(**changes))
    assert not (run.path / "record.json").exists()
    assert run.status().failure == "method"


def test_a_record_lacks_a_field(root: Path) -> None:
    incomplete = body()
    del incomplete["timing"]
    with pytest.raises(InvalidRecord, match=r"timing: found .*: Field required"), run_in(root).begin() as attempt:
        attempt.finish(incomplete)


# --- damage ---


def rewrite(run: RunFolder, seal: bool = True, **changes: object) -> None:
    """Replace fields of the record by hand, with a right checksum if `seal`."""
    fields = {**json.loads((run.path / "record.json").read_text()), **changes}
    if seal:
        fields["checksum"] = checksum({name: value for name, value in fields.items() if name != "checksum"})
    (run.path / "record.json").write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: os.truncate(run.path / "record.json", 400), "cannot be read as JSON"),
        (lambda run: os.truncate(run.path / "record.json", 0), "cannot be read as JSON"),
        (lambda run: (run.path / "record.json").write_text("[]"), "holds a JSON list, expected an object"),
        (lambda run: rewrite(run, seal=False, peak_memory_bytes=124), "checksum: found"),
        (lambda run: rewrite(run, schema=1), "schema: found 1, expected 2"),
        (lambda run: rewrite(run, peak_memory_bytes="124"), "peak_memory_bytes: found '124'"),
        (lambda run: rewrite(run, identity={"semantics": 1}), "run_id: found"),
        (lambda run: (run.path / "record.json").unlink(), "record.json is gone"),
        (
            lambda run: (run.path / "record.json").write_text('{"schema": 2, "x": NaN}'),
            "NaN is not a finite number",
        ),
    ],
)
def test_damage_is_found_reported_and_replaced_only_by_force(
    root: Path, damage: Callable[[RunFolder], object], message: str
) -> None:
    run = done(root)
    damage(run)
    status = run.status()
    assert status.state is State.DAMAGED
    assert message in status.detail
    with pytest.raises(Damaged, match="force=true"):
        run.begin()
    with run.begin(force=True) as attempt:
        attempt.finish(body())
    assert run.status().state is State.DONE


def test_every_flipped_byte_is_damage_or_no_change(root: Path) -> None:
    run = done(root)
    path, expected = run.path / "record.json", run.record()
    whole = path.read_bytes()
    damaged = 0
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        try:
            assert run.record() == expected
        except Damaged:
            damaged += 1
    assert damaged > len(whole) / 7 / 2  # the rest is whitespace between values


def test_listed_files_are_verified_on_request(root: Path) -> None:
    run = done(root)
    predictions = run.path / "predictions/microcopa.l1.parquet"
    predictions.write_bytes(b"First")
    assert run.record().attempt == 1
    with pytest.raises(Damaged, match=r"microcopa\.l1\.parquet has sha256:"):
        run.record(verify_files=True)
    predictions.unlink()
    with pytest.raises(Damaged, match=r"microcopa\.l1\.parquet is in the record and cannot be read"):
        run.record(verify_files=True)


def test_a_record_in_another_runs_folder_is_damaged(root: Path) -> None:
    run, other = done(root), run_in(root, "rev")
    os.rename(run.path, other.path)
    with pytest.raises(Damaged, match=f"found run_id {run.run_id} in a folder for {other.run_id}"):
        other.record()


# --- the step log ---


def test_the_log_is_cut_back_to_the_checkpoint_and_a_torn_line_is_ignored(root: Path) -> None:
    run = run_in(root)
    with run.begin() as attempt:
        log = attempt.metrics_log()
        for update in (1, 2, 3):
            log.append({"update": update, "loss": 0.5})
    with (run.path / "metrics.jsonl").open("a") as torn:
        torn.write('{"update": 4, "lo')
    assert [line["update"] for line in run.metrics_log()] == [1, 2, 3]
    with run.begin() as attempt:
        log = attempt.metrics_log(keep=2)
        log.append({"update": 3, "loss": 0.25})
        log.close()
        attempt.write_bytes("checkpoint/last", b"3")  # which brings the log to disk first
    assert run.metrics_log() == [
        {"update": 1, "loss": 0.5},
        {"update": 2, "loss": 0.5},
        {"update": 3, "loss": 0.25},
    ]


def test_an_odd_line_inside_the_log_is_damage(root: Path) -> None:
    run = run_in(root)
    with run.begin() as attempt:
        attempt.metrics_log().append({"update": 1})
    path = run.path / "metrics.jsonl"
    path.write_bytes(b'{"update": 1\n' + path.read_bytes())
    with pytest.raises(Damaged, match="line 1"):
        run.metrics_log()


def test_the_log_takes_finite_numbers_with_an_update_only(root: Path) -> None:
    with run_in(root).begin() as attempt:
        log = attempt.metrics_log()
        with pytest.raises(ValueError, match="JSON compliant"):
            log.append({"update": 1, "loss": float("nan")})
        with pytest.raises(ValueError, match="integer 'update'"):
            log.append({"loss": 1.0})


# --- readers ---


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in [folder, *folder.rglob("*")]
    }


def test_readers_never_write(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_everything(runs: list[RunFolder]) -> set[State]:
        run_folders(root)
        states = set()
        for run in runs:
            states |= {run.status().state, run.status(job_known=lambda job: True).state}
            run.metrics_log()
            for verify in (False, True):
                try:
                    run.record(verify_files=verify)
                except (NotDone, Damaged):
                    continue
        return states

    assert read_everything([run_in(root)]) == {State.MISSING}
    assert not root.exists()

    monkeypatch.setenv("FUN_HEARTBEAT_SECONDS", "1000")
    runs = [
        done(root, "gu"),
        done(root, "rev"),
        killed_attempt(root / "2"),
        run_in(root, "std"),
        run_in(root, "fun"),
    ]
    runs.append(run_in(root, "rand"))
    os.truncate(runs[1].path / "record.json", 30)
    with pytest.raises(RunError), runs[3].begin():
        raise RunError("NaN")
    queue(runs[4], "1")
    with runs[5].begin() as attempt:
        attempt.metrics_log().append({"update": 1})
        before = snapshot(tmp_path)
        states = read_everything(runs)
        assert snapshot(tmp_path) == before
    assert states == set(State)


def test_importing_the_store_is_light() -> None:
    process = start("print(sorted({'torch', 'pandas', 'numpy', 'transformers'} & set(sys.modules)))")
    assert ended(process)[0].strip() == "[]"
