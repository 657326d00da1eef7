"""Measures over comparison scores and templates, in numpy and scipy alone; no images, networks, queues or stores."""
