"""Shapes from scan statistics: every fault of the folder is named, and what is registered looks like the scans."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from app.errors import Corrupt, RequestRefused
from workers.commands.importing import importing
from workers.generator.cards import read_card
from workers.generator.parametric import faces
from workers.generator.parametric.generator import load_parametric
from workers.generator.parametric.geometry import load_head
from workers.generator.parametric.scans import importing as making
from workers.generator.parametric.scans.folder import FACES, VERTICES, FaceKit, is_facekit, read_facekit
from workers.generator.parametric.scans.heads import FILE, MODES, ScanHeads, read_heads, save_heads
from workers.generator.parametric.scans.surfaces import Surface, similarity
from workers.generator.parametric.shape import shape_head
from workers.training.corpus.render import drawing_version, render_corpus, render_part
from workers.training.corpus.store import CorpusSpec, open_corpus, part_path, read_part, read_spec

SHARED = Path(__file__).parents[4] / "shared/data/ict-facekit"


def obj(points: np.ndarray, *, faces: int = FACES) -> str:
    """An OBJ file of these vertices and of so many faces."""
    return "".join(f"v {x:.4f} {y:.4f} {z:.4f}\n" for x, y, z in points) + "f 1/1 2/1 3/1 4/1\n" * faces


@pytest.fixture(scope="module")
def ball() -> np.ndarray:
    """As many vertices as the kit's neutral mesh has."""
    return np.random.default_rng(1).uniform(-5, 5, (VERTICES, 3))


def refusal(folder: Path) -> str:
    with pytest.raises(RequestRefused) as caught:
        read_facekit(folder)
    ((field, problem),) = caught.value.problems
    assert field == "source"
    return problem


