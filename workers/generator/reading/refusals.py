"""The one error that reading ends in: what was found, and where."""

from app.errors import Corrupt


class FileRefused(Corrupt):
    """A file is not taken; says what was found in it and, where there is one, at which byte."""

    def __init__(self, problem: str, at: int | None = None) -> None:
        """`problem` is fit to be shown; `at` is the offset from the start of the file."""
        self.problem = problem
        self.at = at
        super().__init__(problem if at is None else f"{problem} (at byte {at:,})")


def shown(text: object, most: int = 120) -> str:
    """A name out of a file as it may be printed: escaped, so that no look-alike or control sign passes, and short."""
    plain = str(text).encode("ascii", "backslashreplace").decode("ascii")
    plain = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in plain)
    return plain if len(plain) <= most else f"{plain[:most]}… ({len(plain)} signs)"
