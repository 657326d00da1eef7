"""Trying again for a while, as long as a source is not reachable."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from app.client.errors import ServiceUnreachable

GIVE_UP_AFTER_S = 90.0
"""A connection that gives nothing for so long is given up; repeating the command goes on."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 5.0


@dataclass(kw_only=True)
class Patience:
    """Counts how long nothing has come; one for each thing that is waited for."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Something came."""
        self._deadline = self.clock() + GIVE_UP_AFTER_S
        self._pause_s = FIRST_PAUSE_S

    def wait(self, error: Exception) -> None:
        """Pause before another try; raises ServiceUnreachable once it has lasted too long."""
        if self.clock() > self._deadline:
            raise ServiceUnreachable(f"{error}; repeat the command to go on where it stopped") from error
        self.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def call(self, action: Callable[[], None]) -> None:
        """Do something until it does not end in ServiceUnreachable."""
        while True:
            try:
                return action()
            except ServiceUnreachable as exc:
                self.wait(exc)
