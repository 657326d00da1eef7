"""Settings of a run that trains a StyleGAN2, as its folder keeps them."""

from pydantic import BaseModel, ConfigDict, Field


class StyleGan2Spec(BaseModel):
    """Settings of a run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field("stylegan2", pattern="^stylegan2$")
    seed: int = Field(0, ge=0)
    iterations: int = Field(gt=0)
    anchored_iterations: int = Field(0, ge=0)
    """In the first so many steps renders are learned from their own latents, which stand at the front of z: faces come
    at once, if soft; then the judge takes over. 0 for photographs, of which no latents are known."""
    batch: int = Field(32, ge=2)
    """Images a step."""
    size: int = Field(64, ge=8, le=1024)
    """Pixels a side: a power of two."""
    latent: int = Field(128, ge=4, le=1024)
    """Dimensions of z and of w."""
    mapping_layers: int = Field(4, ge=1, le=8)
    base: int = Field(48, ge=4)
    """Channels at the finest resolution; each coarser one has twice as many, up to `most`."""
    most: int = Field(256, ge=4)
    learning_rate: float = Field(2.5e-3, gt=0)
    r1_gamma: float = Field(0.3, ge=0)
    r1_interval: int = Field(16, gt=0)
    """R1 is asked every so many steps, and counts as many times as strongly."""
    augmentation: float = Field(0.5, ge=0, le=1)
    """Share of images, real and made alike, that are moved and relit before they are judged; 0 for none."""
    average_halflife_images: float = Field(8_000, gt=0)
    """Of the generator's moving average, which is what gets exported."""
    mixed_precision: bool = False
    """bfloat16 in convolutions: many times faster on processors that have it built in."""

    @property
    def channels(self) -> tuple[int, ...]:
        """At 4, 8 … `size` pixels."""
        stages = self.size.bit_length() - 2
        return tuple(min(self.most, self.base << (stages - 1 - number)) for number in range(stages))
