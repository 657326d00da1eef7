"""The methods that a study compares, each at a size that a laptop trains in an evening, all on one corpus of renders.

They were chosen to be alike where methods need not differ: people, resolution, images a step. Each begins from labels,
so that there are faces at once, and then learns what its own method lets it.
"""

from enum import StrEnum

from workers.training.spec import Method, TrainingSpec
from workers.training.stylegan2.spec import StyleGan2Spec

SUBJECTS, SAMPLES, SIZE = 384, 4, 64
"""Of the corpus."""

ITERATIONS = 8_000
"""Of the methods of pairs, and of a StyleGAN2."""

PAIRS_BEGUN, SINGLE_BEGUN = 3 / 8, 3 / 16
"""Share of them that is learned from labels."""


class Compared(StrEnum):
    """A method to make mated images of one identity."""

    SDGAN = "sdgan"
    SDGAN_TRIPLET = "sdgan+triplet"
    IVIGAN = "ivigan"
    STYLEGAN2 = "stylegan2"
    """Edited along directions that are found afterwards (InterFaceGAN)."""


def recipe(
    method: Compared, *, iterations: int | None = None, seed: int = 0, mixed_precision: bool = False
) -> TrainingSpec | StyleGan2Spec:
    """Settings of a method's run; with `iterations` of one's own the same share of them is learned from labels."""
    total = iterations or ITERATIONS
    if method is Compared.STYLEGAN2:
        return StyleGan2Spec(
            seed=seed,
            iterations=total,
            anchored_iterations=round(total * SINGLE_BEGUN),
            batch=16,
            size=SIZE,
            latent=256,
            base=32,
            most=192,
            mixed_precision=mixed_precision,
        )
    return TrainingSpec(
        method=Method(method.value),
        anchored=False,
        seed=seed,
        iterations=total,
        anchored_iterations=round(total * PAIRS_BEGUN),
        pairs=8,
        base=24,
        learning_rate=5e-4,
        r1_gamma=1.0,
        mixed_precision=mixed_precision,
    )
