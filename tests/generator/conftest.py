"""Checkpoints made byte by byte: what torch, TensorFlow and the rest would write, without any of them."""

import os
import struct
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FIXTURES = (
    Path(os.environ.get("FACSIMILE_SHARED", Path(__file__).parents[3] / "shared")) / "data" / "generator-fixtures"
)


@pytest.fixture(scope="session")
def fixtures() -> Path:
    """Folder of foreign generators in their own formats, with the images that their own code gives."""
    if not FIXTURES.is_dir():
        pytest.skip(f"{FIXTURES} is not here: it holds generators in other people's formats")
    return FIXTURES


@dataclass(frozen=True)
class Name:
    module: str
    name: str


@dataclass(frozen=True)
class Call:
    """A call by REDUCE, or by NEWOBJ."""

    name: Any
    arguments: tuple[Any, ...] = ()
    how: bytes = b"R"
    state: Any = None
    """Handed over by BUILD, where it is not None."""
    items: Any = None
    """Pairs set by SETITEMS."""


@dataclass(frozen=True)
class Id:
    """A persistent id."""

    value: Any


@dataclass(frozen=True)
class Raw:
    data: bytes


class Forge:
    """Writes pickles and archives of whatever is asked, sound or not."""

    Name, Call, Id, Raw = Name, Call, Id, Raw

    def pickle(self, tree: Any, protocol: int = 4) -> bytes:
        return b"\x80" + bytes([protocol]) + self.body(tree) + b"."

    def body(self, tree: Any) -> bytes:
        if isinstance(tree, Raw):
            return tree.data
        if tree is None or isinstance(tree, bool):
            return {None: b"N", True: b"\x88", False: b"\x89"}[tree]
        if isinstance(tree, int):
            if 0 <= tree < 256:
                return b"K" + bytes([tree])
            if -(2**31) <= tree < 2**31:
                return b"J" + struct.pack("<i", tree)
            data = tree.to_bytes(tree.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(data)]) + data
        if isinstance(tree, float):
            return b"G" + struct.pack(">d", tree)
        if isinstance(tree, str):
            data = tree.encode()
            return b"X" + struct.pack("<I", len(data)) + data
        if isinstance(tree, bytes):
            return b"B" + struct.pack("<I", len(tree)) + tree
        if isinstance(tree, tuple):
            return b"(" + b"".join(map(self.body, tree)) + b"t"
        if isinstance(tree, list):
            return b"](" + b"".join(map(self.body, tree)) + b"e"
        if isinstance(tree, dict):
            return b"}(" + b"".join(self.body(key) + self.body(value) for key, value in tree.items()) + b"u"
        if isinstance(tree, Name):
            return b"c" + tree.module.encode() + b"\n" + tree.name.encode() + b"\n"
        if isinstance(tree, Id):
            return self.body(tree.value) + b"Q"
        assert isinstance(tree, Call), tree
        made = self.body(tree.name) + self.body(tree.arguments) + tree.how
        if tree.items is not None:
            made += b"(" + b"".join(self.body(key) + self.body(value) for key, value in tree.items.items()) + b"u"
        return made + (b"" if tree.state is None else self.body(tree.state) + b"b")

    def array(self, values: np.ndarray) -> Call:
        """A numpy array as numpy pickles it."""
        if values.dtype.byteorder == "|" or values.dtype.itemsize == 1:
            order = "|"
        else:
            order = ">" if values.dtype.byteorder == ">" else "<"
        state = (3, order, None, None, None, -1, -1, 0)
        dtype = Call(Name("numpy", "dtype"), (values.dtype.str[1:], False, True), state=state)
        fortran = values.ndim > 1 and values.flags.f_contiguous and not values.flags.c_contiguous
        data = values.tobytes("F" if fortran else "C")
        return Call(
            Name("numpy.core.multiarray", "_reconstruct"),
            (Name("numpy", "ndarray"), (0,), b"b"),
            state=(1, values.shape, dtype, fortran, data),
        )

    def legacy(self, tree: Any, storages: dict[str, tuple[str, bytes, int]], *, protocol: int = 1001) -> bytes:
        """torch's five pickles and its storages: key → (type, data, count)."""
        system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
        head = self.pickle(0x1950A86A20F9469CFC6C, 2) + self.pickle(protocol, 2) + self.pickle(system, 2)
        tail = b"".join(struct.pack("<q", count) + data for _, data, count in storages.values())
        return head + self.pickle(tree, 2) + self.pickle(list(storages), 2) + tail

    def storage_id(self, key: str, count: int, kind: str = "FloatStorage") -> tuple[Any, ...]:
        return ("storage", Name("torch", kind), key, "cpu", count, None)

    def own_storage(self, data: bytes, count: int, kind: str = "FloatStorage") -> Call:
        """A storage as NVIDIA's pickles hold it."""
        inner = self.legacy(Id(self.storage_id("0", count, kind)), {"0": (kind, data, count)})
        return Call(Name("torch.storage", "_load_from_bytes"), (inner,))

    def view(self, storage: Any, size: tuple[Any, ...], stride: tuple[Any, ...], offset: Any = 0) -> Call:
        hooks = Call(Name("collections", "OrderedDict"))
        return Call(Name("torch._utils", "_rebuild_tensor_v2"), (storage, offset, size, stride, False, hooks))

    def tensor(self, values: np.ndarray) -> Call:
        """A tensor as NVIDIA's pickles hold it."""
        values = np.array(values, np.float32, order="C")
        stride = tuple(step // 4 for step in values.strides)
        return self.view(self.own_storage(values.tobytes(), values.size), values.shape, stride)

    def module(self, kind: str, state: dict[str, Any], *, version: int = 6, source: str = "") -> Call:
        """A persistent module, as NVIDIA's torch_utils writes it."""
        meta = {"type": "class", "version": version, "module_src": source, "class_name": kind, "state": state}
        return Call(Name("torch_utils.persistence", "_reconstruct_persistent_obj"), (meta,))

    def zip_of(self, members: dict[str, bytes]) -> bytes:
        whole = BytesIO()
        with zipfile.ZipFile(whole, "w", zipfile.ZIP_STORED) as file:
            for name, data in members.items():
                file.writestr(zipfile.ZipInfo(name), data)
        return whole.getvalue()

    def archive(self, tensors: dict[str, np.ndarray]) -> bytes:
        """A state dict as torch.save writes it."""
        members, tree = {}, {}
        for number, (name, values) in enumerate(tensors.items()):
            values = np.array(values, np.float32, order="C")
            stride = tuple(step // 4 for step in values.strides)
            key = Id(self.storage_id(str(number), values.size)[:5])
            tree[name] = self.view(key, values.shape, stride)
            members[f"a/data/{number}"] = values.tobytes()
        return self.zip_of(
            {"a/data.pkl": self.pickle(tree, 2), "a/byteorder": b"little", **members, "a/version": b"3\n"}
        )


@pytest.fixture(scope="session")
def forge() -> Forge:
    return Forge()
