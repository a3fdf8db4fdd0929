"""What a run would be: the JSON object of `dry_run=true`."""

from typing import Any

from fun.config import RunConfig, ours, results_root
from fun.config.checks import planned_updates, updates_per_epoch
from fun.inputs import run_folder, run_id


def preview(config: RunConfig) -> dict[str, Any]:
    """Identity, folder, state, active fields, number of updates, and the openings and closings known beforehand.

    `ours` says which of the values no source gives, and why they are what they are.
    """
    folder = run_folder(config, results_root()).present()
    updates, at_least = planned_updates(config)
    return {
        "run_id": run_id(config),
        "folder": str(folder.path),
        "state": str(folder.status().state),
        "config": config.active(),
        "ours": ours(config),
        "updates": {"at_least": updates} if at_least else updates,
        "unfreezing": [
            {"update": change.update, "layers": list(change.opened)}
            | ({"closed": list(change.closed)} if change.closed else {})
            for change in config.schedule.planned(config.layers, updates, updates_per_epoch(config)[0])
        ],
    }
