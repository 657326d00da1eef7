"""torch's storages and the tensors that are views of them: sizes, strides and offsets checked against the bytes."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.reading.arrays import as_booleans, check_sizes, whole_numbers
from workers.generator.reading.limits import Budget
from workers.generator.reading.nodes import Global, Items, Mapping, Storage, Tensor, kind_of
from workers.generator.reading.refusals import FileRefused, shown

TYPES = {
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf",
    "DoubleStorage": "f8",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "b1",
}
"""Names of torch's storages that are taken → what an item is."""

MOST_EXPANDED = 65_536
"""Elements at the most of a tensor that has more of them than its storage, as `expand` makes it."""

ITEM = {"f4": 4, "f2": 2, "bf": 2, "f8": 8, "i8": 8, "i4": 4, "i2": 2, "i1": 1, "u1": 1, "b1": 1}
"""Bytes an item."""


def storage_of_id(node: Any, at: int) -> Storage:
    """The storage, still without bytes, of a persistent id ('storage', type, key, device, count[, None])."""
    items = node.items if isinstance(node, Items) and node.kind == "tuple" else []
    if len(items) not in (5, 6) or items[0] != "storage" or (len(items) == 6 and items[5] is not None):
        raise FileRefused("persistent id is not a storage tuple", at)
    kind, key, device, count = items[1:5]
    if not isinstance(kind, Global) or kind.module != "torch" or kind.name not in TYPES:
        raise FileRefused("persistent id: its storage type is not known", at)
    if not isinstance(key, str) or not isinstance(device, str):
        raise FileRefused("persistent id: key and device are not two strings", at)
    if not (key.isascii() and key.isdigit() and len(key) <= 24):
        raise FileRefused(f"storage key `{shown(key)}` is not a number", at)
    if type(count) is not int:
        raise FileRefused(f"storage `{key}` has a {kind_of(count)} for its element count", at)
    if count < 0:
        raise FileRefused(f"storage `{key}` has a negative element count ({count})", at)
    return Storage(TYPES[kind.name], str(key), count, at)


def make_tensor(arguments: list[Any], budget: Budget, at: int) -> Tensor:
    """The node of _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, hooks[, metadata])."""
    if len(arguments) not in (6, 7):
        raise FileRefused(f"_rebuild_tensor_v2 is called with {len(arguments)} arguments", at)
    storage, offset, size, stride, grad, hooks = arguments[:6]
    if not isinstance(storage, Storage):
        raise FileRefused(f"a tensor of a {kind_of(storage)}: not a storage", at)
    if type(offset) is not int:
        raise FileRefused(f"offset is not a whole number: a {kind_of(offset)}", at)
    if offset < 0:
        raise FileRefused(f"negative offset ({offset})", at)
    if type(grad) is not bool:
        raise FileRefused(f"requires_grad is a {kind_of(grad)}", at)
    check_no_hooks(hooks, at)
    if len(arguments) == 7 and not _is_empty(arguments[6]):
        raise FileRefused("a tensor has metadata of its own", at)
    sizes = check_sizes(whole_numbers(size, "size", at), at)
    strides = whole_numbers(stride, "stride", at)
    if len(sizes) != len(strides):
        raise FileRefused(f"a tensor has {_counted(sizes, 'size')}, {_counted(strides, 'stride')}", at)
    count = math.prod(sizes)
    if count > max(storage.count, MOST_EXPANDED if storage.count else 0):
        raise FileRefused(
            f"tensor of {count} elements from a storage of {storage.count}: its size is larger than the storage", at
        )
    last = offset + sum((one - 1) * step for one, step in zip(sizes, strides, strict=True)) if count else offset - 1
    if last >= storage.count:
        raise FileRefused(f"tensor reaches element {last} of a storage of {storage.count}", at)
    budget.tensor(count * ITEM[storage.code], at)
    return Tensor(storage, offset, sizes, strides, at)


def make_parameter(arguments: list[Any], at: int) -> Tensor:
    """The node of _rebuild_parameter(tensor, requires_grad, hooks): the tensor itself."""
    if len(arguments) != 3 or not isinstance(arguments[0], Tensor):
        raise FileRefused("parameter is not a tensor", at)
    if type(arguments[1]) is not bool:
        raise FileRefused(f"requires_grad is a {kind_of(arguments[1])}", at)
    check_no_hooks(arguments[2], at)
    return arguments[0]


def check_no_hooks(hooks: Any, at: int) -> None:
    """Raise FileRefused unless backward hooks are what honest files have: none."""
    if not isinstance(hooks, Mapping) or hooks.pairs:
        raise FileRefused("backward hooks are not empty", at)


def tensor_values(tensor: Tensor) -> NDArray[Any]:
    """A tensor's numbers, a copy of its own in C order; bfloat16 comes as float32."""
    storage = tensor.storage
    if storage.data is None:
        raise FileRefused(f"storage `{storage.key}` has no bytes", tensor.at)
    item = ITEM[storage.code]
    if len(storage.data) != storage.count * item:
        raise FileRefused(
            f"storage `{storage.key}` says {storage.count} elements ({storage.count * item} bytes), "
            f"{len(storage.data)} bytes are there",
            storage.at,
        )
    flat: NDArray[Any]
    if storage.code == "b1":
        flat = as_booleans(storage.data, tensor.at)
    elif storage.code == "bf":
        flat = (np.frombuffer(storage.data, "<u2").astype("<u4") << 16).view("<f4")
    else:
        flat = np.frombuffer(storage.data, f"<{storage.code}")
    if 0 in tensor.size:
        return np.zeros(tensor.size, flat.dtype)
    # The bounds were checked where the tensor was made: nothing outside `flat` is reached.
    view = np.lib.stride_tricks.as_strided(
        flat[tensor.offset :], tensor.size, tuple(step * flat.itemsize for step in tensor.stride), writeable=False
    )
    return np.array(view, order="C")


def _is_empty(node: Any) -> bool:
    return node is None or (isinstance(node, Mapping) and not node.pairs)


def _counted(values: tuple[int, ...], what: str) -> str:
    return f"{len(values)} {what}{'' if len(values) == 1 else 's'}"
