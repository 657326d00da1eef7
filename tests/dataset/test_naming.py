"""The pattern of a gallery's names: what it is, that no name is in it, and what a twin is called by it."""

import random
import re
from collections import Counter

import pytest
from pydantic import ValidationError

from app.dataset.naming import IMAGE, NOBODY, SOMEBODY, SUFFIXES, Called, Naming, naming_of, pattern_of

LFW = Naming(folders=True, subject="{word}_{word}", file="{subject}_{number:04}", first=1, suffix=".jpg")


def files(*names: str) -> list[Called]:
    """Files by their paths: FOLDER/STEM.SUFFIX."""
    found = [re.fullmatch(r"(.*)/([^/]*?)(\.[^.]*)", name) for name in names]
    return [Called(one[1], one[2], one[3]) for one in found if one]


@pytest.mark.parametrize(
    ("subject", "names", "pattern", "first"),
    [
        (
            "Aaron_Eckhart",
            ["Aaron_Eckhart/Aaron_Eckhart_0001.jpg", "Aaron_Eckhart/Aaron_Eckhart_0002.jpg"],
            "{word}_{word}/{subject}_{number:04}.jpg",
            1,
        ),
        ("000123", ["000123/001.png", "000123/000.png"], "{number:06}/{number:03}.png", 0),
        ("n000002", ["n000002/9.jpg", "n000002/10.jpg"], "{word}{number:06}/{number}.jpg", 1),
        ("7", ["7/img7.JPG", "7/img12.JPG"], "{number}/{word}{number}.JPG", 1),
        ("Ana", ["all/Ana-2_17.png", "all/Ana-2_18.png"], "{subject}-{number}_{number:02}.png", 1),
        ("Jürgen Groß", ["Jürgen Groß/1.bmp"], "{word} {word}/{number}.bmp", 1),
    ],
)
def test_a_subjects_names_are_read_as_a_pattern(subject: str, names: list[str], pattern: str, first: int) -> None:
    found = naming_of(subject, files(*names))
    assert found is not None
    assert (str(found), found.first) == (pattern, first)


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("Ana", ["Ana/portrait.jpg"]),  # no number
        ("Ana", ["Ana/1.jpg", "Ana/left_1.jpg"]),  # two patterns
        ("Ana", ["Ana/1.jpg", "Ana/2.png"]),  # two endings
        ("Ana", ["Ana/1.heic"]),
        ("Ana", ["all/17.jpg"]),  # whose it is, its name does not say
        ("Ana...B", ["Ana...B/1.jpg"]),
        ("_", ["_/1.jpg"]),
        ("Ana", ["Ana/0123456789.jpg"]),
        ("Ana", []),
    ],
)
def test_names_of_no_pattern_are_none(subject: str, names: list[str]) -> None:
    assert naming_of(subject, files(*names)) is None


def test_no_letter_of_a_name_is_in_a_pattern_whatever_the_name() -> None:
    rng = random.Random(5)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZäßéñ李محمد'{}:\\0123456789_-. "
    told = 0
    for _ in range(5_000):
        subject = "".join(rng.choice(letters) for _ in range(rng.randint(1, 14)))
        numbers = [f"{rng.randrange(9_999):0{rng.randint(1, 4)}d}" for _ in range(2)]
        named = [Called(subject, f"{rng.choice([subject, 'Marie'])}_{number}", ".jpg") for number in numbers]
        found = naming_of(subject, named)
        if found is not None:
            told += 1
            rest = re.sub(r"\{(word|subject|number(:0[2-9])?)\}", "", found.subject + found.file)
            assert set(rest) <= set("_. -")
    assert told > 500


@pytest.mark.parametrize("text", ["Marie_{number}", "{name}", "{word}/{word}", "{number:10}", "{word}...{word}", ""])
def test_a_profile_cannot_be_made_to_hold_a_name(text: str) -> None:
    fields = {"folders": True, "file": "{number}", "first": 1, "suffix": ".jpg"}
    with pytest.raises(ValidationError):
        Naming.model_validate({**fields, "subject": text})
    with pytest.raises(ValidationError):
        Naming.model_validate({**fields, "subject": "{word}", "file": text})


@pytest.mark.parametrize(
    "subject", ["{word}_{word}", "{number:04}", "{word}{number}", "{word}", "{number}-{number:02}"]
)
@pytest.mark.parametrize("file", ["{subject}_{number:04}", "{subject}.{number}", "{subject}-{number}_{number:03}"])
@pytest.mark.parametrize("folders", [True, False])
def test_a_twin_is_called_by_the_pattern_and_no_two_files_alike(subject: str, file: str, folders: bool) -> None:
    naming = Naming(folders=folders, subject=subject, file=file, first=0, suffix=".jpg")
    names = [naming.subject_name(number) for number in range(2_000)]
    assert len(set(names)) == 2_000
    widths = re.sub(r":0[2-9]", "", subject)
    assert {re.sub(r":0[2-9]", "", str(pattern_of(name))) for name in names} == {widths}
    paths = [naming.file_name(name, rank, ".png") for name in names[:50] for rank in range(30)]
    assert len(set(paths)) == len(paths)
    assert all(path.endswith(".png") and path.count("/") == folders for path in paths)
    words = set(re.findall(r"[A-Za-z]+", " ".join(paths[:1])))
    assert words <= {NOBODY, SOMEBODY, IMAGE, "Aaaa", "png"}


def test_a_file_without_its_subject_is_numbered_in_its_folder() -> None:
    naming = LFW.model_copy(update={"file": "{word}{number:03}"})
    assert naming.file_name(naming.subject_name(0), 1, ".jpg") == "Nobody_Aaaa/image002.jpg"


def test_endings_are_those_of_photographs() -> None:
    assert Counter(suffix.lower() for suffix in SUFFIXES).keys() >= {".jpg", ".png", ".bmp", ".ppm"}
