"""What a client's call can end in. `app.cli.endings` says which exit code each means."""

from typing import NamedTuple

from app.errors import FacsimileError


class UsageProblem(FacsimileError):
    """The command cannot be meant as it was written."""


class ServiceUnreachable(FacsimileError):
    """The service does not answer, or not in a way that it should."""


class NotCached(FacsimileError):
    """Nobody may be asked, and the cache does not have all."""


class Problem(NamedTuple):
    """One thing that the service finds wrong with a request."""

    field: str
    """By its dotted path."""
    problem: str
    fix: str


class ServiceRefused(FacsimileError):
    """The service answered with an error of ours."""

    def __init__(
        self, status: int, error: str, detail: str, request_id: str | None, problems: tuple[Problem, ...] = ()
    ) -> None:
        self.status = status
        self.error = error
        self.request_id = request_id
        self.problems = problems
        """Field by field, where the service says so."""
        text = detail or error
        super().__init__(f"{text} (request {request_id})" if request_id else text)


class DatasetEnded(FacsimileError):
    """A dataset ended otherwise than by succeeding."""


class CalibrationEnded(FacsimileError):
    """A calibration found no scale that meets its target."""


class Shortfall(FacsimileError):
    """A dataset has fewer samples than asked for."""


class VerificationFailed(FacsimileError):
    """Something downloaded is not what the manifest says."""

    def __init__(self, text: str, wrong: list[str]) -> None:
        self.wrong = wrong
        super().__init__(text)


class LockMismatch(FacsimileError):
    """What is there, or asked for, is not what facsimile.lock holds."""


class FolderProblem(FacsimileError):
    """A file cannot be written or read: the disk is full, say, or a permission is missing."""


class NotComparable(FacsimileError):
    """Two releases could not be compared; `diff` must not end on the code that means 'they differ'."""
