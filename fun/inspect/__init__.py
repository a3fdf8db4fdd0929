"""Examples as the model will see them: `python -m fun.inspect task=squad lang=th model=xlmr`.

`request` says what to look at, `views` what there is to see of each task, `rendering` how it looks.
"""
