"""What can go wrong, by meaning. Nothing here knows HTTP: `app.api.error_handlers` maps these to statuses."""


class FacsimileError(Exception):
    """Base of every error that Facsimile raises on purpose; its text is fit to be shown to a user."""


class RequestRefused(FacsimileError):
    """A request that cannot be fulfilled as it stands; says which field and what to change."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        """`problems` holds (field, what is wrong and what to do) in the order they were found."""
        self.problems = problems
        super().__init__("; ".join(f"{field}: {text}" if field else text for field, text in problems))

    def listed(self) -> list[dict[str, str]]:
        """Each problem as field, problem and fix, for programs: a text says what is wrong; then what to do."""
        split = [(field, *text.partition("; ")) for field, text in self.problems]
        return [{"field": field, "problem": problem, "fix": fix} for field, problem, _, fix in split]


class NotAuthenticated(FacsimileError):
    """No API key, or one that is not known."""


class NotAllowed(FacsimileError):
    """The key is known, and its role does not allow this."""


class TooLarge(FacsimileError):
    """More was sent than is taken."""


class TooSlow(FacsimileError):
    """What was to be sent comes so slowly that it would hold a place that others need."""


class WrongMediaType(FacsimileError):
    """What was sent is of a kind, or encoded in a way, that is not read here."""


class QuotaExceeded(FacsimileError):
    """The tenant has as much under way as it may have, or asks too often."""

    def __init__(self, text: str, retry_after_s: int = 30) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class NotFound(FacsimileError):
    """The thing does not exist, or belongs to another tenant: callers cannot tell which."""


class Conflict(FacsimileError):
    """The thing exists in a state that does not allow this."""


class Withdrawn(FacsimileError):
    """The thing was taken back for good; what is left of it says why."""


class NotReady(FacsimileError):
    """The thing will exist, but does not yet."""


class Unavailable(FacsimileError):
    """A server that we depend on does not answer; trying again later may help."""

    def __init__(self, text: str, retry_after_s: int = 5) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(text)


class StoreUnavailable(Unavailable):
    """The object store does not answer."""


class QueueUnavailable(Unavailable):
    """The queue does not answer."""


class NoModel(Unavailable):
    """No worker has published a model card yet."""


class ObjectNotFound(FacsimileError):
    """No object under that key."""


class OutOfReach(FacsimileError):
    """What was asked for cannot be met, as the work itself has shown."""


class Misconfigured(FacsimileError):
    """A setting is missing, contradictory or left at its placeholder."""


class Corrupt(FacsimileError):
    """Something stored does not have the form or the digest that it should have."""


class Cancelled(FacsimileError):
    """The work was called off between two batches."""


class TookTooLong(FacsimileError):
    """A task was not done in the time that one may take."""


class Unfinished(FacsimileError):
    """The work stopped in good order before its end; what is done is kept, and another task goes on with it."""
