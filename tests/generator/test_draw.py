"""Latents: normal, reproducible, inside their slices."""

import numpy as np
from scipy import stats

from workers.generator.draw import draw_identity, draw_observation, sigma_vector


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
