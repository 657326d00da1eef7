"""What workers have published to the store: models, matchers, marks."""
