"""What becomes of a request: accepted, running, assembling, and its end. The store is the record."""
