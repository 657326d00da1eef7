"""Every exit code, and what a command can end on."""

from typing import NamedTuple

from app.client.errors import (
    FolderProblem,
    LockMismatch,
    NotCached,
    NotComparable,
    ServiceRefused,
    ServiceUnreachable,
    UsageProblem,
    VerificationFailed,
)
from app.errors import Corrupt, FacsimileError, Misconfigured, RequestRefused

OK, FAILED, USAGE, UNREACHABLE, UNVERIFIED, UNLOCKED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


class Ending(NamedTuple):
    """One line of the table of exit codes."""

    code: int
    meaning: str


ENDINGS = (
    Ending(OK, "done; diff: the same"),
    Ending(FAILED, "failed, or fewer samples than asked for; diff: they differ; evaluate: FAIL"),
    Ending(
        USAGE,
        "wrong usage, request, key or setting; a file that cannot be read or written; a fault of Facsimile's own; "
        "diff and evaluate: it could not be told, whatever the reason",
    ),
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


def exit_code(error: FacsimileError) -> int:
    """The exit code that an error means."""
    if isinstance(error, UsageProblem | RequestRefused | Misconfigured | NotComparable | FolderProblem):
        return USAGE
    if isinstance(error, ServiceUnreachable | NotCached):
        return UNREACHABLE
    if isinstance(error, VerificationFailed | Corrupt):
        return UNVERIFIED
    if isinstance(error, LockMismatch):
        return UNLOCKED
    if isinstance(error, ServiceRefused) and error.status in (400, 401, 403, 422):
        return USAGE
    if isinstance(error, ServiceRefused) and (error.status >= 500 or error.status == 429):
        return UNREACHABLE
    return FAILED
