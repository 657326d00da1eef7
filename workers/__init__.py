"""The verbs of Facsimile: generate, check, store, assemble, train."""
