"""What is imported before this module is there to stay: no process that is forked looks for garbage among it."""

import gc

gc.collect()
gc.freeze()
