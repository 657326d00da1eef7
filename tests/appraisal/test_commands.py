"""`facsimile models evaluate` and `models calibrate`."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import run
from workers.generator import registry
from workers.generator.cards import read_card, write_card
from workers.images import decode
from workers.matchers import detector
from workers.matchers import registry as matchers
from workers.matchers.comparison import COSINE
from workers.pipeline import run as pipeline


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, writing: Any, reading: Any, tell_tale: Any) -> Path:
    """The writing generator as a model in a folder, and one matcher that reads it."""
    folder = tmp_path / "writing"
    folder.mkdir()
    write_card(folder, writing.card)
    monkeypatch.setattr(registry, "load_generator", lambda name, settings: writing)
    monkeypatch.setattr(registry, "model_folders", lambda settings: {"writing": folder})
    monkeypatch.setattr(matchers, "load_matcher", lambda name, settings: reading(name, COSINE))
    monkeypatch.setattr(matchers, "BUILT_IN", {"sface": None})
    monkeypatch.setattr(detector, "load_detector", tell_tale)
    return folder


SMALL = ["--subjects", "30", "--samples", "3"]
ONCE = ["--seeds", "1", "--identities", "40"]


def test_the_table_is_printed_and_kept_with_its_pictures(
    installed: Path, capsys: pytest.CaptureFixture[str], writing: Any
) -> None:
    assert run(["models", "evaluate", "writing", *SMALL, *ONCE, "--keep"]) == 0
    printed = capsys.readouterr().out
    assert "face found" in printed
    assert "sface" in printed
    card = read_card(installed)
    assert card.digest == writing.card.digest
    assert (card.model_extra or {})["evaluation"]["subjects"] == 30
    assert decode((installed / "sweep.png").read_bytes()).shape == (8 * 16, 8 * 16, 3)
    assert "<polyline" in (installed / "sweep.svg").read_text()


def test_a_calibration_gives_the_scale_for_machines(
    installed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "check", lambda plan, pixels, detector: (None, None))  # no faces here
    asked = ["models", "calibrate", "writing", "--fnmr", "0.3", "--fmr", "0.05", "--tolerance", "0.2", "--json"]
    assert run([*asked, "--subjects", "60", "--samples", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["outcome"] == "met"
    assert found["measured"]["fnmr"]["value"] == pytest.approx(0.3, abs=0.06)
    assert found["measured"]["fnmr"]["trials"] == 60 * 3
    assert 0 < found["scale"] < 2


def test_what_cannot_be_resolved_is_said_before_anything_is_made(
    installed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, writing: Any
) -> None:
    monkeypatch.setattr(writing, "generate", lambda *_: pytest.fail("made something"))
    assert run(["models", "calibrate", "writing", "--fnmr", "0.05", "--fmr", "0.0001", *SMALL]) == 2
    assert "needs 300,000 non-mated comparisons" in capsys.readouterr().err
    assert run(["models", "calibrate", "writing", "--fnmr", "0", *SMALL]) == 2
    assert "target.fnmr" in capsys.readouterr().err


def test_the_models_folder_is_the_environments(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACSIMILE_WORKER__MODELS_DIR", str(tmp_path / "nowhere"))
    for command in (
        ["models", "evaluate", "x"],
        ["models", "calibrate", "x", "--fnmr", "0.3"],
        ["train", "measure", "x"],
    ):
        assert run(command) == 2
        assert f"FACSIMILE_WORKER__MODELS_DIR names {tmp_path / 'nowhere'}" in capsys.readouterr().err
