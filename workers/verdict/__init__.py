"""A verdict on comparison scores: metrics, the difference to a baseline, and PASS, FAIL or UNDECIDED."""
