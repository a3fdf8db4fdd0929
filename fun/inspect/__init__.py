"""Examples as the model will see them: `python -m fun.inspect task=squad lang=th model=xlmr`.

`request` says what to look at, `report` reads it as the run would and asks its task what there is to tell,
`rendering` prints that.
"""
