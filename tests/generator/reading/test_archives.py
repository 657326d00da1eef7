"""torch's archives: every byte belongs to something, or the file is not taken."""

import struct
import zipfile
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from workers.generator.reading.contents import read_contents
from workers.generator.reading.refusals import FileRefused

STATE = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32([7])}


def refusal(data: bytes) -> str:
    with pytest.raises(FileRefused) as caught:
        read_contents(memoryview(data))
    return str(caught.value)


def rezipped(data: bytes, change: Any) -> bytes:
    """The archive with its members as `change` (name, info, data) → (info, data) or None makes them."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for info in old.infolist():
            made = change(info.filename, zipfile.ZipInfo(info.filename), old.read(info))
            if made is not None:
                new.writestr(*made)
    return out.getvalue()


def test_a_sound_archive_is_read(forge: Any) -> None:
    found = read_contents(memoryview(forge.archive(STATE)))
    for name, values in STATE.items():
        np.testing.assert_array_equal(found.tensors[name], values)


def test_bytes_that_belong_to_nothing_are_refused(forge: Any) -> None:
    data = forge.archive(STATE)
    assert "bytes before the archive" in refusal(b"PK\x03\x04" + data)
    assert "bytes after the end" in refusal(data + b"x")
    start = struct.unpack("<I", data[-6:-2])[0]
    for hidden in (b"hidden", bytes(16), bytes(40)):
        moved = struct.pack("<I", start + len(hidden))
        grown = data[:start] + hidden + data[start:-6] + moved + data[-2:]
        with zipfile.ZipFile(BytesIO(grown)) as file:
            assert file.testzip() is None, "others read this one"
        assert "bytes before the archive's directory" in refusal(grown)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/etc/data.pkl", "is absolute"),
        ("a/../../x", "none that torch writes"),
        ("a\\b", "none that torch writes"),
        ("C:/x", "is absolute"),
        ("a/code/__torch__.py", "none that a torch checkpoint has"),
        ("b/data.pkl", "more than one data.pkl"),
        ("a/data/0x", "none that a torch checkpoint has"),
        ("a/data/", "is a folder"),
    ],
)
def test_a_member_has_a_name_that_torch_writes(forge: Any, name: str, words: str) -> None:
    members = {"a/data.pkl": forge.pickle({}, 2), name: b""}
    assert words in refusal(forge.zip_of(members))


def test_members_are_stored_plain_whole_and_once(forge: Any) -> None:
    data = forge.archive(STATE)

    def compressed(name: str, info: Any, body: bytes) -> Any:
        if name.endswith("/0"):
            info.compress_type = zipfile.ZIP_DEFLATED
        return info, body

    def linked(name: str, info: Any, body: bytes) -> Any:
        if name.endswith("/0"):
            info.create_system, info.external_attr = 3, 0o120777 << 16
        return info, body

    assert "is compressed" in refusal(rezipped(data, compressed))
    assert "is a link" in refusal(rezipped(data, linked))
    assert "has no member" in refusal(rezipped(data, lambda n, i, b: None if n.endswith("/0") else (i, b)))
    assert "says 6 elements (24 bytes), member has 23" in refusal(
        rezipped(data, lambda n, i, b: (i, b[:23] if n.endswith("data/0") else b))
    )
    assert "byte order `big`" in refusal(rezipped(data, lambda n, i, b: (i, b"big" if n.endswith("order") else b)))
    out = BytesIO(data)
    with zipfile.ZipFile(out, "a") as twice, pytest.warns(UserWarning, match="Duplicate"):
        twice.writestr("a/data.pkl", b"N.")
    assert "`a/data.pkl` occurs twice" in refusal(out.getvalue())


def test_a_flipped_bit_is_seen(forge: Any) -> None:
    data = bytearray(forge.archive(STATE))
    place = data.find(STATE["a"].tobytes())
    data[place] ^= 1
    assert "CRC of `a/data/0` does not match" in refusal(bytes(data))


def test_encryption_is_named(forge: Any) -> None:
    data = bytearray(forge.archive(STATE))
    place = data.find(b"PK\x01\x02")
    data[place + 8] |= 1
    assert "is encrypted" in refusal(bytes(data))


def test_an_archive_with_a_64_bit_directory_is_read(tmp_path: Any) -> None:
    """As torch writes it, always: with descriptors after the members and a second end record."""
    torch = pytest.importorskip("torch")
    torch.save({name: torch.from_numpy(values) for name, values in STATE.items()}, tmp_path / "x.pt")
    data = (tmp_path / "x.pt").read_bytes()
    assert b"PK\x06\x06" in data
    np.testing.assert_array_equal(read_contents(memoryview(data)).tensors["a"], STATE["a"])
