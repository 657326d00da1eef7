"""Laying out a stored set: made once, the same bytes, called off, gone on with, and with samples missing."""

import csv
import io
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.errors import Cancelled, Corrupt, StoreUnavailable, Unfinished
from app.jobs.records import read_json
from workers.layouts import shards
from workers.layouts.landmarks import pack, unpack
from workers.matchers.detector import load_detector
from workers.pipeline.lay_out import lay_out

AT = DatasetKeys("acme", "ds_test")
Make = Callable[..., Any]
STORED = [layout for layout in Layout if layout.stored]


def members(data: bytes, top: str = "ds_test/") -> dict[str, bytes]:
    """Files by their names below the top folder."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert all(name.startswith(top) for name in found)
    return {name.removeprefix(top): content for name, content in found.items()}


@pytest.mark.parametrize("layout", STORED)
def test_the_same_bytes_whatever_the_shards(make: Make, layout: Layout) -> None:
    first = make(shard_size=16).archive(layout)
    again = make(shard_size=1000)
    again.store.delete_prefix(AT.layouts)
    again.store.delete_prefix(AT.all_landmarks)
    second = again.archive(layout)
    if layout is Layout.ZIP:  # its manifest tells of the shards
        first, second = (
            repr(
                [
                    item
                    for item in zipfile.ZipFile(io.BytesIO(data)).infolist()
                    if item.filename != "ds_test/manifest.json"
                ]
            )
            for data in (first, second)
        )
    assert first == second


@pytest.mark.parametrize("layout", [Layout.ZIP, Layout.PARQUET])
def test_before_the_manifest_as_after(make: Make, layout: Layout) -> None:
    made = make(subjects=3)
    after = made.archive(layout)
    made.store.put(AT.laid_aside, made.store.get(AT.manifest))
    for key in (AT.layout(layout), AT.manifest, AT.summary):
        made.store.delete(key)
    assert made.archive(layout) == after


class Blind:
    """A detector that is not to be asked."""

    name = "blind"

    def detect(self, pixels: Any) -> None:
        pytest.fail("looked again")


def test_faces_are_found_once_for_all_layouts(make: Make) -> None:
    made = make(subjects=3)
    lay_out(made.store, AT, made.plan, Layout.IJB, detector=load_detector())
    lay_out(made.store, AT, made.plan, Layout.ALIGNED, detector=Blind())
    lay_out(made.store, AT, made.plan, Layout.INSIGHTFACE, detector=Blind())


def test_finding_faces_stops_in_good_order_and_goes_on(make: Make) -> None:
    made = make(shard_size=8)
    ticks = iter(range(0, 10**6, 250))

    def step() -> None:
        lay_out(made.store, AT, made.plan, Layout.ALIGNED, detector=load_detector(), clock=lambda: float(next(ticks)))

    for done in (2, 4):
        with pytest.raises(Unfinished, match=f"the faces of {done} of 5 shards are found"):
            step()
        assert not made.store.exists(AT.layout(Layout.ALIGNED))
    step()
    assert made.store.exists(AT.layout(Layout.ALIGNED))
    assert len(list(made.store.list(AT.all_landmarks))) == made.plan.shards == 5


def test_a_layout_that_is_called_off_leaves_nothing(make: Make) -> None:
    made = make(subjects=3, shard_size=4)
    answers = iter([False, False, True])
    with pytest.raises(Cancelled):
        lay_out(
            made.store, AT, made.plan, Layout.LFW, detector=load_detector(), should_cancel=lambda: next(answers, True)
        )
    assert not made.store.exists(AT.layout(Layout.LFW))


def test_a_store_that_goes_away_leaves_nothing(make: Make) -> None:
    made = make(subjects=3)
    tars = iter([None, None])
    made.store.fault = lambda operation, key: (
        next(tars, StoreUnavailable("gone")) if (operation, key) == ("read", AT.shard_samples(0)) else None
    )
    lay_out(made.store, AT, made.plan, Layout.IMAGEFOLDER, detector=load_detector())
    made.store.delete(AT.layout(Layout.IMAGEFOLDER))
    lay_out(made.store, AT, made.plan, Layout.IMAGEFOLDER, detector=load_detector())
    made.store.delete(AT.layout(Layout.IMAGEFOLDER))
    with pytest.raises(StoreUnavailable):
        lay_out(made.store, AT, made.plan, Layout.IMAGEFOLDER, detector=load_detector())
    made.store.fault = lambda operation, key: None
    assert not made.store.exists(AT.layout(Layout.IMAGEFOLDER))


@pytest.mark.parametrize("layout", STORED)
def test_missing_samples_are_left_out_and_told(make: Make, layout: Layout) -> None:
    made = make(reject=lambda pixels: "odd" if int(pixels[0].astype(int).sum()) % 5 == 0 else None)
    missing = {f"S{subject:07d}_{sample:04d}" for subject, sample in made.contents.about.missing}
    assert 2 < len(missing) < 15
    left_out = read_json(made.store, AT.report)["comparisons"]["left_out"]
    assert left_out > 0
    data = made.archive(layout)
    if layout is Layout.ZIP:
        names = set(zipfile.ZipFile(io.BytesIO(data)).namelist())
        assert names >= {f"ds_test/{row.file}" for row in made.rows}
        return
    files = members(data)
    note = " ".join(files["README.txt"].decode().split())
    assert f"{len(missing)} samples could not be made and {left_out} comparison" in note
    for sample in missing:
        assert not any(sample in name for name in files)
    if "samples.csv" in files:
        listed = [row["id"] for row in csv.DictReader(io.StringIO(files["samples.csv"].decode()))]
        assert not set(listed) & missing
        assert len(set(listed)) == len(listed)


def test_lfw_numbers_have_no_gaps_where_samples_are_missing(make: Make) -> None:
    made = make(reject=lambda pixels: "odd" if int(pixels[0].astype(int).sum()) % 5 == 0 else None)
    files = members(made.archive(Layout.LFW))
    by_subject: dict[str, list[int]] = {}
    for name in files:
        if name.startswith("lfw/"):
            by_subject.setdefault(name.split("/")[1], []).append(int(name[-8:-4]))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in by_subject.values())
    for row in csv.DictReader(io.StringIO(files["samples.csv"].decode())):
        assert files[row["file"]] == made.files[row["id"]]


def test_large_sets_are_cut_into_shards(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make()
    most = 3 * max(row.bytes for row in made.rows)
    monkeypatch.setattr(shards.shard_sizes, "__defaults__", (most,))
    monkeypatch.setattr(shards.sharded, "__defaults__", (most,))
    files = members(made.archive(Layout.WEBDATASET))
    numbered = [name for name in files if name.startswith("shard-")]
    assert numbered == [f"shard-{number:06d}.tar" for number in range(len(numbered))]
    assert len(numbered) > 5
    assert [name for shard in numbered for name in members(files[shard], "")][::2] == [
        f"{row.id}.png" for row in made.rows
    ]
    parquet = [name for name in members(made.archive(Layout.PARQUET)) if name.startswith("samples/")]
    count = len(parquet)
    assert parquet == [f"samples/test-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    assert count == len(numbered)


def test_a_set_without_comparisons(make: Make) -> None:
    made = make(comparisons={"selection": "none"})
    assert "facsimile/dev/for_matching.csv" not in members(made.archive(Layout.BOB))
    parquet = members(made.archive(Layout.PARQUET))
    assert not any(name.startswith("comparisons/") for name in parquet)
    assert b"comparisons" not in parquet["README.md"]
    assert members(made.archive(Layout.FRTE))["input/match.txt"] == b""


def test_jpegs_stay_the_files_that_they_are(make: Make) -> None:
    made = make(subjects=10, image={"format": "jpeg", "quality": 80})
    files = members(made.archive(Layout.LFW))
    assert files["lfw/Subject_0000003/Subject_0000003_0002.jpg"] == made.files["S0000003_0001"]


def test_landmarks_survive_being_stored(make: Make) -> None:
    from workers.matchers.detector import Face

    face = Face(box=(1.0, 2.0, 3.0, 4.0), points=np.arange(10, dtype=np.float32).reshape(5, 2), score=0.75)
    first, none = unpack(pack([face, None]), 2)
    assert none is None
    assert first is not None
    assert (first.box, first.score) == (face.box, face.score)
    assert np.array_equal(first.points, face.points)
    with pytest.raises(Corrupt, match="of 2 samples and not of 3"):
        unpack(pack([face, None]), 3)
    with pytest.raises(Corrupt, match="cannot be read"):
        unpack(b"PK\x03\x04 broken", 1)
