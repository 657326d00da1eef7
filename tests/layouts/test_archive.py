"""Archives as streams."""

import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator

import pytest

from app.errors import Corrupt
from workers.layouts.archive import Entry, tar_of, text, whole, zip_of

FILES = {"a.txt": b"", "b/c.bin": bytes(range(256)) * 7, "b/d.bin": b"x" * 512, "ü.txt": "grüße".encode()}


def entries() -> Iterator[Entry]:
    return (whole(name, data) for name, data in FILES.items())


def test_a_tar_of_every_file() -> None:
    data = b"".join(tar_of(entries()))
    assert data == b"".join(tar_of(entries()))
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert {member.name: tar.extractfile(member).read() for member in tar} == FILES  # type: ignore[union-attr]


def test_a_zip_of_every_file() -> None:
    data = b"".join(zip_of(entries()))
    assert data == b"".join(zip_of(entries()))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_an_entry_that_is_cut_short_is_found_out(pack: object) -> None:
    with pytest.raises(Corrupt, match=r"b\.bin has 3 bytes instead of 4"):
        list(pack([Entry("b.bin", 4, [b"12", b"3"])]))  # type: ignore[operator]


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_memory_does_not_grow_with_the_archive(pack: object) -> None:
    """200 MB pass through in images and a long list, a few of them at a time."""

    def large() -> Iterator[Entry]:
        for number in range(80):
            yield whole(f"{number}.png", bytes(1_000_000))
        yield text("list.txt", (f"{number:099d}\n" for number in range(400_000)))
        yield Entry("manifest.json", 80_000_000, (bytes(1_000_000) for _ in range(80)))

    tracemalloc.start()
    try:
        size = sum(len(chunk) for chunk in pack(large()))  # type: ignore[operator]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 200_000_000
    assert peak < 20_000_000
