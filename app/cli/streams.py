"""Standard output and error that never decide how a command ends.

Who reads may stop reading (`| head`), the disk behind a file may be full, a terminal may know no σ, and a stream may be
closed from the start. None of that may turn a PASS into the exit code of a FAIL: what cannot be written is dropped here
and noted, and `ended` makes of it what the command's own code allows.
"""

import errno
import io
import os
import select
import sys
from contextlib import suppress
from typing import TextIO

from app.cli.endings import OK, USAGE


class Sink(io.RawIOBase):
    """Bytes to a file descriptor; after an error, to nowhere."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.error: OSError | None = None
        """The first one."""

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def write(self, data) -> int:  # type: ignore[no-untyped-def]  # any buffer
        """Write, or drop."""
        while self.error is None:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError as exc:
                self.error = exc
        return len(data)


def prepare() -> tuple[Sink, Sink]:
    """Put such streams in the place of standard output and error."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:  # closed: else the next file that is opened would have its number, and be written into
            os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8")
    sinks = Sink(1), Sink(2)
    sys.stdout, sys.stderr = (_text(sink, stream) for sink, stream in zip(sinks, (sys.stdout, sys.stderr), strict=True))
    return sinks


def _text(sink: Sink, before: TextIO | None) -> TextIO:
    encoding = getattr(before, "encoding", None) or "utf-8"
    # A letter that the terminal does not know is shown by its number rather than not at all.
    return io.TextIOWrapper(
        io.BufferedWriter(sink), encoding=encoding, errors="backslashreplace", line_buffering=True, write_through=True
    )


def ended(code: int, sinks: tuple[Sink, Sink]) -> int:
    """The exit code of a command that ended on `code`, by what became of its output.

    A reader that stopped reading has what it wanted. Output that is lost otherwise makes OK to 2, for whoever asked
    does not have the answer; every other code stays what it is.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    lost = sinks[0].error
    if lost is not None and lost.errno != errno.EPIPE:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"facsimile: standard output could not be written: {lost.strerror}\n")
            sys.stderr.flush()
        return USAGE if code == OK else code
    return code
