"""One spelling for every JSON value, so that equal values have equal hashes."""

import hashlib
import json
from collections.abc import Mapping


def canonical_json(value: object) -> str:
    """`value` as JSON with sorted keys, no whitespace, characters as they are, and floats as Python's repr.

    Raises ValueError for NaN and infinities. Keys are strings.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def checksum(value: object) -> str:
    """`sha256:` and 64 hexadecimal digits, over the canonical JSON of `value`."""
    return f"sha256:{hashlib.sha256(canonical_json(value).encode()).hexdigest()}"


def run_id_of(identity: Mapping[str, object]) -> str:
    """The 16 hexadecimal digits that name the run with this identity."""
    return checksum(identity).removeprefix("sha256:")[:16]
