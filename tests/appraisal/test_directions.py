"""Finding directions on a model whose every dimension is known: the right ones come out, the person is left alone."""

from typing import Any

import numpy as np
import pytest

from app.errors import RequestRefused
from workers.appraisal import directions
from workers.appraisal.directions import Seen, Space, find_directions, same_person
from workers.appraisal.scorers import BUILT_IN, Scorer

TURN, MOUTH, PERSON, SCENE = 0, 1, slice(2, 6), slice(6, 10)
"""Dimensions of w."""

SPACE = Space(name="W", layers=3, width=10, latent=10, noise=0, size=32)


class Model:
    """Paints each dimension into a stripe of its own; beyond 2.5 deviations of turning it shows no face."""

    def mapped(self, identity: Any, observation: Any) -> Any:
        assert observation.shape == (len(identity), 0)
        return np.tile(identity[:, None], (1, 3, 1)).reshape(len(identity), 30)

    def painted(self, w: Any, observation: Any, width: int) -> Any:
        values = np.tanh(w.reshape(len(w), 3, 10).mean(1) / 3)
        images = np.zeros((len(w), 32, 32, 3), np.float32)
        for dimension in range(10):
            images[:, :, 3 * dimension : 3 * dimension + 3] = values[:, dimension, None, None, None]
        return images


def values_of(pixels: Any) -> Any:
    inside = pixels[16, 1:30:3, 0].astype(float) / 127.5 - 1
    return 3 * np.arctanh(np.clip(inside, -0.999, 0.999))


def look(pixels: Any) -> Seen | None:
    values = values_of(pixels)
    if abs(values[TURN]) > 2.5:
        return None
    person = values[PERSON]
    return Seen(points=np.zeros((5, 2), np.float32), template=(person / np.linalg.norm(person)).astype(np.float32))


SCORERS = {
    "turn": Scorer("pose", "", lambda pixels, points: float(values_of(pixels)[TURN])),
    "mouth": Scorer("expression", "", lambda pixels, points: float(values_of(pixels)[MOUTH])),
    "chance": Scorer("capture", "", lambda pixels, points: float(np.sin(1e4 * values_of(pixels).sum()))),
    "never": Scorer("capture", "", lambda pixels, points: None),
}


