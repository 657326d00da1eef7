"""Training of generators: corpus, losses, loop, export."""
