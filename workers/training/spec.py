"""Settings of a training run, as its folder keeps them."""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Method(StrEnum):
    """How identity is told from observation."""

    SDGAN = "sdgan"
    """Pairs that share z_I, judged together (Donahue 2018)."""
    SDGAN_TRIPLET = "sdgan+triplet"
    """The same, and templates of a matcher drawn together and apart (Marriott 2020)."""
    IVIGAN = "ivigan"
    """The same pairs, and a part of z_O for each factor that is random where a weak label says so and zero where it
    does not; the judge is told the labels (after Marriott 2018)."""


class Loss(StrEnum):
    """What the judge is trained with."""

    NON_SATURATING = "non-saturating"
    """Logistic, with R1 every so many iterations."""
    WGAN_GP = "wgan-gp"
    """Wasserstein distance, with a penalty on gradients between real and made pairs."""


class TrainingSpec(BaseModel):
    """Settings of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = Method.SDGAN
    loss: Loss = Loss.NON_SATURATING
    anchored: bool = True
    """Latents mean what labels say, where there are labels: renders are then learned from their own latents."""
    seed: int = 0
    iterations: int = Field(gt=0)
    pairs: int = Field(8, ge=2)
    """Pairs a batch; the batch has twice as many images."""
    base: int = Field(40, ge=4)
    """Channels at resolution 64."""
    fine: int = Field(24, ge=0)
    """Channels at resolution 128; 0 for half of those at 64."""
    anchored_iterations: int = Field(0, ge=0)
    """Where latents are not anchored: in the first so many steps renders are learned from latents made of their own
    (Layout.begun_from), so that there are faces at once; then the judge alone says what is learned."""
    anchored_rate: float = Field(2e-3, gt=0)
    """Learning rate of those steps."""
    placing_iterations: int = Field(0, ge=0)
    """Steps in which only the landmarks are learned, before any image; from then on they stay as they are."""
    hold_landmarks: bool = False
    """Landmarks stay as they are although no steps are theirs: the model that the run grew from knows them."""
    learning_rate: float = Field(2e-3, gt=0)
    adversary_from: float = Field(0.4, ge=0, le=1)
    """Share of the iterations after which the judge joins; 1 leaves it out. Without anchors it is there at once."""
    adversary_weight: float = Field(0.03, ge=0)
    """Beside the distance to labelled renders; alone it counts in full."""
    discriminator_rate: float = Field(2e-4, gt=0)
    """Learning rate of the judge; at 1e-3 it runs away."""
    discriminator_steps: int = Field(1, ge=1)
    """Steps of the judge for each of the generator's; five are usual for wgan-gp."""
    r1_gamma: float = Field(0.05, ge=0)
    r1_interval: int = Field(8, gt=0)
    gradient_penalty: float = Field(10.0, ge=0)
    """λ of wgan-gp."""
    identity_weight: float = Field(0.0, ge=0)
    """Of the matcher's say where renders are learned from their labels: made and real shall have one template."""
    identity_from: float = Field(0.0, ge=0, le=1)
    """Share of the iterations after which the matcher has its say; before, pictures are too soft to tell it much."""
    triplet_weight: float = Field(1.0, ge=0)
    triplet_margin: float = Field(0.5, gt=0)
    """By which a mated pair's cosine shall exceed a non-mated one's."""
    embedding_interval: int = Field(4, gt=0)
    """Every so many iterations the matcher is asked, and counts as many times as strongly."""
    repulsion_weight: float = Field(0.0, ge=0)
    """Of different identities' being more alike, to the matcher, than `repulsion_margin`; 0 leaves repulsion out."""
    repulsion_margin: float = Field(0.2, ge=-1, lt=1)
    """Cosine above which two strangers are too alike."""
    repulsion_pairs: int = Field(6, ge=2)
    """Pairs that are drawn afresh in each step, beside those of the batch."""
    mated_weight: float = Field(0.8, ge=0)
    """Of mated pairs' being less alike than they could, beside repulsion."""
    held_coarse: float = Field(6.0, ge=0)
    """How strongly colours and shapes at a coarse scale are held to the model that was grown from, with repulsion."""
    held_plain: float = Field(0.8, ge=0)
    """The same at full resolution."""
    held_eyes: float = Field(1.0, ge=0)
    """The same for lids that are open, eyes and brows that are seen."""
    warm_up: int = Field(100, ge=1)
    """Iterations over which the learning rate rises."""
    average_halflife_images: float = Field(8_000, gt=0)
    """Of the generator's moving average, which is what gets exported."""
    mixed_precision: bool = False
    """bfloat16 in convolutions: faster on a GPU, and on processors that have it."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if self.method is Method.IVIGAN and self.anchored:
            raise ValueError("ivigan learns from weak labels; set anchored to false")
        if self.anchored and self.anchored_iterations:
            raise ValueError("anchored runs learn from labels throughout; leave anchored_iterations at 0")
        if self.pairs < 2 and self.method is Method.SDGAN_TRIPLET:
            raise ValueError("a triplet needs two subjects in a batch; set pairs to 2 or more")
        if self.repulsion_weight and not (self.anchored and self.hold_landmarks):
            raise ValueError(
                "repulsion needs latents that mean what labels say, and landmarks that stay: anchored, held"
            )
        return self

    @property
    def images(self) -> int:
        """Images that are made in a step, those drawn afresh for repulsion among them."""
        return 2 * (self.pairs + (self.repulsion_pairs if self.repulsion_weight else 0))

    @property
    def embedded(self) -> bool:
        """Whether a matcher takes part."""
        return self.identity_weight > 0 or self.repulsion_weight > 0 or self.method is Method.SDGAN_TRIPLET
