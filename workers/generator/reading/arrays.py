"""numpy's arrays as pickles describe them: dtype, shape and bytes, checked against each other."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.reading.limits import Budget
from workers.generator.reading.nodes import Array, Blob, Dtype, Global, Items, Latin, kind_of
from workers.generator.reading.refusals import FileRefused, shown

CODES = {"f2": 2, "f4": 4, "f8": 8, "i1": 1, "i2": 2, "i4": 4, "i8": 8, "u1": 1, "b1": 1}
"""numpy's codes that are taken, and bytes an item."""

MOST_ELEMENTS = 2**48
"""Of an array, and the most that a size or a stride may be: beyond it numpy itself would fail."""

MOST_DIMENSIONS = 8

ORDERS = ("<", ">", "|")


def make_dtype(arguments: list[Any], at: int) -> Dtype:
    """The node of numpy.dtype(code, False, True); one that is not known is refused where an array is made of it."""
    if len(arguments) != 3 or not isinstance(arguments[0], str) or any(type(a) is not bool for a in arguments[1:]):
        raise FileRefused("numpy.dtype is called with something else than a code and two booleans", at)
    return Dtype(str(arguments[0]), at)


def build_dtype(dtype: Dtype, state: Any, at: int) -> None:
    """Fill in a dtype's byte order from its state (3, order, None, None, None, -1, -1, 0)."""
    items = state.items if isinstance(state, Items) and state.kind == "tuple" else []
    if dtype.code not in CODES:
        return
    if dtype.order or len(items) != 8 or items[0] != 3 or items[1] not in ORDERS:
        raise FileRefused(f"dtype `{dtype.code}` has a state that is not known", at)
    if any(item is not None for item in items[2:5]) or [type(i) is int and i for i in items[5:]] != [-1, -1, 0]:
        raise FileRefused(f"dtype `{dtype.code}` has fields or an alignment of its own", at)
    dtype.order = str(items[1])


def make_array(arguments: list[Any], at: int) -> Array:
    """The node of numpy's _reconstruct(ndarray, (0,), b"b"), which is empty until it is built."""
    if len(arguments) != 3:
        raise FileRefused(f"_reconstruct is called with {len(arguments)} arguments, not three", at)
    kind, shape, code = arguments
    if not isinstance(kind, Global) or str(kind) != "numpy.ndarray":
        raise FileRefused("_reconstruct of something else than numpy.ndarray", at)
    if not isinstance(shape, Items) or len(shape.items) != 1 or type(shape.items[0]) is not int or shape.items[0]:
        raise FileRefused("_reconstruct with a shape other than (0,)", at)
    plain = bytes(code.data[:2]) if isinstance(code, Blob) else code.encode() if isinstance(code, str) else None
    if plain != b"b":
        raise FileRefused("_reconstruct with a type code other than b'b'", at)
    return Array(at)


def build_array(array: Array, state: Any, at: int) -> None:
    """Fill an array from its state (1, shape, dtype, Fortran order, data)."""
    items = state.items if isinstance(state, Items) and state.kind == "tuple" else []
    if array.data is not None or len(items) != 5 or type(items[0]) is not int or items[0] != 1:
        raise FileRefused("an array has a state that is not known", at)
    _, shape, dtype, fortran, data = items
    sizes = check_sizes(whole_numbers(shape, "size", at), at)
    if not isinstance(dtype, Dtype) or type(fortran) is not bool:
        raise FileRefused(f"an array of a {kind_of(dtype)}: not a dtype that is known", at)
    _fill(array, dtype, sizes, data, at)
    array.fortran = fortran


def make_scalar(arguments: list[Any], at: int) -> Array:
    """The node of numpy's scalar(dtype, data)."""
    if len(arguments) != 2 or not isinstance(arguments[0], Dtype):
        raise FileRefused("numpy's scalar is called with something else than a dtype and bytes", at)
    array = Array(at)
    _fill(array, arguments[0], (), arguments[1], at)
    return array


def _fill(array: Array, dtype: Dtype, shape: tuple[int, ...], data: Any, at: int) -> None:
    if dtype.code not in CODES:
        raise FileRefused(f"dtype `{shown(dtype.code)}` is not known ({', '.join(CODES)})", dtype.at)
    if isinstance(data, Blob):
        found: memoryview | bytes = data.data
    elif isinstance(data, Latin):
        found = data.encode("latin-1")
    else:
        raise FileRefused(f"array of shape {shape} has a {kind_of(data)} for its data, not bytes", at)
    if not dtype.order:
        raise FileRefused(f"dtype `{dtype.code}` has no byte order", at)
    if math.prod(shape) * CODES[dtype.code] != len(found):
        raise FileRefused(f"array of shape {shape} has {len(found):,} bytes of data", at)
    array.dtype, array.shape, array.data = dtype, shape, found


def array_values(array: Array, budget: Budget) -> NDArray[Any]:
    """An array's numbers, a copy in C order and in this machine's byte order."""
    if array.dtype is None or array.data is None:
        raise FileRefused("an array was never filled", array.at)
    order = array.dtype.order if CODES[array.dtype.code] > 1 else "|"
    budget.tensor(len(array.data), array.at)
    if array.dtype.code == "b1":
        return as_booleans(array.data, array.at).reshape(array.shape, order="F" if array.fortran else "C").copy("C")
    if order == "|" and CODES[array.dtype.code] > 1:
        raise FileRefused(f"dtype `{array.dtype.code}` has no byte order", array.at)
    flat = np.frombuffer(array.data, np.dtype(f"{order}{array.dtype.code}"))
    shaped = flat.reshape(array.shape, order="F" if array.fortran else "C")
    return shaped.astype(shaped.dtype.newbyteorder("="), order="C", copy=True)


def as_booleans(data: memoryview | bytes, at: int) -> NDArray[np.bool_]:
    """Bytes as booleans; raises FileRefused for bytes that are neither 0 nor 1."""
    raw = np.frombuffer(data, np.uint8)
    if raw.size and raw.max() > 1:
        raise FileRefused("booleans that are neither 0 nor 1", at)
    return raw.astype(np.bool_)


def whole_numbers(node: Any, what: str, at: int) -> tuple[int, ...]:
    """A tuple of sizes or strides; raises FileRefused for what is no whole number, or below zero."""
    if not isinstance(node, Items) or node.kind != "tuple":
        raise FileRefused(f"{what}s are a {kind_of(node)}, not a tuple", at)
    if len(node.items) > MOST_DIMENSIONS:
        raise FileRefused(f"{len(node.items)} {what}s; at most {MOST_DIMENSIONS} are taken", at)
    for value in node.items:
        if type(value) is not int:
            raise FileRefused(f"{what} is not a whole number: a {kind_of(value)}", at)
        if value < 0:
            raise FileRefused(f"negative {what} ({value})", at)
        if value > MOST_ELEMENTS:
            raise FileRefused(f"{what} {value} is over the limit", at)
    return tuple(node.items)


def check_sizes(sizes: tuple[int, ...], at: int) -> tuple[int, ...]:
    """The sizes of an array, if arrays can have them, even where one of them is nought; else raises FileRefused."""
    if len(sizes) > MOST_DIMENSIONS:
        raise FileRefused(f"{len(sizes)} sizes; at most {MOST_DIMENSIONS} are taken", at)
    if math.prod(max(size, 1) for size in sizes) > MOST_ELEMENTS:
        raise FileRefused(f"sizes {sizes} are over the limit", at)
    return sizes
