"""The report: what was measured on a finished set, as data and as a page."""
