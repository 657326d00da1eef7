"""What can go wrong with the embedded stack."""

from app.errors import FacsimileError


class StackError(FacsimileError):
    """The embedded stack cannot start or go on; the text says why and what to do."""


class ChildDied(StackError):
    """A child ended before it was ready."""


class StackInterrupted(StackError):
    """Somebody asked the stack to stop while it was still starting."""
