"""tr(F), the trace of the Fisher information, per block, and its estimators. Free of torch until one of them scores."""

from fun.fisher.estimators import FISHERS, Algorithm2, Estimator, Exact, Official
