"""The paper's statements as data, each checked on the published numbers and on our runs.

`declarations` says what a claim can say (read from `<paper>.yaml` here), `values` finds the numbers that it is
about, on paper or in run folders, and `evaluation` tells whether it holds.
"""
