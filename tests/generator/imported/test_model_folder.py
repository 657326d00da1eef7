"""`models import`: one command from somebody's file to a model that generates, and words for what is wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.cli.main import run
from app.config import WorkerSettings
from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.generator.editing.directions import Direction
from workers.generator.imported import model_folder
from workers.generator.registry import load_generator, model_cards

STATED = ["--licence", "CC0-1.0", "--provenance", "random numbers"]


@pytest.fixture(scope="module")
def checkpoint(forge: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ProGAN of 16 pixels with genforce's names, as torch would save it."""
    rng = np.random.default_rng(4)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    state = {"layer0.weight": normal(6, 5, 4, 4), "layer0.bias": normal(6), "lod": np.float32([0]).reshape(())}
    channels = (6, 4, 4)
    for step, out in enumerate(channels):
        if step:
            state |= {
                f"layer{2 * step}.weight": normal(out, channels[step - 1], 3, 3),
                f"layer{2 * step}.bias": normal(out),
            }
        state |= {f"layer{2 * step + 1}.weight": normal(out, out, 3, 3), f"layer{2 * step + 1}.bias": normal(out)}
        state |= {f"output{step}.weight": normal(3, out, 1, 1), f"output{step}.bias": normal(3)}
    path = tmp_path_factory.mktemp("files") / "ours.pth"
    path.write_bytes(forge.archive(state))
    return path


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_folder, "PICTURES", 8)
    monkeypatch.setattr(model_folder, "SAMPLED", 500)


