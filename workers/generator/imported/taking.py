"""Taking a file's tensors over, each by its name and shape; what is missing, left over or not finite is refused."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.reading.refusals import FileRefused, shown

Values = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Converted:
    """A network in our own form."""

    kind: str
    """Of the family."""
    source: str
    """Which code base's file it is, for the record."""
    architecture: Any
    """The family's dataclass."""
    tensors: dict[str, NDArray[np.float32]]
    """The state of the family's network. Without `w_average` where the file has none: it is then to be sampled."""
    notes: tuple[str, ...] = ()
    """What a user should know of this file."""


class Taker:
    """The tensors of a file, taken one by one."""

    def __init__(self, tensors: Mapping[str, Values]) -> None:
        self._tensors = tensors
        self._left = dict.fromkeys(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def shape(self, name: str) -> tuple[int, ...]:
        """A tensor's shape, without taking it; raises FileRefused where it is missing."""
        if name not in self._tensors:
            raise FileRefused(f"weights are missing: `{shown(name)}` is missing")
        return tuple(self._tensors[name].shape)

    def take(self, name: str, *shape: int) -> NDArray[np.float32]:
        """A tensor of this shape as float32; raises FileRefused for any other, and for values that are not finite."""
        there = self.shape(name)
        if there != shape:
            raise FileRefused(f"`{shown(name)}` is {there}, expected {shape}")
        values = self._tensors[name]
        if values.dtype.kind != "f":
            raise FileRefused(f"`{shown(name)}` is {values.dtype}, floating point expected")
        with np.errstate(over="ignore"):
            found = values.astype(np.float32)
        if wrong := int(np.count_nonzero(~np.isfinite(found))):
            as_what = " as float32" if np.isfinite(values).all() else ""
            raise FileRefused(f"`{shown(name)}` has values that are not finite{as_what} ({wrong})")
        self._left.pop(name, None)
        return found

    def take_like(self, name: str, wanted: Sequence[float] | Values) -> None:
        """Take a constant whose values are known, such as a filter's; raises FileRefused for others."""
        known = np.asarray(wanted, np.float32)
        found = self.take(name, *known.shape)
        if not np.allclose(found, known, rtol=1e-4, atol=1e-6):
            raise FileRefused(f"`{shown(name)}` has other values than this network's arithmetic knows")

    def finish(self) -> None:
        """Raise FileRefused if something was not taken: then the network is another one than it seems."""
        if self._left:
            raise FileRefused(
                f"`{shown(next(iter(self._left)))}` is not known ({len(self._left)} tensors are left over)"
            )


@dataclass
class Keywords:
    """What a file says of a network's making; each keyword is asked for, and none may be left."""

    values: Mapping[str, Any]
    ignored: frozenset[str] = frozenset()
    """Keywords that change nothing of the images."""
    _asked: set[str] = field(default_factory=set)

    def get(self, name: str, default: Any = None) -> Any:
        """A keyword's value."""
        self._asked.add(name)
        return self.values.get(name, default)

    def number(self, name: str, default: float) -> float:
        """A finite number; raises FileRefused."""
        value = self.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise FileRefused(f"{name} is not a number")
        if not math.isfinite(value):
            raise FileRefused(f"{name} is not finite")
        return value

    def only(self, name: str, *known: Any) -> None:
        """A keyword of which one value is known (the first, which is its default, or another); raises FileRefused."""
        value = self.get(name, known[0])
        if not any(type(value) is type(one) and value == one for one in known):
            raise FileRefused(f"{name} `{shown(value)}` is not known ({', '.join(map(str, known))})")

    def finish(self) -> None:
        """Raise FileRefused for a keyword that nobody asked for."""
        for name in self.values:
            if name not in self._asked and name not in self.ignored:
                raise FileRefused(f"keyword `{shown(name)}` is not known")


def refused_as(exc: ValueError, **names: str) -> FileRefused:
    """An architecture's complaint in the words of a file; `names` gives the file's word for ours."""
    text = str(exc)
    for ours, theirs in names.items():
        if text.startswith(f"{ours} "):
            text = f"{theirs}{text[len(ours) :]}"
    return FileRefused(text)


def check_channels(there: Sequence[int], base: float, decay: float, most: float, least: float = 1) -> None:
    """Raise FileRefused unless TensorFlow's rule, min(base / 2^(stage · decay), max), gives these channels at 4, 8 …"""
    for step, channels in enumerate(there):
        try:
            ruled = min(max(int(base / 2 ** ((step + 1) * decay)), least), most)
        except (OverflowError, ZeroDivisionError):
            ruled = math.inf
        if ruled != channels:
            raise FileRefused(
                f"fmap_base {base}, fmap_decay {decay} and fmap_max {most}: channels do not fit the weights, which "
                f"have {channels} at {4 << step} pixels"
            )
