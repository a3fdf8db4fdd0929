"""From finished runs to a paper's tables and figures: declarations, planner, statistics, rendering."""

import fun as fun  # from where this package was found; the working folder then comes after the libraries
