"""What a pickle becomes here: inert records. None of them can do anything, whatever a file says.

Strings, numbers, booleans and None are themselves; all else is one of these classes. `at` is the byte at which the
opcode that made it stands.
"""

from dataclasses import dataclass
from typing import Any

from workers.generator.reading.refusals import FileRefused, shown

Key = str | int


class Latin(str):
    """A byte string of Python 2, one sign a byte: text as well as data."""

    __slots__ = ()


@dataclass(slots=True, eq=False)
class Blob:
    """Bytes, still lying in the file."""

    data: memoryview
    at: int


@dataclass(slots=True, eq=False)
class Items:
    """A list, tuple or set."""

    kind: str
    items: list[Any]
    at: int


@dataclass(slots=True, eq=False)
class Mapping:
    """A dict, OrderedDict or EasyDict; keys are strings or whole numbers, each once."""

    kind: str
    pairs: dict[Key, Any]
    at: int


@dataclass(slots=True, eq=False)
class Global:
    """A name of the table that nobody has called yet."""

    module: str
    name: str
    at: int

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False)
class Instance:
    """An object that is its attributes and nothing more: Namespace, BaseConfig, a TensorFlow Network."""

    kind: str
    at: int
    state: Mapping | None = None


@dataclass(slots=True, eq=False)
class Module:
    """A module of a persistent object: its class's name and its attributes; its source is not kept."""

    class_name: str
    state: Mapping
    at: int


@dataclass(slots=True, eq=False)
class Dtype:
    """A numpy dtype: kind and item size, and its byte order once BUILD has told it."""

    code: str
    at: int
    order: str = ""


@dataclass(slots=True, eq=False)
class Array:
    """A numpy array or scalar; `data` is None until BUILD has filled it."""

    at: int
    dtype: Dtype | None = None
    shape: tuple[int, ...] = ()
    fortran: bool = False
    data: memoryview | bytes | None = None


@dataclass(slots=True, eq=False)
class Storage:
    """A run of numbers of torch's; `data` is None while the file has not come to it."""

    code: str
    key: str
    count: int
    at: int
    data: memoryview | None = None


@dataclass(slots=True, eq=False)
class Packed:
    """A storage as the bytes of torch's format before its archives, pickles again; the interpreter unpacks it."""

    blob: Blob


@dataclass(slots=True, eq=False)
class Tensor:
    """A view of a storage whose bounds have been checked."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]
    at: int


def kind_of(node: Any) -> str:
    """What a node is, in a word, for refusals."""
    if isinstance(node, (Items, Mapping, Instance)):
        return node.kind
    return {"NoneType": "None", "Latin": "str"}.get(type(node).__name__, type(node).__name__)


def children(node: Any) -> list[Any]:
    """What hangs on a node."""
    if isinstance(node, Items):
        return node.items
    if isinstance(node, Mapping):
        return list(node.pairs.values())
    if isinstance(node, (Instance, Module)):
        return [] if node.state is None else [node.state]
    return []


def set_pair(target: Mapping, key: Any, value: Any, at: int) -> None:
    """Add a pair to a mapping; raises FileRefused for keys that are no strings or numbers, and for one given twice."""
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise FileRefused(f"dict key is not a string (nor a whole number): it is a {kind_of(key)}", at)
    if isinstance(key, int) and abs(key) >= 2**31:
        raise FileRefused(f"dict key {key} is over the limit", at)
    plain: Key = str(key) if isinstance(key, Latin) else key
    if plain in target.pairs:
        raise FileRefused(f"key `{shown(plain)}` occurs twice", at)
    target.pairs[plain] = value
