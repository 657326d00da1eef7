"""The renderer as a generator: exact, the same in every order, and where its landmarks say."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config import WorkerSettings
from app.dataset.plan import Plan
from app.errors import Corrupt, Misconfigured
from workers.generator import latents as lt
from workers.generator import registry
from workers.generator.parametric import FAMILY
from workers.generator.parametric.placement import EYE_LINE, EYES_APART
from workers.generator.parametric.scene import load_scene
from workers.generator.registry import SHIPPED, default_model, load_generator, model_card, model_cards
from workers.images import to_pixels
from workers.matchers.alignment import TEMPLATE_112, align, similarity
from workers.matchers.detector import load_detector
from workers.matchers.sface import load_sface

PlanFor = Callable[..., Plan]


def draw(count: int, seed: int = 1, layout: lt.Layout = lt.CURRENT) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((count, layout.identity), np.float32),
        rng.standard_normal((count, layout.observation), np.float32),
    )


def test_a_sample_is_the_same_in_every_batch_and_order(renderer: Any) -> None:
    who, how = draw(6)
    whole = renderer.generate(who, how, 64, 64)
    backwards = renderer.generate(who[::-1].copy(), how[::-1].copy(), 64, 64)[::-1]
    assert (whole == backwards).all()
    assert whole.dtype == np.float32
    assert -1 <= whole.min() < whole.max() <= 1


def test_every_size_of_the_card_is_made(renderer: Any) -> None:
    who, how = draw(1)
    for width, height in renderer.card.sizes:
        assert renderer.generate(who, how, width, height).shape == (1, height, width, 3)
    with pytest.raises(ValueError, match="does not make 65×65"):
        renderer.generate(who, how, 65, 65)


def test_a_face_is_found_in_renders_and_none_in_noise(renderer: Any) -> None:
    who, how = draw(8)
    detector = load_detector()
    for size in (64, 128):
        found = [detector.detect(pixels) for pixels in to_pixels(renderer.generate(who, how, size, size))]
        assert sum(face is not None for face in found) >= 7
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    assert detector.detect(noise) is None
    assert detector.detect(np.zeros((64, 64, 3), np.uint8)) is None


def test_the_detectors_points_lie_on_the_face(renderer: Any) -> None:
    who, _ = draw(8)
    how = np.zeros((8, lt.OBSERVATION), np.float32)
    off = []
    for latents, pixels in zip(who, to_pixels(renderer.generate(who, how, 128, 128)), strict=True):
        face = load_detector().detect(pixels)
        assert face is not None
        right_eye, left_eye, nose, right_mouth, left_mouth = face.points
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_eye[1] < nose[1] < right_mouth[1]
        assert left_mouth[0] > right_mouth[0]
        # Where the scene puts the eyes of this face: at their line's height, their distance apart.
        placed = load_scene().draw(latents, how[0], 128, 128).placed
        eyes = (placed.project(placed.follow(placed.eyes)) * 128)[::-1]  # right eye first
        apart = eyes[1, 0] - eyes[0, 0]
        assert eyes[:, 1].mean() == pytest.approx(EYE_LINE * 128, abs=3)
        assert apart == pytest.approx(EYES_APART * 128, rel=0.25)
        off.append((face.points[:2] - eyes) / apart)
    # The detector misses a single eye by a fifth of their distance at times, but not to one side.
    assert np.abs(off).max() < 0.25
    assert np.abs(np.median(off, axis=0)).max() < 0.1


def test_mated_scores_are_above_non_mated_ones(renderer: Any) -> None:
    who, how = draw(10, seed=4)
    matcher = load_sface()
    first = [matcher.extract(p) for p in to_pixels(renderer.generate(who, 0.5 * how, 128, 128))]
    second = [matcher.extract(p) for p in to_pixels(renderer.generate(who, -0.5 * how, 128, 128))]
    scores = np.array([[float(a @ b) for b in second] for a in first])  # type: ignore[operator]
    mated, non_mated = np.diag(scores), scores[~np.eye(10, dtype=bool)]
    assert np.median(mated) > np.quantile(non_mated, 0.95)


def test_glasses_beards_and_yaw_change_the_picture(renderer: Any) -> None:
    who, how = np.zeros((1, lt.IDENTITY), np.float32), np.zeros((1, lt.OBSERVATION), np.float32)
    who[0, lt.SEX] = 1
    plain = renderer.generate(who, how, 64, 64)
    for latent, value in (
        (lt.GLASSES, 2.0),
        (lt.CURRENT.who["beard"], 2.0),
        (lt.AGE, 1.5),
        (lt.SKIN_TONE, 2.0),
        (lt.CURRENT.who["hair_style"], -2.0),
        (lt.CURRENT.who["headwear"], 2.0),
    ):
        changed = who.copy()
        changed[0, latent] = value
        assert np.abs(renderer.generate(changed, how, 64, 64) - plain).mean() > 0.004, latent
    for factor, (start, stop) in lt.FACTORS.items():
        if factor != "accessories":  # they come off a wearer only
            moved = how.copy()
            moved[0, start:stop] = 1.5
            assert np.abs(renderer.generate(who, moved, 64, 64) - plain).mean() > 0.001, factor


def test_a_wearer_takes_the_glasses_off_now_and_then() -> None:
    who, how = draw(4_000)
    who[:, lt.GLASSES] = 2.0
    on = lt.wears_glasses(who, how)
    assert on.mean() == pytest.approx(0.84, abs=0.03)
    who[:, lt.GLASSES] = 0.0
    assert not lt.wears_glasses(who, how).any()


def test_attributes_mean_what_the_card_says(renderer: Any) -> None:
    who, _ = draw(4_000)
    assert (lt.masculinity(who)[who[:, lt.SEX] >= 0] > 0.5).all()
    assert (lt.masculinity(who)[who[:, lt.SEX] < 0] < 0.5).all()
    ages = lt.between(who[:, lt.AGE], *lt.AGE_YEARS)
    card = renderer.card.attributes["age"]
    assert (card.min, card.max) == lt.AGE_YEARS
    assert ages.min() >= card.min
    assert ages.max() <= card.max
    assert (lt.beard(who)[who[:, lt.SEX] < 0] == 0).all()


def test_large_latents_saturate_instead_of_exploding(renderer: Any) -> None:
    who, how = draw(2)
    images = renderer.generate(4 * who, 4 * how, 64, 64)
    assert np.isfinite(images).all()
    assert np.abs(lt.pose_of(100 * how).yaw).max() <= 50


def test_the_card_is_pinned_to_the_drawing_version_and_to_no_file(tmp_path: Path) -> None:
    shipped = model_card(SHIPPED / "parametric")
    assert shipped.drawing == FAMILY.drawing
    # A card from before says nothing of drawings, one from afterwards what its own code drew: ours is what counts.
    for said in ({}, {"drawing": 99}):
        card = json.loads((SHIPPED / "parametric" / "card.json").read_text())
        card.pop("drawing")
        (tmp_path / "card.json").write_text(json.dumps(card | said))
        assert model_card(tmp_path) == shipped
    assert replace(FAMILY, drawing=FAMILY.drawing + 1).card(tmp_path).digest != shipped.digest


def test_similarity_recovers_a_turn_a_scale_and_a_shift() -> None:
    angle, scale, shift = 0.4, 1.7, np.array([5.0, -3.0])
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = similarity(TEMPLATE_112, TEMPLATE_112 @ rotation.T + shift)
    assert matrix == pytest.approx(np.concatenate([rotation, shift[:, None]], 1))


def test_aligning_brings_the_points_to_their_places() -> None:
    picture = np.zeros((200, 200, 3), np.uint8)
    points = TEMPLATE_112 * 1.5 + 10
    for x, y in points.round().astype(int):
        picture[y - 2 : y + 3, x - 2 : x + 3] = 255
    chip = align(picture, points, 112)
    for x, y in TEMPLATE_112.round().astype(int):
        assert chip[y, x, 0] > 150


@pytest.fixture(scope="module")
def shipped() -> Any:
    """The learned model in the repository."""
    pytest.importorskip("torch")
    return load_generator("sdgan", WorkerSettings(device="cpu"))


class TestRegistry:
    """Which models there are."""

    def test_shipped_models_can_be_listed_without_loading_them(self) -> None:
        names = [card.name for card in model_cards(WorkerSettings())]
        assert "sdgan" in names
        assert default_model(WorkerSettings()) in names

    def test_a_model_that_is_not_here_is_named(self) -> None:
        with pytest.raises(Misconfigured, match="'other' cannot run on this worker"):
            load_generator("other", WorkerSettings())
        with pytest.raises(Misconfigured, match="the default model other cannot run here"):
            default_model(WorkerSettings(default_model="other"))
        with pytest.raises(Misconfigured, match="not a folder"):
            model_cards(WorkerSettings(models_dir="/nowhere"))

    def test_a_model_of_a_family_that_is_not_known_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "odd").mkdir()
        card = json.loads((SHIPPED / "parametric" / "card.json").read_text()) | {"name": "odd", "kind": "magic"}
        (tmp_path / "odd" / "card.json").write_text(json.dumps(card))
        with pytest.raises(Corrupt, match="kind 'magic'; this version knows parametric, sdgan, sdbegan"):
            model_cards(WorkerSettings(models_dir=str(tmp_path)))

    def test_without_torch_the_families_of_networks_are_left_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(registry, "find_spec", lambda name: None)
        assert [card.name for card in model_cards(WorkerSettings())] == ["parametric"]

    def test_without_graphics_the_learned_model_is_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        without = replace(FAMILY, why_unavailable=lambda: "no EGL")
        monkeypatch.setattr(registry, "FAMILIES", {**registry.FAMILIES, FAMILY.kind: without})
        assert default_model(WorkerSettings()) == "sdgan"
        assert [card.name for card in model_cards(WorkerSettings())] == ["sdgan"]


class TestShippedModel:
    """The learned model in the repository."""

    def test_its_card_speaks_of_its_weights(self, shipped: Any) -> None:
        from workers.digests import file_sha256

        assert file_sha256(SHIPPED / "sdgan" / shipped.card.weights.file) == shipped.card.weights.sha256
        assert (SHIPPED / "sdgan" / shipped.card.weights.file).stat().st_size < 25_000_000

    def test_faces_are_found_at_sigma_1(self, shipped: Any) -> None:
        images = to_pixels(shipped.generate(*draw(40, seed=9, layout=lt.FIRST), *shipped.card.sizes[0]))
        assert sum(load_detector().detect(pixels) is not None for pixels in images) >= 38

    def test_rows_are_one_identity_each(self, shipped: Any) -> None:
        """Mated pairs at σ = 0.5 score above nearly all non-mated ones."""
        who, how = draw(16, seed=10, layout=lt.FIRST)
        matcher = load_sface()
        size = shipped.card.sizes[0]
        first = [matcher.extract(p) for p in to_pixels(shipped.generate(who, 0.5 * how, *size))]
        second = [matcher.extract(p) for p in to_pixels(shipped.generate(who, -0.5 * how, *size))]
        kept = [k for k in range(16) if first[k] is not None and second[k] is not None]
        scores = np.array([[float(first[a] @ second[b]) for b in kept] for a in kept])
        mated, non_mated = np.diag(scores), scores[~np.eye(len(kept), dtype=bool)]
        assert np.median(mated) > np.quantile(non_mated, 0.9)
