"""What a command can end on, and the exit code each means."""

from typing import NamedTuple

from app.errors import FacsimileError, Misconfigured, RequestRefused

OK, FAILED, USAGE, UNREACHABLE, UNVERIFIED, UNLOCKED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Ending(NamedTuple):
    """One line of the table of exit codes."""

    code: int
    meaning: str


ENDINGS = (
    Ending(OK, "done; diff: the same"),
    Ending(FAILED, "failed, or fewer samples than asked for; diff: they differ; evaluate: FAIL"),
    Ending(USAGE, "wrong usage, request or key; diff and evaluate: it could not be told, whatever the reason"),
    Ending(UNREACHABLE, "service unreachable; evaluate: UNDECIDED"),
    Ending(UNVERIFIED, "verification failed: something is not what its manifest or digest says"),
    Ending(UNLOCKED, "facsimile.lock does not hold a release, or holds another digest"),
    Ending(INTERRUPTED, "interrupted"),
)
"""Every exit code, in one place; --help shows it."""

EXIT_CODES = "\n\n".join(["Exit codes:", *(f"{code}  {meaning}" for code, meaning in ENDINGS)])
"""The table for --help; an empty line between two keeps them apart there."""


PASSED, NOT_PASSED, NOT_EVALUATED, UNDECIDED = 0, 1, 2, 3

EVALUATE_EXIT_CODES = """\
Exit codes of evaluate: 0 PASS, or metrics without a limit; 1 FAIL; 2 no verdict, whatever was wrong: usage, files,
service; 3 UNDECIDED; 130 interrupted."""


class UsageProblem(FacsimileError):
    """The command cannot be meant as it was written."""


class ServiceUnreachable(FacsimileError):
    """The service does not answer, or not in a way that it should."""


class ServiceRefused(FacsimileError):
    """The service answered with an error of ours."""

    def __init__(self, status: int, error: str, detail: str, request_id: str | None) -> None:
        self.status = status
        self.error = error
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


def exit_code(error: FacsimileError) -> int:
    """The exit code that an error means."""
    if isinstance(error, UsageProblem | RequestRefused | Misconfigured | NotComparable):
        return USAGE
    if isinstance(error, ServiceUnreachable):
        return UNREACHABLE
    if isinstance(error, VerificationFailed):
        return UNVERIFIED
    if isinstance(error, LockMismatch):
        return UNLOCKED
    if isinstance(error, ServiceRefused) and error.status in (400, 401, 403, 422):
        return USAGE
    if isinstance(error, ServiceRefused) and (error.status >= 500 or error.status == 429):
        return UNREACHABLE
    return FAILED
