"""From records to numbers: cells, statistics, verdicts, claims, and what is behind each."""
