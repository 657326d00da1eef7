"""A verdict on comparison scores: metrics of a score file, its difference to a baseline, and PASS, FAIL or UNDECIDED."""
