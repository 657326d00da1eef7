"""What a client of the service does, as a library: calls, downloads, cache, lock file, verification.

Command line, pytest plugin and workers share it. It needs pydantic and httpx; nothing here prints or ends a program.
"""
