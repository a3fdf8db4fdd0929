"""One self-contained HTML page per paper: what is reproduced so far, and the truth about each number; and an index."""
