"""`python -m reproduce retry TARGET…`: submit also what failed and is never tried again unasked."""

import argparse

from reproduce.commands.command import Command, Targets
from reproduce.commands.submit import add_arguments, submit


def _run(typed: argparse.Namespace, known: Targets) -> int:
    return submit(typed, known, retry=True)


COMMAND = Command("retry", "submit what targets lack, failed runs too", add_arguments, _run)
