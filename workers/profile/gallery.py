"""Galleries as they lie on disk: ImageFolder, LFW, FRTE lists, CSV of path and subject. Nothing is opened but lists.

Columns `sex`, `age`, `skin_tone` and `glasses` are read where a CSV or metadata.jsonl has them; of all others only the
name is kept, to be told. Whatever contradicts itself is refused, the first ten by name: these names stay on the
user's terminal.
"""

import csv
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from app.dataset.profile import FEWEST_SUBJECTS
from app.errors import RequestRefused
from workers.photographs import copies, printable, subject_folders

NAMED = 10
"""So many of what is wrong are named."""

WORDS = {
    "sex": {"female": "female", "f": "female", "male": "male", "m": "male"},
    "skin_tone": {"light": "light", "medium": "medium", "dark": "dark"},
    "glasses": {"yes": "yes", "true": "yes", "1": "yes", "no": "no", "false": "no", "0": "no"},
}
"""Columns that are read, and what their values are taken for; what is empty is not known."""

AGE = "age"


class Picture(NamedTuple):
    """One file of the gallery, and what its row says of it."""

    path: Path
    words: Mapping[str, str]
    age: float | None


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Subjects and their pictures, both in the order of their names."""

    form: str
    """As what it was read."""
    subjects: dict[str, list[Picture]]
    unread: tuple[str, ...] = ()
    """Columns that are not read."""

    @property
    def pictures(self) -> int:
        """All of them."""
        return sum(map(len, self.subjects.values()))


class _Row(NamedTuple):
    where: str
    path: str
    subject: str
    columns: Mapping[str, str]


def read_gallery(source: Path) -> Gallery:
    """Read a gallery's lists or folders; raises RequestRefused with the field `gallery`, ten of what is wrong."""
    if source.is_dir():
        gallery = _folder(source)
    elif not source.exists():
        raise _refused(f"{printable(source)} is not there; give a folder, a CSV file or a list")
    elif source.suffix.lower() == ".csv":
        gallery = _rows("CSV", source.parent, _csv(source))
    else:
        gallery = _rows("FRTE list", source.parent, _frte(source))
    if len(gallery.subjects) < FEWEST_SUBJECTS:
        raise _refused(
            f"{printable(source)} has {gallery.pictures:,} pictures of {len(gallery.subjects):,} subjects; a profile "
            f"of fewer than {FEWEST_SUBJECTS} subjects would describe them one by one: give a gallery of more"
        )
    _check_copies(gallery)
    return gallery


def _folder(source: Path) -> Gallery:
    listed, within = source / "metadata.jsonl", source / "lfw"
    if listed.is_file():
        return _rows("ImageFolder with metadata.jsonl", source, _jsonl(listed))
    if (source / "samples.csv").is_file() and (source / "input").is_dir():
        return _rows("FRTE package", source, _csv(source / "samples.csv"))
    lfw = within if within.is_dir() else source
    form = "LFW" if any((source / name).is_file() for name in ("pairs.txt", "people.txt")) else "ImageFolder"
    found = {
        name: [Picture(path, {}, None) for path in pictures]
        for name, pictures in subject_folders(lfw, "gallery")
        if pictures
    }
    return Gallery(form=form, subjects=found)


def _rows(form: str, root: Path, rows: Iterator[_Row]) -> Gallery:
    problems: list[str] = []
    subjects: dict[str, list[Picture]] = defaultdict(list)
    owner: dict[str, str] = {}
    said: dict[tuple[str, str], str] = {}
    unread: dict[str, None] = {}
    for row in rows:
        if not row.path or not row.subject:
            problems.append(f"{row.where} lacks its path or its subject")
            continue
        if (before := owner.setdefault(row.path, row.subject)) != row.subject:
            problems.append(f"{row.where} gives {row.path} to {row.subject}, and an earlier line to {before}")
            continue
        unread |= {name: None for name in row.columns if name not in (*WORDS, AGE)}
        words, age = _words(row, problems)
        for name, word in {**words, **({AGE: f"{age:g}"} if age is not None else {})}.items():
            # Glasses are put on and off, and years pass: who somebody is stays.
            if name in ("sex", "skin_tone") and said.setdefault((row.subject, name), word) != word:
                problems.append(f"{row.where}: {name} of {row.subject} is {word}, and {said[row.subject, name]} before")
        subjects[row.subject].append(Picture(root / row.path, words, age))
    if problems:
        raise _refused(_first(f"{len(problems):,} lines contradict or lack something", problems, "mend these lines"))
    ordered = {name: _unique(subjects[name]) for name in sorted(subjects)}
    missing = [path for path in owner if not os.path.lexists(root / path)]
    if missing:
        text = f"{len(missing):,} of {len(owner):,} pictures that are listed are not there"
        raise _refused(_first(text, missing, f"paths are read as below {printable(root)}"))
    return Gallery(form=form, subjects=ordered, unread=tuple(unread))


