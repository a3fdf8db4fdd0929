"""Randomness by position: every random number derives from (seed, purpose, position), never from a stream.

So there are no generator states to save, an interrupted run resumes exactly, and a Fisher pass or a random
schedule never disturbs training (design contract 5).
"""

import hashlib

import torch


def derive(seed: int, purpose: str, position: int) -> int:
    """A 63-bit seed for `purpose` (such as "dropout") at `position` (such as the update)."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{position}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str, position: int) -> torch.Generator:
    """A CPU generator seeded by position; drawing on the CPU gives the same numbers on every device."""
    return torch.Generator().manual_seed(derive(seed, purpose, position))
