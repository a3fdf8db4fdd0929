"""A view as CSV: one row per number, exact."""

import csv
import io

from reproduce.show.view import View


def to_csv(view: View) -> str:
    """The same results give the same bytes."""
    rows = [item.exact for item in view.items]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()
