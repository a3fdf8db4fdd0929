"""tr(F), the trace of the Fisher information, per block, and its estimators."""

from fun.fisher.estimators import Algorithm2, Batch, Estimator, Exact, Official
from fun.fisher.undisturbed import undisturbed

__all__ = ["Algorithm2", "Batch", "Estimator", "Exact", "Official", "undisturbed"]
