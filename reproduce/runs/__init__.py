"""From a target to disk: the runs that it needs, what was found of them, the plan for the rest."""
