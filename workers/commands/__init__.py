"""Commands that the workers' package adds to the command line, each group in its module."""
