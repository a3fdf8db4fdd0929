"""Who makes the runs: this machine, or a cluster; where they stand; the search."""
