"""What only measuring can tell of a model: faces found, and the score from which identities are copies."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from app.dataset.model import ChecksCard, UniqueCheckCard
from workers.biometrics.rates import threshold_at_fmr
from workers.biometrics.scores import ScoreSet
from workers.generator.base import Generator
from workers.generator.draw import draw_identity, draw_observation
from workers.images import to_pixels
from workers.matchers.detector import Detector
from workers.matchers.sface import SFace, compare

FEWEST_COPIES = 3
"""Pairs at the threshold that say something of the rate there."""

COPY_FMR = 1e-4
"""Two identities count as copies from the score that this share of all pairs of different identities reaches."""

MEASURING_SEED = 2**62
"""Far from the seeds that people choose, and from the corpus's."""

BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Figures of a model at its own size."""

    face_found_sigma_1: float
    """Share of samples at σ = 1 in which the detector finds a face."""
    samples: int
    unique_threshold: float | None
    """SFace score of neutral portraits at COPY_FMR; None if the matcher found no two of them to compare."""
    identities: int
    non_mated_mean: float | None
    """Mean SFace score of the portraits of two identities."""


def measure(
    generator: Generator,
    matcher: SFace,
    detector: Detector,
    *,
    identities: int = 1_000,
    samples: int = 1_000,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Measured:
    """Measure a generator on fresh identities; a few minutes on one core."""
    width, height = generator.card.sizes[0]
    templates = []
    latent = generator.card.latent
    still = np.zeros(latent.observation_size, np.float32)
    total = identities + samples
    for start in range(0, identities, BATCH):
        subjects = range(start, min(start + BATCH, identities))
        who = np.stack([draw_identity(MEASURING_SEED, subject, 0, latent.identity) for subject in subjects])
        images = generator.generate(who, np.tile(still, (len(who), 1)), width, height)
        templates += [matcher.extract(pixels) for pixels in to_pixels(images)]
        on_progress(start + len(who), total)
    found = 0
    sigma = np.ones_like(still)
    for start in range(0, samples, BATCH):
        subjects = range(start, min(start + BATCH, samples))
        who = np.stack([draw_identity(MEASURING_SEED, subject, 1, latent.identity) for subject in subjects])
        how = np.stack([draw_observation(MEASURING_SEED, subject, 1, 0, sigma) for subject in subjects])
        images = generator.generate(who, how, width, height)
        found += sum(detector.detect(pixels) is not None for pixels in to_pixels(images))
        on_progress(identities + start + len(who), total)
    usable = [template for template in templates if template is not None]
    scores = _non_mated(usable) if len(usable) > 1 else None
    return Measured(
        face_found_sigma_1=found / samples,
        samples=samples,
        unique_threshold=None if scores is None else threshold_at_fmr(scores, COPY_FMR),
        identities=identities,
        non_mated_mean=None if scores is None else float(scores.non_mated.mean()),
    )


def _non_mated(templates: list[np.ndarray]) -> ScoreSet:
    table = np.stack(templates)
    scores = compare(table, table)[np.triu_indices(len(table), 1)]
    return ScoreSet(mated=np.zeros(0), non_mated=scores.astype(np.float64))


def checks_card(measured: Measured) -> ChecksCard:
    """The checks' constants as a card says them."""
    if measured.unique_threshold is None:
        return ChecksCard()
    return ChecksCard(
        unique=UniqueCheckCard(
            matcher=SFace.name,
            threshold=round(measured.unique_threshold, 4),
            basis=f"FMR {COPY_FMR:g} over all pairs of {measured.identities:,} neutral portraits of this model",
        )
    )


def measured_card(measured: Measured) -> dict[str, object]:
    """All figures, as a card keeps them."""
    told = {"detector": "yunet-2023mar-int8bq", "matcher": f"sface {SFace.version}", **asdict(measured)}
    pairs = measured.identities * (measured.identities - 1) // 2
    # Of fewer pairs the threshold is the highest score, and what rate that stands for nobody knows.
    seen = measured.unique_threshold is not None and pairs * COPY_FMR >= FEWEST_COPIES
    return told | {"unique_fmr": COPY_FMR} if seen else told
