"""What was read of objects that do not change, kept in memory as long as there is room."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

ValueT = TypeVar("ValueT")


class Remembered(Generic[ValueT]):
    """Values by what identifies an object's very bytes; those asked for longest ago go first. Threads may share it.

    It knows nothing of whether the object is still there: that is asked of the store each time, and costs less.
    """

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes` of the objects that are remembered, together."""
        self._most = most_bytes
        self._bytes = 0
        self._values: OrderedDict[Hashable, tuple[ValueT, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, stamp: Hashable) -> ValueT | None:
        """What was put under a stamp; None where it is not known any more."""
        with self._lock:
            found = self._values.get(stamp)
            if found is None:
                return None
            self._values.move_to_end(stamp)
            return found[0]

    def put(self, stamp: Hashable, value: ValueT, size: int) -> None:
        """Remember a value that was made of objects of `size` bytes; one that would fill it all is not kept."""
        if size > self._most // 8:
            return
        with self._lock:
            _, before = self._values.pop(stamp, (value, 0))
            self._values[stamp] = value, size
            self._bytes += size - before
            while self._bytes > self._most:
                _, (_, gone) = self._values.popitem(last=False)
                self._bytes -= gone
