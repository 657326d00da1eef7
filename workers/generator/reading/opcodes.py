"""The opcodes that are taken, and how the argument of each is read: never past the file, never more than it holds.

Names are those of `pickletools`. Its `genops` is not used: it reads an argument before one can say that the opcode is
not wanted, and turns thousands of digits into a number first.
"""

import codecs
import pickletools
import struct
from collections.abc import Callable

from workers.generator.reading.limits import Limits
from workers.generator.reading.nodes import Blob, Latin
from workers.generator.reading.refusals import FileRefused, shown

Argument = None | bool | int | float | str | Blob | tuple[str, str]

NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
"""Byte → name, of all opcodes that there are."""


class Cursor:
    """A place in a file's bytes; offsets are counted from `base`, the file's start."""

    def __init__(self, data: memoryview, limits: Limits, base: int = 0) -> None:
        self.data = data
        self.limits = limits
        self.base = base
        self.place = 0

    @property
    def at(self) -> int:
        """Offset from the start of the file."""
        return self.base + self.place

    @property
    def left(self) -> int:
        """Bytes that follow."""
        return len(self.data) - self.place

    def take(self, count: int, what: str) -> memoryview:
        """The next bytes; raises FileRefused if there are not so many."""
        if count > self.left:
            raise FileRefused(
                f"{what} asks for more bytes than the file has ({count:,}, {self.left:,} follow): the file ends in "
                "the middle",
                self.at,
            )
        found = self.data[self.place : self.place + count]
        self.place += count
        return found

    def number(self, layout: str, what: str) -> int:
        """A packed whole number."""
        return int(struct.unpack(layout, self.take(struct.calcsize(layout), what))[0])

    def line(self, most: int, what: str, over: str) -> bytes:
        """Bytes up to the next line feed, which is taken too; `over` is what is said of a longer line."""
        part = bytes(self.data[self.place : self.place + most + 1])
        end = part.find(b"\n")
        if end < 0:
            if len(part) > most:
                raise FileRefused(f"{what}: {over}", self.at)
            raise FileRefused(f"{what} has no end: the file ends in the middle", self.at)
        self.place += end + 1
        return part[:end]


def next_opcode(cursor: Cursor) -> tuple[str, int]:
    """Name and offset of the next opcode; raises FileRefused at the file's end and for what is no opcode."""
    at = cursor.at
    if not cursor.left:
        raise FileRefused("a pickle has no STOP: the file ends in the middle", at)
    code = cursor.take(1, "a pickle")[0]
    if code not in NAMES:
        raise FileRefused(f"byte 0x{code:02x} is not an opcode: not a pickle, or a damaged one", at)
    return NAMES[code], at


def read_argument(name: str, cursor: Cursor) -> Argument:
    """The argument of an opcode in READERS, None for one without."""
    return READERS[name](cursor, f"opcode {name}")


def _nothing(cursor: Cursor, what: str) -> None:
    return None


def _packed(layout: str) -> Callable[[Cursor, str], int]:
    return lambda cursor, what: cursor.number(layout, what)


def _float8(cursor: Cursor, what: str) -> float:
    return float(struct.unpack(">d", cursor.take(8, what))[0])


def _long(layout: str) -> Callable[[Cursor, str], int]:
    def read(cursor: Cursor, what: str) -> int:
        at, count = cursor.at, cursor.number(layout, what)
        if count < 0:
            raise FileRefused(f"{what} has a negative length ({count})", at)
        data = cursor.take(count, what)
        if count > cursor.limits.long_bytes:
            raise FileRefused(f"{what}: number has too many digits ({count:,} bytes)", at)
        return int.from_bytes(data, "little", signed=True)

    return read


def _digits(cursor: Cursor, what: str) -> tuple[str, int]:
    at = cursor.at
    line = cursor.line(40, what, "number has too many digits")
    return line.decode("ascii", "replace"), at


def _int_line(cursor: Cursor, what: str) -> int | bool:
    text, at = _digits(cursor, what)
    if text in ("00", "01"):
        return text == "01"
    return _whole(text, what, at)


def _long_line(cursor: Cursor, what: str) -> int:
    text, at = _digits(cursor, what)
    return _whole(text.removesuffix("L"), what, at)


def _index_line(cursor: Cursor, what: str) -> int:
    text, at = _digits(cursor, what)
    return _whole(text, what, at)


def _whole(text: str, what: str, at: int) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise FileRefused(f"{what}: `{shown(text)}` is not a whole number", at)
    return int(text)


def _float_line(cursor: Cursor, what: str) -> float:
    text, at = _digits(cursor, what)
    try:
        return float(text)
    except ValueError:
        raise FileRefused(f"{what}: `{shown(text)}` is not a number", at) from None