def test_one_command_makes_a_model_that_generates(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "models"
    code = run(
        [
            "models",
            "import",
            str(checkpoint),
            "--name",
            "mine",
            "--out",
            str(out),
            *STATED,
            "--force",
            "--alignment",
            "FFHQ",
        ]
    )
    assert code == 0, capsys.readouterr().err
    assert "model mine 1.0 (progan)" in capsys.readouterr().out
    settings = WorkerSettings(models_dir=str(out), device="cpu")
    (card,) = [card for card in model_cards(settings) if card.name == "mine"]
    extra = card.model_extra or {}
    assert (card.licence, card.provenance) == ("CC0-1.0", "random numbers")
    assert "cleared" in extra["never_default"]
    assert extra["imported"]["sha256"] == _sha256(checkpoint)
    assert extra["imported"]["network"] == ""
    assert extra["alignment"] == {
        "stated": "FFHQ",
        "seen": {"pictures": 8, "faces_found": 0, "eyes": None, "between_eyes": None},
    }
    assert dict(card.latent.observation) == {"residual": (0, 5)}
    generator = load_generator("mine", settings)
    rng = np.random.default_rng(1)
    images = generator.generate(rng.standard_normal((2, 5)).astype(np.float32), np.zeros((2, 5), np.float32), 16, 16)
    assert images.std() > 0.01
    assert (out / "mine" / "weights.safetensors").stat().st_mode & 0o044
    assert run(["models", "import", str(checkpoint), "--name", "mine", "--out", str(out), *STATED, "--force"])
    assert "exists already" in capsys.readouterr().err


def _sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_look_says_what_a_file_holds_and_writes_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(tmp_path.parent.rglob("*"))
    assert run(["models", "import", "--look", str(checkpoint)]) == 0
    said = capsys.readouterr().out
    for words in (
        "progan (ProGAN, genforce state dict)",
        "16×16 pixels",
        "z 5",
        _sha256(checkpoint),
        "refused: nothing",
    ):
        assert words in said
    assert set(tmp_path.parent.rglob("*")) == before
    (tmp_path / "bad.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert run(["models", "import", str(tmp_path / "bad.pkl"), "--look"]) == 1
    assert "refused" in (said := capsys.readouterr().out)
    assert "global `os.system` is not allowed (at byte 0)" in said


@pytest.mark.parametrize(
    ("left_out", "words"),
    [
        ("--licence", "licence: left out"),
        ("--provenance", "provenance: left out"),
        ("--name", "name: left out"),
        ("--out", "out: left out"),
        ("--force", "no face found in 8 of 8 pictures"),
    ],
)
def test_nothing_is_made_up_for_what_is_left_out(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], left_out: str, words: str
) -> None:
    given = ["--name", "mine", "--out", str(tmp_path / "models"), *STATED, "--force"]
    place = given.index(left_out)
    del given[place : place + (1 if left_out == "--force" else 2)]
    assert run(["models", "import", str(checkpoint), *given]) != 0
    assert words in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--truncation", "1.5"], "truncation: ψ is 1.5"),
        (["--truncation", "0.5"], "no w to truncate"),
        (["--label", "0"], "label: the network was told of no classes; leave it out"),
        (["--name", "sdgan"], "cannot name a model"),
        (["--network", "g_ema"], "there is no network `g_ema`"),
        (["--boundary", "pose"], "is not NAME=FILE.npy"),
        (["--boundary", "pose:X=a.npy"], "the space is Z or W"),
        (["--boundary", "pose:W=a.npy"], "has no space 'W'"),
        (["--boundary", "pose=missing.npy"], "pose: missing.npy"),
        (["--boundary", "a=x.npy", "--boundary", "a=y.npy"], "a is given twice"),
        (["--boundary", "a=x.npy", "--hold", "a=y.npy"], "moved and held still at once"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    given = ["--name", "mine", "--out", str(tmp_path / "models"), *STATED, "--force", *more]
    assert run(["models", "import", str(checkpoint), *given]) != 0
    assert words in capsys.readouterr().err
    assert not (tmp_path / "models" / "mine").exists()


def test_boundaries_become_factors(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = np.zeros((1, 5)), np.zeros((1, 5))
    one[0, :2], other[0, 1] = [0.6, 0.8], 1
    for name, values in (("pose", one), ("age", other), ("wide", np.eye(1, 7))):
        np.save(tmp_path / f"{name}.npy", values)
    given = ["--name", "mine", "--out", str(tmp_path / "models"), *STATED, "--force"]
    pose = ["--boundary", f"pose={tmp_path}/pose.npy", "--hold", f"age:Z={tmp_path}/age.npy"]
    assert run(["models", "import", str(checkpoint), *given, *pose]) == 0, capsys.readouterr().err
    card = json.loads((tmp_path / "models" / "mine" / "card.json").read_text())
    assert card["latent"]["observation"] == {"pose": [0, 1]}
    (entry,) = card["directions"]["list"]
    assert (entry["space"], entry["centre"], entry["unit"], entry["limit"]) == ("Z", 0.0, 1.0, 3.0)
    generator = load_generator("mine", WorkerSettings(models_dir=str(tmp_path / "models"), device="cpu"))
    who = np.random.default_rng(2).standard_normal((3, 5)).astype(np.float32)
    images = [generator.generate(who, np.full((3, 1), value, np.float32), 16, 16) for value in (-1, 0, 1)]
    assert np.abs(images[0] - images[2]).mean() > 0.01
    wide = [
        "--name",
        "wide",
        "--out",
        str(tmp_path / "models"),
        *STATED,
        "--force",
        "--boundary",
        f"a={tmp_path}/wide.npy",
    ]
    assert run(["models", "import", str(checkpoint), *wide]) != 0
    assert "boundary has 7 dimensions; this model's Z has 5" in capsys.readouterr().err


def test_a_write_that_fails_leaves_nothing(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: Any) -> ModelCard:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_folder, "save_model", full)
    given = ["--name", "mine", "--out", str(tmp_path / "models"), *STATED, "--force"]
    assert run(["models", "import", str(checkpoint), *given]) != 0
    assert "No space left" in capsys.readouterr().err
    assert not (tmp_path / "models" / "mine").exists()


def test_a_folder_of_no_known_kind_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["models", "import", str(tmp_path), "--name", "mine", "--out", str(tmp_path / "x"), *STATED]) != 0
    assert "no manifest.json" in capsys.readouterr().err


def test_fixtures_come_in_by_the_same_command(
    fixtures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, more in (
        ("stylegan2-ada-conditional.pkl", ["--label", "3", "--truncation", "0.7", "--cutoff", "4"]),
        ("stylegan3-t.pkl", []),
        ("stylegan2-rosinality.pt", ["--cleared"]),
    ):
        given = ["--name", name[:14].strip("-"), "--out", str(tmp_path), *STATED, "--force", *more]
        assert run(["models", "import", str(fixtures / name), *given]) == 0, capsys.readouterr().err
    cards = {card.name: card for card in model_cards(WorkerSettings(models_dir=str(tmp_path), device="cpu"))}
    assert "noise" not in cards["stylegan3-t.pk"].latent.observation
    rosinality = cards["stylegan2-rosi"].model_extra or {}
    assert "never_default" not in rosinality
    assert "sampled here" in rosinality["imported"]["notes"][0]


def test_directions_need_faces_and_an_imported_model(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["--name", "mine", "--out", str(tmp_path), *STATED, "--force"]
    assert run(["models", "import", str(checkpoint), *given]) == 0
    monkeypatch.setenv("FACSIMILE_WORKER__MODELS_DIR", str(tmp_path))
    monkeypatch.setenv("FACSIMILE_WORKER__DEVICE", "cpu")
    assert run(["models", "directions", "mine", "--samples", "100", "--bases", "8"]) != 0
    assert "no face found in 100 of 100 pictures" in capsys.readouterr().err
    assert run(["models", "directions", "sdgan"]) != 0
    assert "sdgan is no imported model" in capsys.readouterr().err


def test_other_directions_make_another_model(checkpoint: Path, tmp_path: Path) -> None:
    given = ["--name", "mine", "--out", str(tmp_path), *STATED, "--force"]
    assert run(["models", "import", str(checkpoint), *given]) == 0
    settings = WorkerSettings(models_dir=str(tmp_path), device="cpu")
    before = load_generator("mine", settings).card
    one = Direction(name="yaw", factor="pose", space="Z", normal=np.eye(5)[2], unit=0.5, limit=1.0, centre=0.0)
    model_folder.replace_directions(tmp_path / "mine", [one], noise=False)
    generator = load_generator("mine", settings)
    assert (before.version, generator.card.version) == ("1.0", "1.1")
    assert generator.card.digest != before.digest
    assert dict(generator.card.latent.observation) == {"pose": (0, 1)}
    who = np.random.default_rng(2).standard_normal((3, 5)).astype(np.float32)
    assert generator.mapped(who, np.float32([[0], [1], [-9]]))[:, 2] == pytest.approx(np.tanh([0, 0.5, -4.5]), abs=1e-5)


def test_directions_are_changed_in_one_step(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off before the card is written, the folder holds the model of before; written, nothing of it is left."""
    given = ["--name", "mine", "--out", str(tmp_path), *STATED, "--force"]
    assert run(["models", "import", str(checkpoint), *given]) == 0
    settings = WorkerSettings(models_dir=str(tmp_path), device="cpu")
    before = load_generator("mine", settings).card
    one = Direction(name="yaw", factor="pose", space="Z", normal=np.eye(5)[2], unit=0.5, limit=1.0, centre=0.0)

    def broken(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(model_folder, "write_card", broken)
        with pytest.raises(OSError, match="No space"):
            model_folder.replace_directions(tmp_path / "mine", [one], noise=False)
    assert load_generator("mine", settings).card == before
    after = model_folder.replace_directions(tmp_path / "mine", [one], noise=False)
    left = [path.name for path in (tmp_path / "mine").glob("directions*")]
    assert left == [(after.model_extra or {})["directions"]["file"]]
    assert load_generator("mine", settings).card.digest == after.digest


def test_a_directions_file_out_of_the_folder_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    given = ["--name", "mine", "--out", str(tmp_path), *STATED, "--force"]
    assert run(["models", "import", str(checkpoint), *given]) == 0
    path = tmp_path / "mine" / "card.json"
    card = json.loads(path.read_text())
    card["directions"]["file"] = "../mine/" + card["directions"]["file"]
    path.write_text(json.dumps(card))
    with pytest.raises(Corrupt, match="directions that cannot be"):
        load_generator("mine", WorkerSettings(models_dir=str(tmp_path), device="cpu"))


def _boundary(path: Path) -> bytes:
    np.save(path.with_suffix(".npy"), np.eye(1, 5))
    return path.with_suffix(".npy").read_bytes()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data, path: data[: len(data) // 2], ("the file ends in the middle",)),
        (lambda data, path: b"\x89PNG\r\n\x1a\n" + bytes(400), ("picture", "PNG", "image")),
        (lambda data, path: b"Salted__" + bytes(400), ("encrypted",)),
        (lambda data, path: _boundary(path), ("a single array: no generator",)),
        (lambda data, path: b"", ("empty",)),
        (lambda data, path: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", ("LFS", "pointer")),
    ],
    ids=["truncated", "renamed", "encrypted", "a boundary", "empty", "a pointer"],
)
def test_files_that_are_something_else_are_refused_and_leave_nothing(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Any, words: tuple[str, ...]
) -> None:
    source = tmp_path / "network.pkl"
    source.write_bytes(spoil(checkpoint.read_bytes(), source))
    given = ["--name", "mine", "--out", str(tmp_path / "models"), *STATED, "--force"]
    assert run(["models", "import", str(source), *given]) != 0
    said = capsys.readouterr().err
    assert "network.pkl" in said
    assert any(word in said for word in words), said
    assert not (tmp_path / "models").exists()


def test_a_network_given_as_a_boundary_is_refused(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [
        "--name",
        "mine",
        "--out",
        str(tmp_path / "models"),
        *STATED,
        "--force",
        "--boundary",
        f"pose={checkpoint}",
    ]
    assert run(["models", "import", str(checkpoint), *given]) != 0
    assert "not a .npy file: a boundary is one array" in capsys.readouterr().err


def test_pictures_of_something_else_are_imported_only_by_force(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--name", "scenes", "--out", str(tmp_path / "models"), *STATED]
    assert run(["models", "import", str(checkpoint), *given]) != 0
    said = capsys.readouterr().err
    assert "no face found in 8 of 8 pictures" in said
    assert "--force" in said
    assert not (tmp_path / "models").exists()
    assert run(["models", "import", str(checkpoint), *given, "--force"]) == 0
    assert "faces found in 0 of 8 pictures" in capsys.readouterr().out
