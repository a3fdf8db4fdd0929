"""What a run would be: the JSON object of `dry_run=true`."""

from typing import Any

from fun.config import RunConfig, ours, results_root
from fun.config.checks import planned_updates
from fun.inputs import run_folder, run_id


def preview(config: RunConfig) -> dict[str, Any]:
    """Identity, folder, state, active fields, number of updates, and the openings and closings known beforehand.

    `ours` says which of the values no source gives, and why they are what they are. Epochs count from 1, as updates do.
    """
    folder = run_folder(config, results_root()).present()
    updates, per_epoch, at_least = planned_updates(config)

    def begins(update: int) -> dict[str, Any]:
        """When a stage begins: of one that begins with its epoch the update may be known by that alone."""
        if not config.schedule.by_epoch:
            return {"update": update}
        unsure = at_least and update > 1
        return {"epoch": (update - 1) // per_epoch + 1, "update": {"at_least": update} if unsure else update}

    return {
        "run_id": run_id(config),
        "folder": str(folder.path),
        "state": str(folder.status().state),
        "config": config.active(),
        "ours": ours(config),
        "updates": {"at_least": updates} if at_least else updates,
        "unfreezing": [
            begins(change.update)
            | {"layers": list(change.opened)}
            | ({"closed": list(change.closed)} if change.closed else {})
            for change in config.schedule.planned(config.layers, updates, per_epoch)
        ],
    }
