"""One self-contained HTML page: what is reproduced so far, and the truth about each number.

`material` gathers everything from the run folders; `glance`, `tables`, `figures`, `claims` and `upkeep` turn it into
what each section shows; `page` sets it, by the templates and styles here.
"""
