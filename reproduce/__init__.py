"""From finished runs to a paper's tables and figures: declarations, planner, statistics, rendering."""
