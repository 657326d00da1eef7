"""Latents: normal, reproducible, inside their slices."""

import json

import numpy as np
import pytest
from scipy import stats
from scipy.special import ndtri

from app.config import worker_settings
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from workers.generator import latents as lt
from workers.generator.draw import draw_identity, draw_observation, sigma_vector
from workers.generator.registry import load_generator
from workers.generator.shown import shown
from workers.pipeline.generate import Draw, attributes_of, draw_latents


def test_latents_are_standard_normal() -> None:
    drawn = np.concatenate([draw_identity(3, subject, 0, 64) for subject in range(200)])
    assert stats.kstest(drawn, "norm").pvalue > 1e-3


def test_every_subject_sample_and_attempt_has_its_own() -> None:
    sigma = np.ones(8, np.float32)
    places = [(subject, sample, attempt) for subject in (0, 1) for sample in (0, 1) for attempt in (0, 1)]
    drawn = [tuple(draw_observation(1, *place, sigma)) for place in places]
    assert len(set(drawn)) == len(places)
    assert tuple(draw_observation(2, 0, 0, 0, sigma)) not in drawn


def test_a_slice_confines_its_latent_and_no_other() -> None:
    free = draw_identity(5, 9, 0, 16)
    bound = draw_identity(5, 9, 0, 16, {2: (0.8, 1.0)})
    assert bound[2] >= 0.8416
    assert np.delete(bound, 2).tolist() == np.delete(free, 2).tolist()


def test_sliced_latents_keep_the_shape_of_the_normal_distribution() -> None:
    drawn = [draw_identity(5, subject, 0, 1, {0: (0.5, 1.0)})[0] for subject in range(2_000)]
    assert stats.kstest(drawn, "halfnorm").pvalue > 1e-3


def test_sigma_scales_its_factor_only() -> None:
    layout = {"pose": (0, 2), "light": (2, 3)}
    assert sigma_vector(layout, {"pose": 0.5, "light": 2}).tolist() == [0.5, 0.5, 2.0]
    one = draw_observation(1, 0, 0, 0, np.ones(3, np.float32))
    half = draw_observation(1, 0, 0, 0, sigma_vector(layout, {"pose": 0.5, "light": 1}))
    assert np.allclose(half, one * [0.5, 0.5, 1])


def test_at_sigma_zero_all_samples_are_the_neutral_portrait() -> None:
    assert not draw_observation(1, 2, 3, 4, np.zeros(28, np.float32)).any()


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_a_latent_lies_on_the_side_of_its_threshold_that_was_asked_whatever_its_scale(scale: float) -> None:
    sigma = np.full(3, scale, np.float32)
    drawn = {
        reached: np.array([draw_observation(1, who, 1, 0, sigma, shows={1: (3.0, reached)}) for who in range(300)])
        for reached in (True, False)
    }
    assert (drawn[True][:, 1] >= 3).all()
    assert (drawn[False][:, 1] < 3).all()
    assert len(np.unique(drawn[True][:, 1])) == 300
    free = np.array([draw_observation(1, who, 1, 0, sigma) for who in range(300)])
    for found in drawn.values():
        np.testing.assert_array_equal(found[:, [0, 2]], free[:, [0, 2]])
    if scale == 1:
        assert stats.kstest(drawn[False][:, 1], "norm").pvalue > 1e-3


def test_what_images_show_is_what_was_asked_of_the_probes() -> None:
    generator = load_generator("parametric", worker_settings())
    request = {"name": "masks", "subjects": 8, "samples_per_subject": 6, "attributes": {"mask": 0.25}}
    plan = make_plan(
        DatasetRequest.model_validate(request),
        generator.card,
        dataset="d",
        seed=5,
        shard_size=64,
        max_comparisons=10**9,
    ).final()
    places = list(plan.places(range(plan.samples)))
    who, how = draw_latents(plan, generator, [Draw(place, 0, 0) for place in places])
    seen = [shown(generator.card, one, other) for one, other in zip(who, how, strict=True)]
    masked = [place for place, one in zip(places, seen, strict=True) if one and one.mask]
    assert len(masked) == 10
    assert all(place.sample > 0 for place in masked)
    assert generator.card.model_dump()["worn"] == lt.worn()


def test_monk_tones_are_ten_even_steps_from_the_lightest_to_the_darkest() -> None:
    card = load_generator("parametric", worker_settings()).card
    assert json.loads(card.model_dump_json())["scales"] == lt.scales()
    identity = np.zeros((1, card.latent.identity), np.float32)
    for depth in np.linspace(0.03, 0.97, 95):
        if abs(10 * depth - round(10 * depth)) < 1e-6:
            continue  # on an edge
        identity[0, lt.SKIN_TONE] = ndtri((depth - 0.02) / 0.96)
        assert attributes_of(card, identity[0])["monk"] == f"monk-{int(10 * depth) + 1}"
