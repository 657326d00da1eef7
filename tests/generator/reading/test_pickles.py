"""The interpreter: what honest files hold comes out, and nothing else gets through, with its place in the file."""

import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workers.generator.reading.contents import ARRAY, NETWORKS, PERSISTENT, STATE_DICT, read_contents
from workers.generator.reading.limits import Limits
from workers.generator.reading.refusals import FileRefused

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)


def refusal(data: bytes, limits: Limits | None = None) -> FileRefused:
    with pytest.raises(FileRefused) as caught:
        read_contents(memoryview(data), limits=limits)
    return caught.value


def generator(forge: Any, **state: Any) -> Any:
    """A file in NVIDIA's form whose one module is `state`."""
    whole = {"_init_args": (), "_init_kwargs": {"z_dim": 3}, "_modules": {}, "_buffers": {}, **state}
    return {"G": None, "D": None, "G_ema": forge.module("Generator", whole)}


def test_a_persistent_module_becomes_tensors_and_facts(forge: Any) -> None:
    inner = forge.module(
        "FullyConnectedLayer", {"_parameters": {"weight": forge.tensor(WEIGHT), "bias": None}, "up": 2}
    )
    data = forge.pickle(generator(forge, _modules={"mapping": inner}, _parameters={"const": forge.tensor(WEIGHT.T)}))
    found = read_contents(memoryview(data))
    assert (found.form, found.label, found.labels) == (PERSISTENT, "G_ema", ("G_ema",))
    assert found.settings == {"class": "Generator", "z_dim": 3}
    assert found.beside["mapping"] == {"class": "FullyConnectedLayer", "up": 2}
    assert set(found.tensors) == {"mapping.weight", "const"}
    np.testing.assert_array_equal(found.tensors["mapping.weight"], WEIGHT)
    np.testing.assert_array_equal(found.tensors["const"], WEIGHT.T)


def test_a_tuple_of_networks_becomes_the_third(forge: Any) -> None:
    def network(value: float) -> Any:
        variables = [("lod", forge.array(np.float32(value))), ("a/weight", forge.array(np.asfortranarray(WEIGHT)))]
        state = {"version": 2, "build_func_name": "G_paper", "static_kwargs": {"resolution": 8}, "variables": variables}
        return forge.Call(forge.Name("tfutil", "Network"), (), b"\x81", state=state)

    found = read_contents(memoryview(forge.pickle((network(1), network(2), network(3)))))
    assert (found.form, found.label) == (NETWORKS, "Gs")
    assert found.settings == {"": {"version": 2, "function": "G_paper", "kwargs": {"resolution": 8}}}
    assert found.tensors["lod"] == 3
    np.testing.assert_array_equal(found.tensors["a/weight"], WEIGHT)


@pytest.mark.parametrize("form", ["archive", "legacy"])
def test_a_state_dict_of_torchs_own_is_read(tmp_path: Path, form: str) -> None:
    torch = pytest.importorskip("torch")
    values = torch.arange(24.0).reshape(2, 3, 4)
    state = {
        "g_ema": {"a": values[1].T, "half": values.half(), "wide": values.double(), "bf": values.bfloat16()},
        "g": {"a": values * 0},
        "latent_avg": values[0, 0],
        "step": 7,
    }
    torch.save(state, tmp_path / "x.pt", _use_new_zipfile_serialization=form == "archive")
    found = read_contents(memoryview((tmp_path / "x.pt").read_bytes()))
    assert (found.form, found.label, found.labels) == (STATE_DICT, "g_ema", ("g_ema", "g"))
    np.testing.assert_array_equal(found.tensors["a"], values[1].T.numpy())
    np.testing.assert_array_equal(found.tensors["half"], values.half().numpy())
    np.testing.assert_array_equal(found.tensors["wide"], values.double().numpy())
    np.testing.assert_array_equal(found.tensors["bf"], values.bfloat16().float().numpy())
    np.testing.assert_array_equal(found.tensors["latent_avg"], values[0, 0].numpy())
    assert found.tensors["a"].flags.owndata
    plain = read_contents(memoryview((tmp_path / "x.pt").read_bytes()), "g")
    assert plain.label == "g"
    assert not plain.tensors["a"].any()


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
def test_every_protocol_of_pythons_own_pickler_is_followed(protocol: int) -> None:
    """Nothing of these is a network, so each is refused for that and for nothing before it."""
    tree = {
        "a": [1, -1, 2**40, 3.5, None, True, False, "ü", ("x", ("y",), ()), {}],
        "b": {"c": "x" * 300},
        "d": 1 << 70,
    }
    assert "nor a state dict" in refusal(pickle.dumps(tree, protocol)).problem


