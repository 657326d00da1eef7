"""Finding what z_I may mean, on a model whose every dimension is known."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.errors import RequestRefused
from workers.appraisal.directions import Seen
from workers.appraisal.identities import Wanted, find_identities
from workers.appraisal.scorers import Scorer

LATENT = 30
WORN, PERSON = 3, slice(8, 28)


def portraits(z: Any) -> Any:
    """A column a dimension."""
    values = np.tanh(np.asarray(z) / 3)
    return np.repeat(np.repeat((values[:, None, :, None] + 1) * 127.5, LATENT, 1), 3, 3).astype(np.uint8)


def values_of(pixels: Any) -> Any:
    return 3 * np.arctanh(np.clip(pixels[0, :, 0] / 127.5 - 1, -0.999, 0.999))


def template(pixels: Any) -> Any:
    person = values_of(pixels)[PERSON] + 0.2
    return (person / np.linalg.norm(person)).astype(np.float32)


def look(pixels: Any) -> Seen | None:
    return Seen(points=np.zeros((5, 2), np.float32), template=template(pixels))


def scored(value: Any) -> Scorer:
    return Scorer("", "", lambda pixels, points: float(value(values_of(pixels))))


GLASSES = Wanted(name="glasses", scorer=scored(lambda values: values[WORN] - 0.8), values=None)
SEX = Wanted(name="sex", scorer=scored(lambda values: values[0] + values[1]), values=("female", "male"))


def find(*wanted: Wanted, apart: bool = False, looked: Any = look) -> Any:
    return find_identities(
        portraits,
        lambda z: z,
        LATENT,
        wanted,
        looked,
        {"own": template},
        samples=400,
        apart=apart,
    )


def test_attributes_get_latents_of_their_own_and_are_measured() -> None:
    found = find(GLASSES, SEX)
    assert found.identities.turn[0][WORN] > 0.95
    assert found.identities.turn[1][[0, 1]].min() > 0.6
    glasses, sex = found.attributes["glasses"], found.attributes["sex"]
    assert (glasses["kind"], glasses["latent"], sex["latent"]) == ("share", 0, 1)
    assert glasses["threshold"] == pytest.approx(0.8, abs=0.2)
    assert list(sex["values"]) == ["female", "male"]
    for entry in (glasses, sex):
        assert entry["measured"]["held_out_accuracy"] > 0.9
        assert entry["measured"]["drawn"] == 100
        assert min(entry["measured"]["as_asked_above"], entry["measured"]["as_asked_below"]) > 0.8


def test_what_cannot_be_read_off_z_is_refused() -> None:
    chance = Wanted(name="glasses", scorer=scored(lambda values: np.sin(1e4 * values.sum())), values=None)
    with pytest.raises(RequestRefused, match="glasses cannot be read off z: held-out accuracy"):
        find(chance)
    always = Wanted(name="glasses", scorer=scored(lambda values: 1.0), values=None)
    with pytest.raises(RequestRefused, match="all portraits score alike"):
        find(always)
    with pytest.raises(RequestRefused, match="no face found in 400 of 400"):
        find(GLASSES, looked=lambda pixels: None)


def test_people_are_moved_apart_as_a_matcher_sees_them() -> None:
    found = find(GLASSES, apart=True)
    assert found.about["likeness"]["correlation"] > 0.7
    measured = found.about["apart"]["measured"]
    assert measured["faces_after"] == measured["identities"] == 256
    own = measured["own"]
    assert own["nearest_after"] < own["nearest_before"]
    assert own["share_above_after"] < own["share_above_before"] / 2
