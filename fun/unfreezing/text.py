"""Layers for people."""

from collections.abc import Set


def layers_text(layers: Set[int]) -> str:
    """Open layers: 11-8, or 11,3,0, or head."""
    ordered = sorted(layers, reverse=True)
    if not ordered:
        return "head"
    if len(ordered) > 1 and ordered == list(range(ordered[0], ordered[-1] - 1, -1)):
        return f"{ordered[0]}-{ordered[-1]}"
    return ",".join(map(str, ordered))
