"""Each layout, loaded by the reader that it is made for, or by that reader's published rules."""

import csv
import hashlib
import io
import json
import pickle
import subprocess
import tarfile
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from app.dataset.layout import MOST_RENDERED, Layout, is_funneled
from app.dataset.products import of_kind
from workers.images import decode, read_mark
from workers.layouts.lfw import lfw
from workers.matchers.detector import load_detector
from workers.profile import gallery as galleries
from workers.profile.make import _naming


def pixels_of(data: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_plain_and_zip_hold_the_same_files(made: Any, tmp_path: Path) -> None:
    """By the system's tar and unzip, and by the standard library."""
    for layout in (Layout.PLAIN, Layout.ZIP):
        (tmp_path / f"set{layout.suffix}").write_bytes(made.archive(layout))
    (tmp_path / "tar").mkdir()
    subprocess.run(["tar", "-xf", "set.tar", "-C", "tar"], cwd=tmp_path, check=True)
    with zipfile.ZipFile(tmp_path / "set.zip") as archive:
        assert archive.testzip() is None
        assert all(not info.flag_bits & 8 for info in archive.infolist()), "sizes stand before the data"
        names = archive.namelist()
        for name in names:
            assert archive.read(name) == (tmp_path / "tar" / name).read_bytes()
    products = of_kind("images")
    assert names[: len(products)] == [f"ds_test/{product.file}" for product in products]
    assert names[len(products) :] == [f"ds_test/{row.file}" for row in made.rows]
    try:
        subprocess.run(["unzip", "-q", "set.zip", "-d", "zip"], cwd=tmp_path, check=True)
    except FileNotFoundError:
        return  # no unzip on this machine
    assert [path.name for path in (tmp_path / "zip").iterdir()] == ["ds_test"]


@pytest.mark.usefixtures("no_network")
def test_imagefolder_by_datasets(made: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = made.unpacked(Layout.IMAGEFOLDER, tmp_path / "set")
    found = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "c"))
    assert len(found) == len(made.rows)
    by_id = {item["id"]: item for item in found}
    for row in made.rows:
        item = by_id[row.id]
        assert (item["subject"], item["role"]) == (row.subject, row.role)
        assert {key: item[key] for key in row.labels()} == row.labels()
        assert {"glasses", "shown_glasses", "shown_age", "shown_yaw"} <= set(row.labels())
        assert [tuple(point) for point in item["landmarks"]] == list(row.landmarks)
        assert np.array_equal(np.asarray(item["image"].convert("RGB")), pixels_of(made.files[row.id]))


