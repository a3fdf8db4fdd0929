"""One self-contained HTML page per paper: what is reproduced so far, and the truth about each number; and an index.

`material` gathers everything from the run folders; `sections` and `upkeep` say what each part of the page shows;
`page` sets it, by the templates and styles here.
"""