class TestFolder:
    """What is no ICT-FaceKit, or not all of it."""

    def test_a_folder_of_something_else(self, tmp_path: Path) -> None:
        assert not is_facekit(tmp_path)
        assert "name a clone of ICT-FaceKit" in refusal(tmp_path)

    def test_modes_that_are_missing_are_counted(self, tmp_path: Path, ball: np.ndarray) -> None:
        inner = tmp_path / "FaceXModel"
        inner.mkdir()
        (inner / "generic_neutral_mesh.obj").write_text(obj(ball))
        (inner / "identity000.obj").write_text(obj(ball))
        assert is_facekit(tmp_path)
        assert "99 of its 100 identity modes are missing: identity001.obj" in refusal(tmp_path)

    @pytest.mark.parametrize(
        ("spoilt", "named"),
        [
            (lambda text: text[: len(text) // 2], "it is cut short, or of another topology"),
            (lambda text: text + "v 0 0 0\n", "26,720 vertices"),
            (lambda text: text.replace("v ", "v x", 1), "not three numbers"),
            (lambda text: text.replace("v ", "v 1e9 1e9 1e9\nv ", 1).replace("v ", "x ", 2), "vertices and"),
            (lambda text: text.replace("f 1/1", "f 99999/1", 1), "face 1 is not three or four of its vertices"),
            (lambda text: text + "# é\n", "other bytes than text"),
        ],
    )
    def test_a_spoilt_file_is_named(self, tmp_path: Path, ball: np.ndarray, spoilt: Any, named: str) -> None:
        (tmp_path / "generic_neutral_mesh.obj").write_text(spoilt(obj(ball)), encoding="utf-8")
        for number in range(100):
            (tmp_path / f"identity{number:03d}.obj").touch()
        problem = refusal(tmp_path)
        assert "generic_neutral_mesh.obj" in problem
        assert named in problem

    def test_a_gzipped_file_cut_short_is_named(self, tmp_path: Path, ball: np.ndarray) -> None:
        data = gzip.compress(obj(ball).encode(), 1)
        (tmp_path / "generic_neutral_mesh.obj.gz").write_bytes(data[: len(data) // 2])
        for number in range(100):
            (tmp_path / f"identity{number:03d}.obj.gz").touch()
        assert "cut short" in refusal(tmp_path)

    def test_a_mode_that_moves_nothing_is_none(self, tmp_path: Path, ball: np.ndarray) -> None:
        text = obj(ball)
        (tmp_path / "generic_neutral_mesh.obj").write_text(text)
        for number in range(100):
            (tmp_path / f"identity{number:03d}.obj").symlink_to(tmp_path / "generic_neutral_mesh.obj")
        assert "it is no identity mode" in refusal(tmp_path)

    def test_nothing_is_written_for_it(self, tmp_path: Path) -> None:
        source, out = tmp_path / "kit", tmp_path / "models"
        source.mkdir()
        (source / "generic_neutral_mesh.obj").write_text("v 0 0 0\n")
        ended = CliRunner().invoke(importing, [str(source), "--out", str(out)])
        assert isinstance(ended.exception, RequestRefused)
        assert not out.exists()


def test_a_similarity_is_found() -> None:
    rng = np.random.default_rng(3)
    theirs = rng.normal(size=(9, 3))
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    ours = 0.094 * theirs @ turn.T + [1, 2, 3]
    scale, found, shift = similarity(ours, theirs)
    assert scale == pytest.approx(0.094)
    assert np.allclose(found, turn)
    assert np.allclose(shift, [1, 2, 3])


def test_the_closest_point_of_a_triangle() -> None:
    surface = Surface(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]] * 24))
    query = np.array([[0.2, 0.2, 5], [-1, -1, 0], [2, 0, 0], [0.5, -3, 0], [1, 1, 0]])
    points, _, weights = surface.closest(query)
    assert np.allclose(points, [[0.2, 0.2, 0], [0, 0, 0], [1, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0]])
    assert np.allclose(weights.sum(1), 1)


@pytest.fixture(scope="module")
def kit() -> FaceKit:
    """The kit's numbers."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data/ict-facekit is not here")
    with np.load(SHARED / "facexmodel.npz") as stored:
        neutral, modes, quads = stored["neutral"], stored["identity"], stored["faces"]
    return FaceKit(
        neutral=neutral.astype(np.float64), quads=quads.astype(np.int64), modes=modes.astype(np.float32), digests={}
    )


@pytest.fixture(scope="module")
def made(kit: FaceKit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of these heads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "read_facekit", lambda source, on_progress: kit)
        folder, _ = making.import_facekit(Path("kit"), tmp_path_factory.mktemp("models"))
    return folder


def test_the_kits_own_files_are_read(kit: FaceKit, tmp_path: Path) -> None:
    (tmp_path / "generic_neutral_mesh.obj.gz").symlink_to(SHARED / "generic_neutral_mesh.obj.gz")
    for number in range(100):
        (tmp_path / f"identity{number:03d}.obj.gz").symlink_to(SHARED / f"identity{number % 2:03d}.obj.gz")
    read = read_facekit(tmp_path)
    assert np.abs(read.neutral - kit.neutral).max() < 1e-4
    assert np.abs(read.modes[:2] - kit.modes[:2]).max() < 2e-3  # the numbers at hand are float16
    assert (np.sort(read.quads, 1) == np.sort(kit.quads, 1)).all()


def test_our_mesh_lies_on_the_scans(made: Path) -> None:
    card = read_card(made)
    found = (card.model_extra or {})["measured"]["registration"]
    assert found["registered_vertices"] > 4_000
    assert found["distance_median_mm"] < 0.05
    assert found["distance_95_mm"] < 1
    assert found["variance_share"] > 0.95
    assert "ICT-FaceKit, © 2020 USC" in card.provenance
    assert card.source_type == "algorithmicMedia"
    assert card.checks.unique is None, "it was measured on another model"


def test_shapes_are_the_scans_and_sex_and_age_are_seen_in_them(made: Path) -> None:
    heads = read_heads(made / FILE, json.loads((made / "card.json").read_text())["heads"]["sha256"])
    assert heads.modes.shape[0] == MODES
    who = np.zeros((2, faces.IDENTITY), np.float32)
    first = faces.SECOND.shape.start
    who[1, first] = 1
    one, other = (heads.rest(identity, 40) for identity in who)
    moved = np.linalg.norm(other - one, axis=1)
    mode = np.linalg.norm(heads.modes[0], axis=1)
    assert np.corrcoef(moved, mode)[0, 1] > 0.8
    sexes = np.zeros((2, faces.IDENTITY), np.float32)
    sexes[:, faces.SECOND.who["sex"]] = [-1.5, 1.5]
    woman, man = (heads.rest(identity, 40) for identity in sexes)
    young, old = (heads.rest(sexes[0], age) for age in (22, 70))
    for less, more in ((woman, man), (young, old)):
        assert 0.2 < 100 * np.sqrt(((more - less)[heads.mean[:, 1] > 6.2] ** 2).sum(1).mean()) < 20  # millimetres


def test_it_draws_and_another_file_is_refused(made: Path, tmp_path: Path) -> None:
    model = load_parametric(made)
    (width, height), *_ = model.card.sizes
    who = np.random.default_rng(2).standard_normal((1, faces.IDENTITY)).astype(np.float32)
    how = np.zeros((1, faces.OBSERVATION), np.float32)
    image = model.generate(who, how, width, height)
    shipped = load_parametric(making.SHIPPED / "parametric").generate(who, how, width, height)
    assert image.shape == (1, height, width, 3)
    assert np.abs(image - shipped).mean() > 0.01
    spoilt = tmp_path / "parametric-scan"
    spoilt.mkdir()
    (spoilt / "card.json").write_text((made / "card.json").read_text())
    (spoilt / FILE).write_bytes((made / FILE).read_bytes()[:-1] + b"x")
    with pytest.raises(Corrupt, match="SHA-256"):
        load_parametric(spoilt)


def test_a_corpus_of_such_heads_says_so_and_holds_them(tmp_path: Path) -> None:
    head = load_head()
    still = np.zeros(faces.IDENTITY, np.float32), np.zeros(faces.OBSERVATION, np.float32)
    rest, _ = shape_head(head, *still)
    rng = np.random.default_rng(5)
    modes = rng.normal(0, 0.02, (MODES, 1, 3)) * (rest[None, :, 1:2] > 6) * np.sin(3 * rest[None])
    sex, age = np.eye(MODES)[:2]
    model = tmp_path / "model"
    model.mkdir()
    heads = ScanHeads(mean=rest, modes=modes.astype(np.float32), sex=sex, age=age)
    digest = save_heads(model, heads)
    kind = {"subjects": 2, "samples_per_subject": 2, "size": 32, "layout": faces.SECOND.version}
    spec = CorpusSpec(heads=digest, drawing=drawing_version("opengl"), **kind)
    render_corpus(tmp_path / "corpus", spec, processes=1, heads=model / FILE)
    assert read_spec(tmp_path / "corpus").heads == digest
    plain = CorpusSpec(drawing=drawing_version("opengl"), **kind)
    with pytest.raises(RequestRefused, match="holds another corpus"):
        open_corpus(tmp_path / "corpus", plain)
    open_corpus(tmp_path / "plain", plain)
    render_part(tmp_path / "plain", plain, 0)
    scanned, slid = (read_part(tmp_path / name, 0)["head"] for name in ("corpus", "plain"))
    assert np.abs(scanned.astype(int) - slid).mean() > 1
    # Gone on with, it draws from its own copy; a copy that is another file is refused.
    part_path(tmp_path / "corpus", 0).unlink()
    render_part(tmp_path / "corpus", spec, 0)
    assert (read_part(tmp_path / "corpus", 0)["head"] == scanned).all()
    (tmp_path / "corpus" / FILE).write_bytes(b"another")
    with pytest.raises(Corrupt, match="SHA-256"):
        render_part(tmp_path / "corpus", spec, 0)
