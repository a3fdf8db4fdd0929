"""FUN: scheduled unfreezing of adapters for zero-shot cross-lingual transfer."""

import os
import sys

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"] and not sys.flags.safe_path:
    # `python -m` looks in the working folder first, where a file datasets.py or torch.py would stand for the library.
    sys.path.append(sys.path.pop(0))
    os.environ["PYTHONSAFEPATH"] = "1"  # so would submitit's jobs