def _unique(pictures: list[Picture]) -> list[Picture]:
    """By path; a line that stands twice is one picture."""
    return [found for _, found in sorted({picture.path: picture for picture in pictures}.items())]


def _words(row: _Row, problems: list[str]) -> tuple[dict[str, str], float | None]:
    words = {}
    for name, known in WORDS.items():
        value = row.columns.get(name, "").strip().lower()
        if value and value not in known:
            problems.append(f"{row.where}: {name} {value!r} is none of {', '.join(dict.fromkeys(known.values()))}")
        elif value:
            words[name] = known[value]
    text = row.columns.get(AGE, "").strip()
    try:
        age = float(text) if text else None
        if age is not None and not 0 <= age <= 120:
            raise ValueError
    except ValueError:
        problems.append(f"{row.where}: age {text!r} is no number of years from 0 to 120")
        return words, None
    return words, age


def _csv(path: Path) -> Iterator[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            names = reader.fieldnames or []
            key = "path" if "path" in names else "file"
            if key not in names or "subject" not in names:
                raise _refused(
                    f"{printable(path)} has the columns {', '.join(names) or '(none)'}; name them path,subject"
                )
            for row in reader:
                if None in row or None in row.values():
                    raise _refused(
                        f"line {reader.line_num} of {printable(path)} has another number of columns; mend it"
                    )
                columns = {name: value for name, value in row.items() if name not in (key, "subject")}
                yield _Row(f"line {reader.line_num}", row[key].strip(), row["subject"].strip(), columns)
    except (UnicodeDecodeError, csv.Error) as exc:
        raise _refused(f"{printable(path)} is no CSV in UTF-8 ({exc}); save it as such") from exc


def _jsonl(path: Path) -> Iterator[_Row]:
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip():
                continue
            found = json.loads(line)
            if not isinstance(found, dict) or "file_name" not in found:
                raise _refused(f"line {number} of {path.name} has no file_name; give every picture one")
            subject = found.get("subject", found.get("label", Path(str(found["file_name"])).parent.name))
            columns = {
                str(name): "" if value is None else str(value)
                for name, value in found.items()
                if name not in ("file_name", "subject", "label")
            }
            yield _Row(f"line {number}", str(found["file_name"]), str(subject), columns)
    except (UnicodeDecodeError, ValueError) as exc:
        raise _refused(f"{printable(path)} has a line that is no JSON ({exc}); mend it") from exc


def _frte(path: Path) -> Iterator[_Row]:
    """Lines `ID PATH LABEL`. Pictures of one ID are of one subject."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as exc:
        raise _refused(f"{printable(path)} is no text in UTF-8; give a list of `ID PATH LABEL`, or a CSV") from exc
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        parts = line.split()
        if len(parts) != 3:
            raise _refused(f"line {number} of {printable(path)} is not `ID PATH LABEL`; give such a list, or a CSV")
        rows.append(_Row(f"line {number}", parts[1], parts[0], {}))
    if len(rows) > 1 and len({row.subject for row in rows}) == len(rows):
        raise _refused(
            f"{printable(path)} has another ID in every line, so no two pictures would be of one subject; "
            "let the ID name the subject, or give a CSV with the columns path,subject"
        )
    yield from rows


def _check_copies(gallery: Gallery) -> None:
    """Refuse one picture that lies under two subjects: who is on it?"""
    owner = {picture.path: name for name, pictures in gallery.subjects.items() for picture in pictures}
    mixed = [
        f"{printable(copy)} ({printable(owner[copy])}) and {printable(first)} ({printable(owner[first])})"
        for copy, first in copies(owner).items()
        if owner[copy] != owner[first]
    ]
    if mixed:
        text = f"{len(mixed):,} pictures lie under two subjects with the very same bytes"
        raise _refused(_first(text, mixed, "keep each where it belongs"))


def _first(text: str, problems: Sequence[str], fix: str) -> str:
    more = " …" if len(problems) > NAMED else ""
    return f"{text} ({' · '.join(map(printable, problems[:NAMED]))}{more}); {fix}"


def _refused(text: str) -> RequestRefused:
    return RequestRefused([("gallery", text)])
