"""safetensors, parsed here like the rest: a header of JSON, and numbers that fill the file without gap or overlap."""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.reading.arrays import check_sizes
from workers.generator.reading.limits import Budget
from workers.generator.reading.refusals import FileRefused, shown

MAX_HEADER = 16 * 1024 * 1024
TYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "U8": "|u1",
    "BOOL": "|b1",
}


def read_safetensors(data: memoryview, budget: Budget) -> dict[str, NDArray[Any]]:
    """Every tensor of a safetensors file; raises FileRefused."""
    length = int.from_bytes(data[:8], "little")
    if length > min(MAX_HEADER, len(data) - 8):
        raise FileRefused(f"safetensors header would have {length:,} bytes", 0)
    try:
        header = json.loads(bytes(data[8 : 8 + length]), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise FileRefused("safetensors header is not JSON, or has a name twice", 8) from None
    if not isinstance(header, dict):
        raise FileRefused("safetensors header is not an object", 8)
    header.pop("__metadata__", None)
    body, start = data[8 + length :], 8 + length
    found: dict[str, tuple[int, int, str, tuple[int, ...]]] = {}
    for name, entry in header.items():
        found[name] = _entry(name, entry, len(body), budget)
    place = 0
    for name, (first, last, _, _) in sorted(found.items(), key=lambda item: item[1][:2]):
        if first != place:
            raise FileRefused(f"`{shown(name)}` overlaps another tensor, or leaves a gap", start + first)
        place = last
    if place != len(body):
        raise FileRefused(f"{len(body) - place} bytes after the last tensor", start + place)
    values: dict[str, NDArray[Any]] = {}
    for name, (first, last, kind, shape) in found.items():
        flat = np.frombuffer(body[first:last], TYPES[kind])
        if kind == "BF16":
            flat = (flat.astype("<u4") << 16).view("<f4")
        if kind == "BOOL" and flat.size and flat.view(np.uint8).max() > 1:
            raise FileRefused(f"`{shown(name)}` has booleans that are neither 0 nor 1", start + first)
        values[name] = flat.reshape(shape).copy()
    return values


def _entry(name: str, entry: Any, room: int, budget: Budget) -> tuple[int, int, str, tuple[int, ...]]:
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise FileRefused(f"`{shown(name)}` has other fields than dtype, shape and data_offsets", 8)
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in TYPES:
        raise FileRefused(f"`{shown(name)}` is of dtype `{shown(kind)}`, which is not known", 8)
    if not isinstance(shape, list) or not all(_size(one) for one in shape):
        raise FileRefused(f"`{shown(name)}` has a shape that cannot be", 8)
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(_size(one) for one in offsets):
        raise FileRefused(f"`{shown(name)}` has offsets that cannot be", 8)
    size = math.prod(check_sizes(tuple(shape), 8)) * int(TYPES[kind][2:])
    if offsets[1] > room or offsets[1] - offsets[0] != size:
        raise FileRefused(
            f"`{shown(name)}` takes {size:,} bytes, and other offsets or the file's size say otherwise", 8
        )
    budget.tensor(size, 8)
    return offsets[0], offsets[1], kind, tuple(shape)


def _size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**48


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found