class Touch:
    """Runs a command where an unpickler believes it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_a_payload_does_not_run_and_is_named(tmp_path: Path, protocol: int) -> None:
    data = pickle.dumps({"G_ema": None, "x": Touch(tmp_path / "ran")}, protocol)
    assert f"global `{os.system.__module__}.system` is not allowed" in refusal(data).problem
    assert not (tmp_path / "ran").exists()
    pickle.loads(data)
    assert (tmp_path / "ran").exists(), "the payload is dead: the test shows nothing"


BAD: dict[str, tuple[Callable[[Any], bytes], str]] = {
    "a name that looks alike": (
        lambda f: f.pickle(f.Name("t\u043erch._utils", "_rebuild_tensor_v2")),
        r"global `t\u043erch._utils._rebuild_tensor_v2` is not allowed",
    ),
    "a name parted elsewhere": (
        lambda f: f.pickle(f.Name("torch", "_utils._rebuild_tensor_v2")),
        "global `torch._utils._rebuild_tensor_v2` is not allowed",
    ),
    "a quantised storage": (lambda f: f.pickle(f.Name("torch", "QInt8Storage")), "storage type `QInt8Storage`"),
    "a call of what is only a name": (
        lambda f: f.pickle(f.Call(f.Name("torch", "FloatStorage"), (3,))),
        "REDUCE of `torch.FloatStorage`: no checkpoint does that",
    ),
    "NEWOBJ of what REDUCE calls": (
        lambda f: f.pickle(f.Call(f.Name("collections", "OrderedDict"), (), b"\x81")),
        "NEWOBJ of `collections.OrderedDict`",
    ),
    "BUILD on a name": (
        lambda f: f.pickle(f.Raw(f.body(f.Name("argparse", "Namespace")) + f.body({"a": 1}) + b"b")),
        "BUILD on a global that was never called",
    ),
    "BUILD twice": (
        lambda f: f.pickle(
            f.Raw(
                f.body(f.Call(f.Name("argparse", "Namespace"), (), b"\x81", state={"a": 1})) + f.body({"a": 2}) + b"b"
            )
        ),
        "or a second time",
    ),
    "an odd BUILD of an OrderedDict": (
        lambda f: f.pickle(f.Call(f.Name("collections", "OrderedDict"), (), state={"update": 1})),
        "BUILD gives an OrderedDict attributes",
    ),
    "a call of a call": (
        lambda f: f.pickle(f.Call(f.Call(f.Name("collections", "OrderedDict")), ())),
        "REDUCE needs an allowed global, not the result of a call",
    ),
    "a set of lists": (lambda f: f.pickle(f.Call(f.Name("builtins", "set"), ([[1]],))), "a set of something else"),
    "a key twice": (lambda f: f.pickle(f.Raw(b"}(X\x01\0\0\0aNX\x01\0\0\0aNu")), "key `a` occurs twice"),
    "a key that is a number of doubt": (lambda f: f.pickle({True: 1}), "dict key is not a string"),
    "a key of many digits": (lambda f: f.pickle({2**40: 1}), "dict key 1099511627776 is over the limit"),
    "PROTO in the middle": (lambda f: f.pickle(f.Raw(b"N\x80\x04")), "PROTO 4 stands where it cannot"),
    "PROTO of tomorrow": (lambda f: f.pickle(None, 6), "PROTO 6"),
    "no list of keys": (lambda f: f.legacy({}, {})[:-3], "the file ends in the middle"),
    "another magic": (lambda f: f.pickle(0x1950A86A20F9469CFC6D, 2) + f.pickle(1001, 2), "bytes after STOP"),
    "another legacy protocol": (lambda f: f.legacy({}, {}, protocol=1002), "legacy protocol 1002 is not known"),
    "two descriptions of one storage": (
        lambda f: f.legacy(
            {"a": f.Id(f.storage_id("0", 1)), "b": f.Id(f.storage_id("0", 2))}, {"0": ("FloatStorage", bytes(4), 1)}
        ),
        "storage `0` is described twice, and differently",
    ),
    "a storage that nobody names": (
        lambda f: f.legacy({}, {"7": ("FloatStorage", bytes(4), 1)}),
        "`7`, which is no storage's",
    ),
    "a storage in a storage": (
        lambda f: f.pickle(f.Call(f.Name("torch.storage", "_load_from_bytes"), (f.legacy({"a": 1}, {}),))),
        "the bytes are not a legacy torch storage",
    ),
    "a storage that is a pickle": (
        lambda f: f.pickle(f.Call(f.Name("torch.storage", "_load_from_bytes"), (f.pickle(1),))),
        "first pickle is not the magic number",
    ),
    "a module of version 0": (lambda f: f.pickle(f.module("Generator", {}, version=0)), "version 0 is not known"),
    "a module with a name from elsewhere": (lambda f: f.pickle(f.module("os.system", {})), "class `os.system`"),
    "text of five bytes that says nine": (lambda f: b"\x80\x04X\x09\0\0\0hello.", "asks for more bytes than the file"),
    "an array of objects": (
        lambda f: f.pickle(
            f.Call(
                f.Name("numpy.core.multiarray", "_reconstruct"),
                (f.Name("numpy", "ndarray"), (0,), b"b"),
                state=(1, (1,), f.Call(f.Name("numpy", "dtype"), ("O8", False, True)), False, [1]),
            )
        ),
        "dtype `O8` is not known",
    ),
    "an array of a class": (
        lambda f: f.pickle(
            f.Call(f.Name("numpy.core.multiarray", "_reconstruct"), (f.Name("torch", "FloatStorage"), (0,), b"b"))
        ),
        "something else than numpy.ndarray",
    ),
    "booleans of two": (
        lambda f: f.pickle(
            {"G": f.module("Generator", {"_init_kwargs": {"a": f.array(np.uint8([2]).view(np.bool_))}})}
        ),
        "booleans that are neither 0 nor 1",
    ),
    "weights that are not there": (
        lambda f: f.pickle({"G_ema": f.module("Generator", {})}),
        "weights are missing (no `mapping`, no `synthesis`)",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_no_checkpoint_holds_is_refused_in_words(forge: Any, kind: str) -> None:
    make, words = BAD[kind]
    error = refusal(make(forge))
    assert words in str(error)
    assert str(error).isascii()


@pytest.mark.parametrize(
    ("size", "stride", "offset", "words"),
    [
        ((5,), (1,), 0, "tensor reaches element 4 of a storage of 4"),
        ((2, 2), (1,), 0, "2 sizes, 1 stride"),
        ((2,), (-1,), 1, "negative stride (-1)"),
        ((-1,), (1,), 0, "negative size (-1)"),
        ((1,), (1,), -1, "negative offset (-1)"),
        ((1.0,), (1,), 0, "size is not a whole number"),
        ((1,), (1,), 4, "tensor reaches element 4 of a storage of 4"),
        ((10**12,), (0,), 0, "tensor of 1000000000000 elements from a storage of 4"),
        ((0,), (1,), 5, "tensor reaches element 4 of a storage of 4"),
        ((1,) * 9, (1,) * 9, 0, "9 sizes; at most 8"),
        ((True,), (1,), 0, "size is not a whole number"),
    ],
)
def test_a_view_never_leaves_its_storage(forge: Any, size: Any, stride: Any, offset: Any, words: str) -> None:
    view = forge.view(forge.own_storage(bytes(16), 4), size, stride, offset)
    error = refusal(forge.pickle({"a": view}))
    assert words in error.problem
    assert error.at


def test_a_storage_is_as_long_as_it_says(forge: Any) -> None:
    for count, data, words in (
        (4, bytes(15), "16 bytes"),
        (2**40, bytes(16), "16 bytes follow"),
        (4, bytes(20), "4 bytes"),
    ):
        error = refusal(forge.pickle({"a": forge.view(forge.own_storage(data, count), (1,), (1,))}))
        assert words in error.problem
    negative = forge.legacy(forge.Id(forge.storage_id("0", -1)), {"0": ("FloatStorage", b"", -1)})
    call = forge.Call(forge.Name("torch.storage", "_load_from_bytes"), (negative,))
    assert "negative element count" in refusal(forge.pickle(call)).problem


def test_big_numbers_need_bytes_not_promises() -> None:
    for opcode in (b"\x8e", b"\x8d"):
        for length in (2**63 - 1, 2**64 - 1, 100):
            assert "more bytes than the file has" in refusal(b"\x80\x04" + opcode + struct.pack("<Q", length)).problem
    assert "negative length" in refusal(b"\x80\x04\x8b" + struct.pack("<i", -1) + b".").problem
    assert "too many digits" in refusal(b"I" + b"9" * 100 + b"\n.").problem
    assert "too many digits" in refusal(b"\x80\x04\x8a\xff" + b"\x01" * 255 + b".").problem
    assert "frame is longer" in refusal(b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.").problem


def test_walks_end(forge: Any) -> None:
    data = b"\x80\x04]\x94"
    for number in range(40):
        data += b"0](" + bytes([ord("h"), number]) * 9 + b"e\x94"
    assert "node limit" in refusal(data + b".").problem
    assert "nested deeper than the limit of 48" in refusal(b"\x80\x04" + b"](" * 100 + b"N" + b"e" * 100 + b".").problem
    assert "cycle" in refusal(b"\x80\x04]\x94h\x00a.").problem
    assert "cycle" in refusal(b"\x80\x04}\x94X\x01\0\0\0ah\x00s.").problem


def test_a_hundred_thousand_levels_neither_recurse_nor_crash() -> None:
    data = b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b"."
    assert "nested deeper" in refusal(data).problem


def test_caps_hold(forge: Any) -> None:
    small = Limits(opcodes=20, memo=5, tensor_bytes=100, file_bytes=10_000, text_bytes=10)
    assert "more than 20 opcodes" in refusal(forge.pickle([1] * 30), small).problem
    assert "memo index 6 is over the limit" in refusal(b"\x80\x04Nq\x06.", small).problem
    assert "a string of 11 bytes" in refusal(forge.pickle("x" * 11), small).problem
    assert "file has 10,001 bytes" in refusal(bytes(10_001), small).problem
    views = [forge.view(forge.own_storage(bytes(48), 12), (12,), (1,)) for _ in range(3)]
    few = Limits(tensor_bytes=100)
    assert "total tensor bytes" in refusal(forge.pickle({"a": views}), few).problem


def test_expanded_views_are_copied_while_they_are_small(forge: Any) -> None:
    view = forge.view(forge.own_storage(np.float32([1, 2, 3]).tobytes(), 3), (4, 3), (0, 1))
    found = read_contents(memoryview(forge.pickle(generator(forge, _parameters={"a": view}))))
    np.testing.assert_array_equal(found.tensors["a"], np.tile(np.float32([1, 2, 3]), (4, 1)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html>sign in</html>", "HTML page, not a checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git lfs pull"),
        (b"\x1f\x8b\x08\x00" + bytes(40), "gzip, not a checkpoint"),
        (b"Salted__" + bytes(40), "encrypted"),
        (b"\xff" * 100, "not a checkpoint"),
        (b"a letter to the reader\n", "plain text, not a checkpoint"),
        (b"PK\x03\x04" + bytes(100), "archive has no end"),
    ],
)
def test_other_files_are_told_by_what_they_are(data: bytes, words: str) -> None:
    assert words in refusal(data).problem


def test_one_array_is_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", WEIGHT.astype(np.float64))
    found = read_contents(memoryview((tmp_path / "a.npy").read_bytes()))
    assert found.form == ARRAY
    np.testing.assert_array_equal(found.tensors[""], WEIGHT)
    head = b"\x93NUMPY\x01\x00"

    def told(header: bytes, data: bytes = b"") -> str:
        return refusal(head + struct.pack("<H", len(header)) + header + data).problem

    plain = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%s), }"
    assert "has 8 bytes of data" in told(plain % b"1000000, 1000000", bytes(8))
    assert "object array" in told(plain.replace(b"<f8", b"|O8") % b"1,", bytes(8))
    assert "header is not a plain array" in told(plain % b"1, __import__('os').system('true')")
    assert "not floating point" in told(plain.replace(b"<f8", b"<i8") % b"1,", bytes(8))
    assert "shape that cannot be" in told(plain % (b"9" * 40))
