"""What can go wrong with scores and measures, by meaning."""

from app.errors import FacsimileError


class ScoresRefused(FacsimileError):
    """Scores that cannot be taken as they stand; says where (the line of a file) and what to do."""

    def __init__(self, text: str, line: int | None = None) -> None:
        """`line` counts from 1, the header included."""
        self.line = line
        super().__init__(text if line is None else f"line {line}: {text}")


class Unresolvable(FacsimileError):
    """A measure asked of too few subjects, comparisons or scores; says how many are needed."""
