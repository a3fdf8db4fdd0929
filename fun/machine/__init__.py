"""The machine that a run runs on: device and code version, signals, the hub client."""
