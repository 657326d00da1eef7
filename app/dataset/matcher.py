"""The matcher card: what the service says of a face matcher that it can judge sets with."""

from pydantic import ConfigDict, Field

from app.dataset.model import CARD_NAME
from app.numerals import PlainNumbers


class MatcherCard(PlainNumbers):
    """One matcher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=CARD_NAME)
    version: str
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the network's weights, by which scores of other weights are told apart."""
    dimensions: int = Field(gt=0)
    """Numbers in a template."""
    score: str
    """How a comparison score is made, in a sentence; higher is more alike."""
    provenance: str
    """What the network was trained on."""
    judge: bool
    """Whether it judges every set, or only those whose target names it."""
