"""Galleries as users have them, and what is wrong with some of them."""

import csv
import io
import json
import random
from pathlib import Path

import pytest
from PIL import Image

from app.cli.main import run
from app.dataset.profile import SCHEMA_VERSION, Profile, read_profile
from app.errors import RequestRefused
from workers.profile.gallery import read_gallery


def picture(number: int) -> bytes:
    """A small picture unlike all others, with no face in it."""
    chance = random.Random(number)
    image = Image.new("RGB", (40, 40), (chance.randrange(256), chance.randrange(256), chance.randrange(256)))
    image.putpixel((number % 40, number // 40 % 40), (255, 255, 255))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def folders(root: Path, subjects: int, each: int = 2) -> Path:
    for subject in range(subjects):
        folder = root / f"person-{subject:03d}"
        folder.mkdir(parents=True)
        for number in range(each):
            (folder / f"{number}.png").write_bytes(picture(subject * each + number))
    return root


def table(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(root: Path) -> list[dict[str, str]]:
    return [{"path": str(path.relative_to(root)), "subject": path.parent.name} for path in sorted(root.rglob("*.png"))]


def problem(source: Path) -> str:
    with pytest.raises(RequestRefused) as refused:
        read_gallery(source)
    ((field, text),) = refused.value.problems
    assert field == "gallery"
    assert "; " in text or ": give" in text  # what to do about it
    return text


def test_four_forms_of_one_gallery_are_read_alike(tmp_path: Path) -> None:
    root = folders(tmp_path / "gallery", 25)
    expected = {name: [one.path for one in found] for name, found in read_gallery(root).subjects.items()}
    assert len(expected) == 25
    rows = rows_of(root)
    listed = table(root / "list.csv", rows)
    frte = root / "list.txt"
    frte.write_text("".join(f"{row['subject']} {row['path']} MUGSHOT\n" for row in rows))
    lines = root / "metadata.jsonl"
    lines.write_text("".join(json.dumps({"file_name": row["path"], "subject": row["subject"]}) + "\n" for row in rows))
    for source in (listed, frte, root):
        found = read_gallery(source)
        assert {name: [one.path for one in ones] for name, ones in found.subjects.items()} == expected, found.form
    lines.unlink()
    (root / "lfw").mkdir()
    for folder in root.glob("person-*"):
        folder.rename(root / "lfw" / folder.name)
    (root / "pairs.txt").write_text("10\t1\n")
    assert read_gallery(root).form == "LFW"
    assert len(read_gallery(root).subjects) == 25


def test_columns_are_taken_in_and_others_named(tmp_path: Path) -> None:
    root = folders(tmp_path / "gallery", 25)
    rows = [{**row, "sex": "F", "age": "34", "glasses": "", "shoe": "42"} for row in rows_of(root)]
    found = read_gallery(table(root / "list.csv", rows))
    assert found.unread == ("shoe",)
    assert {
        (one.words.get("sex"), one.age, one.words.get("glasses")) for ones in found.subjects.values() for one in ones
    } == {("female", 34.0, None)}


def test_few_subjects_and_few_pictures_are_refused(tmp_path: Path) -> None:
    assert "1 subjects" in problem(folders(tmp_path / "one", 1))
    three = problem(folders(tmp_path / "three", 3, each=1))
    assert "3 pictures of 3 subjects" in three
    assert "20" in three
    assert "is not there" in problem(tmp_path / "nowhere")


def test_folders_that_hold_no_subjects_are_told_what_to_hold(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "give one that holds a folder of each subject" in problem(tmp_path / "empty")
    (tmp_path / "flat").mkdir()
    (tmp_path / "flat" / "0.png").write_bytes(picture(0))
    assert "give each subject a folder of its own" in problem(tmp_path / "flat")


def test_pictures_that_are_listed_and_not_there_are_named_the_first_ten(tmp_path: Path) -> None:
    root = folders(tmp_path / "gallery", 25)
    rows = [{**row, "path": f"gone/{row['path']}"} if number < 12 else row for number, row in enumerate(rows_of(root))]
    text = problem(table(root / "list.csv", rows))
    assert "12 of 50 pictures that are listed are not there (gone/person-000/0.png · " in text
    assert text.count("gone/") == 10
    absolute = [{**row, "path": f"/nowhere/{row['path']}"} for row in rows]
    assert "50 of 50 pictures that are listed are not there (/nowhere/" in problem(table(root / "list.csv", absolute))


def test_mixed_labels_are_named_the_first_ten(tmp_path: Path) -> None:
    root = folders(tmp_path / "gallery", 25)
    rows = rows_of(root)
    twice = [*rows, *({"path": row["path"], "subject": "somebody-else"} for row in rows[:12])]
    text = problem(table(root / "twice.csv", twice))
    assert "12 lines" in text
    assert text.count("somebody-else") == 10
    both = [{**row, "sex": "female" if number % 2 else "male"} for number, row in enumerate(rows)]
    assert "sex of person-000 is female, and male before" in problem(table(root / "both.csv", both))
    assert "is none of female, male" in problem(table(root / "odd.csv", [{**row, "sex": "x"} for row in rows]))
    assert "no number of years" in problem(table(root / "old.csv", [{**row, "age": "old"} for row in rows]))
    (root / "person-003" / "copy.png").write_bytes((root / "person-004" / "0.png").read_bytes())
    assert "under two subjects with the very same bytes" in problem(root)


def test_lists_that_are_none_are_told_so(tmp_path: Path) -> None:
    root = folders(tmp_path / "gallery", 25)
    rows = rows_of(root)
    assert "name them path,subject" in problem(table(root / "a.csv", [{"picture": "x", "person": "y"}]))
    assert "lacks its path or its subject" in problem(table(root / "b.csv", [{**row, "subject": ""} for row in rows]))
    (root / "c.txt").write_text("1 a.png\n")
    assert "ID PATH LABEL" in problem(root / "c.txt")
    (root / "d.txt").write_text("".join(f"{number} {row['path']} VISA\n" for number, row in enumerate(rows)))
    assert "another ID in every line" in problem(root / "d.txt")
    (root / "e.csv").write_bytes(b"path,subject\n\xff\xfe,x\n")
    assert "UTF-8" in problem(root / "e.csv")
    (root / "metadata.jsonl").write_text("{")
    assert "no JSON" in problem(root)


def test_a_gallery_without_faces_makes_no_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = folders(tmp_path / "gallery", 20, each=1)
    out = tmp_path / "profile.json"
    assert run(["profile", str(root), "--out", str(out), "--matcher", "sface"]) == 2
    assert "no face is found in any of 20 pictures" in capsys.readouterr().err
    assert not out.exists()


def test_wrong_uses_of_the_command_are_told_before_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", str(tmp_path), "--out", str(tmp_path / "no" / "p.json")]) == 2
    assert run(["profile", str(tmp_path), "--out", str(tmp_path / "p.json"), "--epsilon", "0"]) == 2
    assert run(["profile", "show", str(tmp_path / "none.json")]) == 2
    said = capsys.readouterr().err
    assert "is no folder" in said
    assert "--epsilon 0 is no budget" in said
    assert "none.json cannot be read" in said


def refused(data: bytes) -> list[str]:
    with pytest.raises(RequestRefused) as caught:
        read_profile(data)
    assert all("; " in text for _, text in caught.value.problems)
    return [field for field, _ in caught.value.problems]


def test_a_profile_that_was_edited_or_is_newer_is_refused_by_its_field(told_profile: Profile) -> None:
    data = told_profile.as_file()
    assert read_profile(data) == told_profile
    found = json.loads(data)
    assert read_profile(found) == told_profile
    edited = {**found, "detector": "another"}
    assert refused(json.dumps(edited).encode()) == ["profile.digest"]
    assert refused(json.dumps({**found, "schema_version": SCHEMA_VERSION + 1}).encode()) == ["profile.schema_version"]
    assert refused(json.dumps({**found, "kind": "photograph"}).encode()) == ["profile.kind"]
    assert refused(b"{") == ["profile"]
    assert refused(b'{"kind": "facsimile.profile", "schema_version": NaN}') == ["profile"]
    assert refused(json.dumps({**found, "names": ["Ada"]}).encode()) == ["profile.names"]
    yaw = {**found["quantities"]["yaw"], "counts": [1] * len(found["quantities"]["yaw"]["counts"])}
    fields = refused(json.dumps({**found, "quantities": {**found["quantities"], "yaw": yaw}}).encode())
    assert fields[0] == "profile.quantities.yaw.counts.0"
    assert refused(b" " * (1024 * 1024 + 1)) == ["profile"]


def test_show_prints_every_number_of_the_file(
    told_profile: Profile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "profile.json"
    file.write_bytes(told_profile.as_file())
    assert run(["profile", "show", str(file)]) == 0
    shown = set(capsys.readouterr().out.replace(",", " ").replace(":", " ").replace(";", " ").replace(")", " ").split())
    numbers: list[str] = []
    json.loads(
        told_profile.as_file(),
        parse_int=lambda text: numbers.append(text),
        parse_float=lambda text: numbers.append(text),
    )
    assert len(numbers) > 200
    missing = {
        text for text in numbers if not {text, f"{float(text):.0f}" if float(text).is_integer() else text} & shown
    }
    assert not missing
    assert run(["profile", "show", str(file), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["digest"] == told_profile.digest
