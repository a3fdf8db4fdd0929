"""Where the package's own files lie."""

from pathlib import Path


def _config_dir() -> Path:
    """conf/ lies beside this package in a checkout and inside it when installed."""
    package = Path(__file__).resolve().parent
    inside = package / "conf"
    return inside if inside.is_dir() else package.parent / "conf"


CONFIG_DIR = _config_dir()
