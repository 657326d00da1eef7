"""The service, connected to when it is needed: with everything there already, none is."""

from collections.abc import Callable

from app.cli.client import Client


class Lazily:
    """A client of the service that is made at its first use."""

    def __init__(self, made: Callable[[], Client]) -> None:
        self._made = made
        self._client: Client | None = None

    def __call__(self) -> Client:
        """The client; raises UsageProblem or ServiceUnreachable where there is nothing to connect to."""
        if self._client is None:
            self._client = self._made()
        return self._client