@pytest.fixture(scope="module", autouse=True)
def strangers() -> Any:
    """Templates of four dimensions crowd: what tells people apart here is SFace's own threshold."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(directions, "STRANGERS", 0.5)
        yield


@pytest.fixture(scope="module")
def found() -> Any:
    return find_directions(Model(), SPACE, SCORERS, look, samples=400, bases=12)


def test_boundaries_are_fitted_and_measured(found: Any) -> None:
    by_name = {one.name: one for one in found.directions}
    for name, dimension in (("turn", TURN), ("mouth", MOUTH)):
        assert by_name[name].normal[dimension] > 0.95
        assert by_name[name].measured["held_out_accuracy"] > 0.9
        assert by_name[name].centre == pytest.approx(0, abs=0.3)
        low, high = by_name[name].measured["tried"][0]["reads"]
        assert low < high
    assert by_name["turn"].limit < 2.6 < by_name["mouth"].limit
    assert by_name["turn"].unit == by_name["turn"].limit / 2
    assert set(found.left_out) >= {"chance", "never"}
    assert "held-out accuracy" in found.left_out["chance"]


def test_directions_that_keep_the_person_are_found(found: Any) -> None:
    kept = [one for one in found.directions if one.factor == "residual"]
    assert len(kept) >= 3
    for one in kept[:3]:
        assert np.linalg.norm(one.normal[PERSON]) < 0.35
        assert np.linalg.norm(one.normal[SCENE]) > 0.9
        assert one.centre is None
        assert one.measured["tried"][0]["same_person"] == 1
    assert [one.factor for one in found.directions] == sorted(
        (one.factor for one in found.directions), key=["pose", "expression", "residual"].index
    )


def test_what_is_held_is_not_moved() -> None:
    held = np.zeros(10)
    held[[TURN, MOUTH]] = [0.6, 0.8]
    found = find_directions(Model(), SPACE, {"turn": SCORERS["turn"]}, look, samples=300, bases=8, held=[held])
    for one in found.directions:
        assert abs(one.normal @ held) < 1e-6


def test_a_model_of_something_else_has_no_directions() -> None:
    with pytest.raises(RequestRefused, match="no face found in 120 of 120 pictures"):
        find_directions(Model(), SPACE, SCORERS, lambda pixels: None, samples=120, bases=8)


def test_what_is_read_off_a_picture_follows_it() -> None:
    points = np.float32([[45, 50], [83, 50], [64, 72], [50, 95], [78, 95]])
    grey = np.full((128, 128, 3), 100, np.uint8)
    lit = grey.copy()
    lit[:, :64] = 160
    score = {name: one.score for name, one in BUILT_IN.items()}
    assert score["yaw"](grey, points) == pytest.approx(0, abs=0.5)
    assert score["yaw"](grey, points + np.float32([[0, 0], [0, 0], [8, 0], [0, 0], [0, 0]])) > 10
    assert score["roll"](grey, points) == 0
    assert score["light-from-left"](grey, points) == pytest.approx(0, abs=1e-6)
    assert score["light-from-left"](lit, points) > 0.2
    assert score["brightness"](lit, points) > score["brightness"](grey, points) == pytest.approx(100)
    wide = points + np.float32([[0, 0], [0, 0], [0, 0], [-6, 0], [6, 0]])
    assert score["smile"](grey, wide) > score["smile"](grey, points)
    assert score["smile"](grey, points + np.float32([[0, 0], [0, 0], [25, 0], [0, 0], [0, 0]])) is None
    assert score["sharpness"](lit, points) > score["sharpness"](grey, points)
    down = points + np.float32([[0, 0], [0, 0], [0, 6], [0, 0], [0, 0]])
    assert score["nod"](grey, down) > score["nod"](grey, points)
    assert score["nod"](grey, points + np.float32([[0, 0], [0, 0], [25, 0], [0, 0], [0, 0]])) is None
    rng = np.random.default_rng(0)
    skin = np.clip(rng.normal(0, 18, (128, 128, 1)) + np.array([190, 140, 115]), 0, 255).astype(np.uint8)
    assert 0 <= score["quality"](grey // 20, points) < score["quality"](skin, points) <= 100


def test_glasses_are_seen_on_renders() -> None:
    """By the classifier that is shipped, on renders that it was not fitted to."""
    pytest.importorskip("moderngl")
    from workers.generator import latents as lt
    from workers.generator.parametric import FAMILY
    from workers.generator.registry import SHIPPED
    from workers.images import to_pixels
    from workers.matchers.detector import load_detector

    if reason := FAMILY.why_unavailable():
        pytest.skip(reason)
    generator, detector = FAMILY.load(SHIPPED / "parametric", "cpu"), load_detector()
    layout = lt.layout_of(generator.card)
    assert layout is not None
    rng = np.random.default_rng(8)
    who = rng.standard_normal((8, layout.identity)).astype(np.float32)
    who[:, layout.who["glasses"]] = np.where(np.arange(8) % 2, 2.0, -2.0)
    still = np.zeros((8, layout.observation), np.float32)
    right = []
    for number, image in enumerate(to_pixels(generator.generate(who, still, *generator.card.sizes[0]))):
        face = detector.detect(image)
        assert face is not None
        right.append((BUILT_IN["glasses"].score(image, face.points) > 0) == bool(number % 2))
    assert sum(right) >= 7


def test_where_people_crowd_a_person_is_told_more_strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directions, "STRANGERS", 0.999)
    rng = np.random.default_rng(4)
    for shared, low, high in ((0.0, 0.363, 0.6), (4.0, 0.9, 1.0)):
        templates = rng.standard_normal((200, 64)) + shared
        templates /= np.linalg.norm(templates, axis=1, keepdims=True)
        assert low <= same_person(templates.astype(np.float32)) < high
