"""The results store: one folder per run, its states, its attempts and its record.

    results/runs/<task>/<model>/<label>-<run_id>/
        record.json             the result, written last; a run is done when this file is there and valid
        config.yaml, metrics.jsonl, predictions/, ...    what the record's `files` lists
        checkpoint/             working state; leaves when the record is final
        queue/0001.json         the job that was to run it first
        attempts/0001.json      who began attempt 1 (0001.heartbeat: still at it; 0001.end.json: how it ended)
        attempts/0001.staging/  where attempt 1 writes before it publishes
        redo/                   where an attempt works that will replace the record

Only exclusive links, renames and removals decide between processes: no locks, so it holds on network file
systems. Reading never writes.
"""

from fun.results.attempt import Attempt
from fun.results.claim import NEVER_BEGUN, Claim, JobKnown, Phase, Reservation, State, Status, local_job
from fun.results.errors import AlreadyDone, Busy, Damaged, InvalidRecord, NotDone, ResultsError, Superseded, Unreadable
from fun.results.files import file_checksum
from fun.results.folder import RunFolder, done_run, in_order, run_folders
from fun.results.record import MARKS, SCHEMA, Record, checksum, predictions_file, run_id_of
