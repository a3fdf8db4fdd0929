"""One spelling for every JSON value, so that equal values have equal hashes."""

import hashlib
import json
from collections.abc import Mapping


def canonical_json(value: object) -> str:
    """`value` as JSON with sorted keys, no whitespace, characters as they are, and floats as Python's repr.

    Raises ValueError for NaN and infinities, and TypeError for keys that are not strings: JSON would turn
    them into strings, and they would sort differently after reading them back.
    """
    _refuse_other_keys(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def checksum(value: object) -> str:
    """`sha256:` and 64 hexadecimal digits, over the canonical JSON of `value`."""
    return f"sha256:{_digest(value)}"


def run_id_of(identity: Mapping[str, object]) -> str:
    """The 16 hexadecimal digits that name the run with this identity."""
    return _digest(identity)[:16]


def _digest(value: object) -> str:
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _refuse_other_keys(value: object) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"found the key {key!r} in an object to hash, expected a string")
            _refuse_other_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_other_keys(item)