def test_lfw_by_scikit_learn(made: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    made.unpacked(Layout.LFW, tmp_path / "unpacked").rename(tmp_path / "lfw_home")
    whole = (slice(0, 112), slice(0, 112))
    options = {
        "data_home": tmp_path,
        "funneled": False,
        "download_if_missing": False,
        "resize": 1.0,
        "slice_": whole,
        "color": True,
    }
    people = datasets.fetch_lfw_people(**options)
    assert len(people.images) == len(made.rows)
    assert set(people.target_names) == {f"Subject {row.subject[1:]}" for row in made.rows}
    pairs = datasets.fetch_lfw_pairs(subset="10_folds", **options)
    per_fold = len(pairs.target) // 20
    assert per_fold >= 1
    # Ten folds, in each the mated pairs, then the non-mated ones.
    assert pairs.target.tolist() == ([1] * per_fold + [0] * per_fold) * 10
    files = {hashlib.sha256(pixels_of(data).tobytes()).hexdigest(): sample for sample, data in made.files.items()}
    assert len(files) == len(made.files)
    listed = set(made.comparisons)
    for (one, other), target in zip(pairs.pairs, pairs.target, strict=True):
        names = [
            files[hashlib.sha256(np.rint(image * 255).astype(np.uint8).tobytes()).hexdigest()] for image in (one, other)
        ]
        assert (*names, bool(target)) in listed
    for subset in ("train", "test"):
        half = datasets.fetch_lfw_pairs(subset=subset, **options).target
        assert half.sum() * 2 == len(half)
    lines = (tmp_path / "lfw_home" / "people.txt").read_text().splitlines()
    assert lines[0] == "10"
    assert sum(int(line.split("\t")[1]) for line in lines[1:] if "\t" in line) == len(made.rows)


def test_lfw_by_scikit_learns_default_call(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every argument left out but the folder: no real person's face is fetched, and the slice has the face."""
    datasets = pytest.importorskip("sklearn.datasets._lfw")
    monkeypatch.setattr(datasets, "_fetch_remote", lambda *_, **__: pytest.fail("it wants to fetch LFW"))
    made.unpacked(Layout.LFW, tmp_path / "unpacked").rename(tmp_path / "lfw_home")
    people = datasets.fetch_lfw_people(data_home=tmp_path)
    assert people.images.shape == (len(made.rows), 62, 47)
    pairs = datasets.fetch_lfw_pairs(data_home=tmp_path, download_if_missing=False)
    assert pairs.target.sum() * 2 == len(pairs.target) > 0
    numbered = {row["id"]: row["file"] for row in csv_rows(tmp_path / "lfw_home" / "samples.csv")}
    faceless = made.faceless()
    detector = load_detector()
    for row in made.rows:
        file = tmp_path / "lfw_home" / numbered[row.id].replace("lfw/", "lfw_funneled/").replace(".png", ".jpg")
        pixels = pixels_of(file.read_bytes())
        assert pixels.shape == (250, 250, 3)
        assert "/digitalsourcetype/algorithmicMedia" in read_mark(file.read_bytes())["xmp"]
        if row.id not in faceless:
            face = detector.detect(pixels)
            assert face is not None
            eyes, mouth = face.points[:2].mean(0), face.points[3:].mean(0)
            assert abs(eyes - [125, 112]).max() < 6, "where LFW's funneled faces look from"
            assert 78 < mouth[0] < 172
            assert 150 < mouth[1] < 172
    assert {row["id"] for row in csv_rows(tmp_path / "lfw_home" / "unaligned.csv")} == faceless


def test_a_set_too_large_to_have_every_image_anew_has_its_own_files_alone(
    made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_funneled(MOST_RENDERED + 1)
    monkeypatch.setattr("workers.layouts.lfw.is_funneled", lambda samples: False)
    names = [entry.name for entry in lfw(made.contents)]
    assert sum(name.startswith("lfw/") for name in names) == len(made.rows)
    assert not [name for name in names if "funneled" in name or name == "unaligned.csv"]


def test_insightface_folders(made: Any, tmp_path: Path) -> None:
    folder = made.unpacked(Layout.INSIGHTFACE, tmp_path)
    faceless = made.faceless()
    assert faceless
    chips = {path.relative_to(folder).as_posix(): path for path in folder.glob("*__*/*.jpg")}
    assert len(chips) == len(made.rows) - len(faceless)
    named = {row["id"]: row["file"] for row in csv_rows(folder / "samples.csv")}
    assert set(named.values()) == set(chips)
    assert named["S0000003_0000"] == "0004__S0000003/gallery.jpg"
    assert named["S0000003_0001"] == "0004__S0000003/img002.jpg"
    for path in chips.values():
        assert cv2.imread(str(path)).shape == (112, 112, 3)
        assert "/digitalsourcetype/algorithmicMedia" in read_mark(path.read_bytes())["xmp"]
    assert {row["id"] for row in csv_rows(folder / "unaligned.csv")} == faceless


@pytest.mark.parametrize("layout", [Layout.LFW, Layout.INSIGHTFACE, Layout.IJB, Layout.FRTE, Layout.BOB])
def test_tables_of_samples_say_what_each_image_shows(made: Any, tmp_path: Path, layout: Layout) -> None:
    folder = made.unpacked(layout, tmp_path)
    by_id = {row.id: row for row in made.rows}
    lists = "facsimile/dev/for_*ing.csv" if layout is Layout.BOB else "samples.csv"
    listed = [row for path in folder.glob(lists) if path.stem != "for_matching" for row in csv_rows(path)]
    without = made.faceless() if layout in (Layout.INSIGHTFACE, Layout.IJB) else set()
    named = {row.get("id") or row["template_id"] for row in listed}
    assert named == set(by_id) - without or (layout is Layout.BOB and len(named) > len(made.rows) / 2)
    for row in listed:
        assert (folder / (row.get("file") or row["path"])).is_file()
        labels = by_id[row.get("id") or row["template_id"]].labels()
        assert {"glasses", "shown_glasses", "shown_age", "shown_yaw"} <= set(labels)
        assert {name: row[name] for name in labels} == {name: str(value) for name, value in labels.items()}


class OnlyData(pickle.Unpickler):
    """Builds lists, bytes and truth values, and nothing that has a name."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} is no data")


def test_insightface_bin_by_the_rules_of_its_reader(made: Any, tmp_path: Path) -> None:
    """`bins, issame_list = pickle.load(f)`; images 2i and 2i + 1 are those of comparison i."""
    folder = made.unpacked(Layout.INSIGHTFACE_BIN, tmp_path)
    with (folder / "facsimile.bin").open("rb") as file:
        bins, issame = OnlyData(file).load()
    aligned = made.unpacked(Layout.ALIGNED, tmp_path / "aligned")
    listed = csv_rows(folder / "comparisons.csv")
    assert len(bins) == 2 * len(issame) == 2 * len(listed) > 0
    faceless = made.faceless()
    held = [item for item in made.comparisons if not faceless & {item.reference, item.probe}]
    assert [(row["reference"], row["probe"], row["mated"] == "1") for row in listed] == held
    assert issame == [item.mated for item in held]
    for number, item in enumerate(held):
        for data, sample in zip(bins[2 * number : 2 * number + 2], (item.reference, item.probe), strict=True):
            chip = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
            assert np.array_equal(chip[..., ::-1], decode((aligned / sample[:8] / f"{sample}.png").read_bytes()))
    left_out = csv_rows(folder / "left-out.csv")
    assert len(left_out) + len(listed) == len(made.comparisons)
    assert all({row["reference"], row["probe"]} & faceless for row in left_out)


@pytest.mark.usefixtures("no_network")
def test_aligned_by_datasets(made: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = made.unpacked(Layout.ALIGNED, tmp_path / "set")
    found = datasets.load_dataset("imagefolder", data_dir=str(folder), split="train", cache_dir=str(tmp_path / "c"))
    assert {item["id"] for item in found} == {row.id for row in made.rows} - made.faceless()
    assert {item["image"].size for item in found} == {(112, 112)}
    assert {row["id"] for row in csv_rows(folder / "unaligned.csv")} == made.faceless()


def test_aligned_faces_have_their_points_where_they_belong(made: Any, tmp_path: Path) -> None:
    from workers.matchers.alignment import TEMPLATE_112
    from workers.matchers.detector import load_detector

    folder = made.unpacked(Layout.ALIGNED, tmp_path)
    faces = [load_detector().detect(decode(path.read_bytes())) for path in sorted(folder.glob("*/*.png"))]
    off = [np.abs(face.points - TEMPLATE_112).mean() for face in faces if face is not None]
    assert len(off) > 0.9 * len(faces)
    assert np.median(off) < 3, "pixels"


def test_frte_by_the_rules_of_its_test_drivers(made: Any, tmp_path: Path) -> None:
    """`id >> path >> label` a line; PPM as readImage reads it, by OpenCV's and Pillow's readers too."""
    folder = made.unpacked(Layout.FRTE, tmp_path)

    def lines(name: str) -> list[list[str]]:
        return [line.split() for line in (folder / "input" / f"{name}.txt").read_text().splitlines()]

    labels = {"UNKNOWN", "ISO", "MUGSHOT", "PHOTOJOURNALISM", "EXPLOITATION", "WILD"}
    templates: dict[str, str] = {}
    for name in ("enroll", "verif"):
        for number, path, label in lines(name):
            assert label in labels
            assert f"{number}.template" not in templates, "one template would overwrite the other"
            templates[f"{number}.template"] = Path(path).stem
            data = (folder / path).read_bytes()
            magic, width, height, most = data.split(maxsplit=4)[:4]
            assert (magic, int(most)) == (b"P6", 255)
            pixels = np.frombuffer(data[data.index(b"255\n") + 4 :], np.uint8).reshape(int(height), int(width), 3)
            assert np.array_equal(pixels, pixels_of(made.files[Path(path).stem]))
            assert np.array_equal(cv2.imread(str(folder / path))[..., ::-1], pixels)
            assert np.array_equal(pixels_of(data), pixels)
    matches = [(templates[enrolled], templates[presented]) for enrolled, presented in lines("match")]
    assert matches == [(reference, probe) for reference, probe, _ in made.comparisons]
    gallery = {Path(path).stem for _, path, _ in lines("enroll_1N")}
    assert gallery == {row.id for row in made.rows if row.role != "probe"}
    searched = {Path(path).stem for _, path, _ in lines("search_1N")}
    assert searched == {row.id for row in made.rows if row.role == "probe"}


def test_ijb_by_the_rules_of_insightfaces_evaluation(made: Any, tmp_path: Path) -> None:
    """Parsed with pandas and numpy as `ijb_11.py` and `ijb_1n.py` parse them."""
    pandas = pytest.importorskip("pandas")
    folder = made.unpacked(Layout.IJB, tmp_path)
    meta = folder / "meta"
    media = pandas.read_csv(meta / "facsimile_face_tid_mid.txt", sep=" ", header=None).values
    templates, _ = media[:, 1].astype(int), media[:, 2].astype(int)
    assert len(set(templates)) == len(templates)
    points = [line.split(" ") for line in (meta / "facsimile_name_5pts_score.txt").read_text().splitlines()]
    assert [line[0] for line in points] == list(media[:, 0]), "line by line the same images"
    for line in points:
        assert cv2.imread(str(folder / "loose_crop" / line[0])).shape == (112, 112, 3)
        five = np.array([float(value) for value in line[1:-1]]).reshape(5, 2)
        assert (five > 0).all()
        assert (five < 112).all()
        assert 0.6 <= float(line[-1]) <= 1
    faceless = made.faceless()
    number = {Path(name).stem: int(template) for name, template in zip(media[:, 0], templates, strict=True)}
    assert set(number) == {row.id for row in made.rows} - faceless
    pairs = pandas.read_csv(meta / "facsimile_template_pair_label.txt", sep=" ", header=None).values
    held = [item for item in made.comparisons if not faceless & {item.reference, item.probe}]
    assert pairs.tolist() == [[number[a], number[b], int(mated)] for a, b, mated in held]
    galleries = [
        np.loadtxt(meta / f"facsimile_1N_{name}.csv", dtype=str, skiprows=1, delimiter=",")
        for name in ("gallery_S1", "gallery_S2")
    ]
    enrolled = np.concatenate(galleries)[:, 1].astype(int).tolist()
    probes = np.loadtxt(meta / "facsimile_1N_probe_mixed.csv", dtype=str, skiprows=1, delimiter=",")
    assert len(probes)
    for subject in probes[:, 1].astype(int):
        assert enrolled.count(subject) == 1, "gen_mask wants each probe's subject enrolled once"
    assert set(np.concatenate(galleries)[:, 0].astype(int)) <= set(templates)


def test_webdataset_by_webdataset(made: Any, tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    folder = made.unpacked(Layout.WEBDATASET, tmp_path)
    shards = sorted(str(path) for path in folder.glob("shard-*.tar"))
    found = list(wds.WebDataset(shards, shardshuffle=False).decode("rgb8"))
    assert [item["__key__"] for item in found] == [row.id for row in made.rows]
    for item, row in zip(found, made.rows, strict=True):
        landmarks = [list(point) for point in row.landmarks]
        expected = {"id": row.id, "subject": row.subject, "role": row.role, **row.labels(), "landmarks": landmarks}
        assert item["json"] == expected
        assert np.array_equal(item["png"], pixels_of(made.files[row.id]))


@pytest.mark.usefixtures("no_network")
def test_parquet_by_datasets(made: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = made.unpacked(Layout.PARQUET, tmp_path / "set")
    found = datasets.load_dataset(str(folder), "samples", split="test", cache_dir=str(tmp_path / "c"))
    assert isinstance(found.features["image"], datasets.Image)
    assert [item["id"] for item in found] == [row.id for row in made.rows]
    for item, row in zip(found, made.rows, strict=True):
        assert {key: item[key] for key in row.labels()} == row.labels()
        assert {"glasses", "shown_glasses", "shown_age", "shown_yaw"} <= set(row.labels())
        assert [tuple(point) for point in item["landmarks"]] == list(row.landmarks)
        assert np.array_equal(np.asarray(item["image"].convert("RGB")), pixels_of(made.files[row.id]))
    compared = datasets.load_dataset(str(folder), "comparisons", split="test", cache_dir=str(tmp_path / "c"))
    assert [(item["reference"], item["probe"], item["mated"]) for item in compared] == made.comparisons
    assert found.cast_column("image", datasets.Image(decode=False))[0]["image"]["bytes"] == made.files[made.rows[0].id]


def test_bob_by_its_own_reader_or_its_published_rules(made: Any, tmp_path: Path) -> None:
    folder = made.unpacked(Layout.BOB, tmp_path)
    lists = folder / "facsimile" / "dev"
    references = {row["template_id"]: row for row in csv_rows(lists / "for_enrolling.csv")}
    probes = {row["template_id"]: row for row in csv_rows(lists / "for_probing.csv")}
    for row in (*references.values(), *probes.values()):
        assert (folder / row["path"]).is_file()
        assert row["path"].startswith(f"samples/{row['subject_id']}/")
    matching = [(row["enroll_template_id"], row["probe_template_id"]) for row in csv_rows(lists / "for_matching.csv")]
    assert matching == [(reference, probe) for reference, probe, _ in made.comparisons]
    assert {reference for reference, _ in matching} == set(references)
    assert {probe for _, probe in matching} == set(probes)


def test_bob_by_bob(made: Any, tmp_path: Path) -> None:
    """Skipped where Bob is not installed: it wants older packages than everything else here."""
    database = pytest.importorskip("bob.bio.base.database")
    folder = made.unpacked(Layout.BOB, tmp_path)
    loader = database.FileSampleLoader(data_loader=cv2.imread, dataset_original_directory=str(folder), extension="")
    found = database.CSVDatabase(
        name="facsimile", dataset_protocols_path=str(folder), protocol="facsimile", transformer=loader
    )
    pairs = {(reference, probe.template_id) for probe in found.probes("dev") for reference in probe.references}
    assert pairs == {(reference, probe) for reference, probe, _ in made.comparisons}
    assert all(sample.data.shape == (112, 112, 3) for group in found.references("dev") for sample in group)


def test_gallery_by_what_reads_galleries(made: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `facsimile profile` reads a folder: as many subjects and files, and their names follow the same pattern."""
    monkeypatch.setattr(galleries, "FEWEST_SUBJECTS", 2)
    top = made.unpacked(Layout.GALLERY, tmp_path)
    found = galleries.read_gallery(top / "gallery")
    counts = Counter(row.subject for row in made.rows)
    assert sorted(len(pictures) for pictures in found.subjects.values()) == sorted(counts.values())
    # The set's own files are PNG, so no .JPG is made of them.
    followed = {_naming(*subject) for subject in found.subjects.items()}
    assert followed == {made.plan.naming.model_copy(update={"suffix": ".png"})}
    for row in csv_rows(top / "samples.csv"):
        assert (top / row["file"]).read_bytes() == made.files[row["id"]]
    assert (top / "gallery" / "Nobody_Aaab" / "Nobody_Aaab_0001.png").is_file()


@pytest.mark.parametrize("layout", [layout for layout in Layout if layout not in (Layout.PLAIN, Layout.ZIP)])
def test_every_layout_says_what_it_is(made: Any, layout: Layout) -> None:
    with tarfile.open(fileobj=io.BytesIO(made.archive(layout))) as tar:
        members = tar.getmembers()
        note = tar.extractfile("ds_test/README.txt").read().decode()  # type: ignore[union-attr]
    assert "nobody who exists" in note
    assert "ds_test" in note
    assert len({member.name for member in members}) == len(members)
    assert all(member.isreg() and member.mtime == 0 and member.uid == 0 for member in members)


def test_metadata_lines_are_json(made: Any, tmp_path: Path) -> None:
    folder = made.unpacked(Layout.IMAGEFOLDER, tmp_path)
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert all((folder / line["file_name"]).is_file() for line in lines)