def _text(data: bytes, encoding: str, what: str, at: int) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        raise FileRefused(f"{what}: text is not {'UTF-8' if encoding == 'utf-8' else encoding}", at) from None


def _counted(layout: str, cursor: Cursor, what: str, most: int | None) -> tuple[memoryview, int]:
    at, count = cursor.at, cursor.number(layout, what)
    if count < 0:
        raise FileRefused(f"{what} has a negative length ({count})", at)
    data = cursor.take(count, what)
    if most is not None and count > most:
        raise FileRefused(f"{what}: a string of {count:,} bytes; at most {most:,} are taken", at)
    return data, at


def _unicode(layout: str) -> Callable[[Cursor, str], str]:
    def read(cursor: Cursor, what: str) -> str:
        data, at = _counted(layout, cursor, what, cursor.limits.text_bytes)
        return _text(bytes(data), "utf-8", what, at)

    return read


def _bytes(layout: str) -> Callable[[Cursor, str], Blob]:
    def read(cursor: Cursor, what: str) -> Blob:
        data, _ = _counted(layout, cursor, what, None)
        return Blob(data, cursor.at - len(data))

    return read


def _latin(layout: str) -> Callable[[Cursor, str], Latin]:
    # Python 2's strings hold arrays too: no cap but the file's size.
    return lambda cursor, what: Latin(bytes(_counted(layout, cursor, what, None)[0]).decode("latin-1"))


def _quoted(cursor: Cursor, what: str) -> Latin:
    at = cursor.at
    line = cursor.line(cursor.limits.text_bytes, what, "a string that is too long")
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise FileRefused(f"{what} is not quoted", at)
    try:
        plain, _ = codecs.escape_decode(line[1:-1])  # undocumented; pickle's own
    except ValueError:
        raise FileRefused(f"{what} has an escape that cannot be", at) from None
    return Latin(plain.decode("latin-1"))


def _unicode_line(cursor: Cursor, what: str) -> str:
    at = cursor.at
    line = cursor.line(cursor.limits.text_bytes, what, "a string that is too long")
    return _text(line, "raw-unicode-escape", what, at)


def _two_names(cursor: Cursor, what: str) -> tuple[str, str]:
    found = []
    for _ in range(2):
        at = cursor.at
        line = cursor.line(cursor.limits.name_bytes, what, "a name that is too long")
        found.append(_text(line, "utf-8", what, at))
    return found[0], found[1]


READERS: dict[str, Callable[[Cursor, str], Argument]] = {
    "PROTO": _packed("<B"),
    "FRAME": _packed("<Q"),
    "STOP": _nothing,
    "MARK": _nothing,
    "POP": _nothing,
    "NONE": _nothing,
    "NEWTRUE": _nothing,
    "NEWFALSE": _nothing,
    "BININT": _packed("<i"),
    "BININT1": _packed("<B"),
    "BININT2": _packed("<H"),
    "INT": _int_line,
    "LONG": _long_line,
    "LONG1": _long("<B"),
    "LONG4": _long("<i"),
    "FLOAT": _float_line,
    "BINFLOAT": _float8,
    "UNICODE": _unicode_line,
    "SHORT_BINUNICODE": _unicode("<B"),
    "BINUNICODE": _unicode("<I"),
    "BINUNICODE8": _unicode("<Q"),
    "STRING": _quoted,
    "SHORT_BINSTRING": _latin("<B"),
    "BINSTRING": _latin("<i"),
    "SHORT_BINBYTES": _bytes("<B"),
    "BINBYTES": _bytes("<I"),
    "BINBYTES8": _bytes("<Q"),
    "EMPTY_LIST": _nothing,
    "EMPTY_TUPLE": _nothing,
    "EMPTY_DICT": _nothing,
    "EMPTY_SET": _nothing,
    "LIST": _nothing,
    "DICT": _nothing,
    "TUPLE": _nothing,
    "TUPLE1": _nothing,
    "TUPLE2": _nothing,
    "TUPLE3": _nothing,
    "APPEND": _nothing,
    "APPENDS": _nothing,
    "SETITEM": _nothing,
    "SETITEMS": _nothing,
    "PUT": _index_line,
    "BINPUT": _packed("<B"),
    "LONG_BINPUT": _packed("<I"),
    "MEMOIZE": _nothing,
    "GET": _index_line,
    "BINGET": _packed("<B"),
    "LONG_BINGET": _packed("<I"),
    "GLOBAL": _two_names,
    "STACK_GLOBAL": _nothing,
    "REDUCE": _nothing,
    "NEWOBJ": _nothing,
    "BUILD": _nothing,
    "BINPERSID": _nothing,
}
"""Every opcode that is taken; BINPERSID only where torch's own formats have it."""
