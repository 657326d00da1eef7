"""What came out of searches of templates made here: FNIR at a FPIR over gallery sizes, by what galleries are made of.

Terms as in `app.dataset.candidates`. A gallery of N holds N − 1 references of others and the probe's mate (a mated
search), or N of others (a non-mated one). The others are real people's references, synthetic ones, or both.
"""

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.dataset.candidates import RankPoint, SearchRule
from app.dataset.evaluation import DifferenceFound, LimitFound, Verdict
from app.dataset.measures import Data, DetPoint, Interval

Size = Annotated[int, Field(ge=2, le=1_000_000_000)]


class GalleriesAsked(BaseModel):
    """In which galleries templates are searched, and how they are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Literal["cosine", "euclidean"] = "cosine"
    """How templates are compared."""
    sizes: Annotated[tuple[Size, ...], Field(max_length=50)] = ()
    """Others in the gallery; left out: 10, 20, 50, 100 … all."""
    extrapolate: Annotated[tuple[Size, ...], Field(max_length=20)] = ()
    """Galleries larger than there are, by extreme values."""
    draws: Annotated[int, Field(ge=1, le=100)] = 8
    """Random galleries of each size."""
    seed: Annotated[int, Field(ge=0, le=2**53)] = 0
    """Of the galleries that are drawn."""


Others = Literal["real", "synthetic", "mixed"]
"""What a gallery's others are. Mixed: real and synthetic ones by turns, as long as both last, then the rest."""


class GalleryPoint(Data):
    """FNIR at the lowest threshold whose FPIR is at most the target, in galleries of one size."""

    size: int
    target_fpir: float
    threshold: float | None
    """Mean over draws of the gallery; null where every score is returned."""
    fpir: float
    """As measured; of an extrapolated point, as foretold."""
    fnir: float
    interval: Interval
    """Over other probes' subjects and other galleries."""
    resolved: bool
    """Whether 30 false positives are to be expected at the target; never of an extrapolated point."""
    extrapolated: bool


class RanksFound(Data):
    """The cumulative match characteristic in galleries of one size; means over draws."""

    size: int
    missed: float
    """Share of mated searches whose mate does not stand alone at rank 1."""
    interval: Interval
    ranks: tuple[RankPoint, ...]


class HeldOut(Data):
    """Galleries that were searched, foretold from smaller ones as if they had not been."""

    fitted: int
    """Others in the galleries that it was foretold from."""
    size: int
    target_fpir: float
    measured: float
    """FNIR."""
    foretold: float
    interval: Interval
    """Of what was foretold."""

    @property
    def held(self) -> bool:
        """Whether the interval holds what was measured."""
        return self.measured in self.interval


class Curve(Data):
    """The same probes over galleries of one kind of others."""

    others: Others
    references: int
    """Others that there are."""
    points: tuple[GalleryPoint, ...]
    ranks: tuple[RanksFound, ...]
    held_out: tuple[HeldOut, ...]
    det: tuple[DetPoint, ...] = ()
    """FNIR (told as `fnmr`) over FPIR (as `fmr`) in the largest galleries that were searched; means over draws."""

    def at(self, fpir: float) -> list[GalleryPoint]:
        """The points of one FPIR, by size."""
        there = (point for point in self.points if math.isclose(point.target_fpir, fpir))
        return sorted(there, key=lambda point: point.size)


class GalleriesFound(Data):
    """All that was measured."""

    schema_version: Literal[1] = 1
    name: str
    """Of the file of templates, or of the set."""
    metric: Literal["cosine", "euclidean"]
    probes: int
    mated: int
    """Probes with a mate among the references."""
    probes_failed: int
    """Probes without a template: no search was made."""
    references: int
    """Mates of probes, and others of their file."""
    references_failed: int
    """References and distractors without a template: in no gallery."""
    real: int
    """Real people's references that galleries are made of."""
    synthetic: int
    non_mated_are: Literal["probes without a mate", "mated searches, the mate put aside"]
    draws: int
    seed: int
    curves: tuple[Curve, ...]
    rule: SearchRule
    decided_on: str
    """Which galleries the limits are about."""
    baseline: tuple[Curve, ...] = ()
    difference: DifferenceFound | None = None
    limits: tuple[LimitFound, ...] = ()
    verdict: Verdict | None = None
    reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def decisive(self) -> Curve:
        """The curve that the limits are about."""
        return next((curve for curve in self.curves if curve.others == "mixed"), self.curves[0])

    @property
    def widest(self) -> GalleryPoint:
        """FNIR in the largest galleries searched, at the first FPIR."""
        return [point for point in self.decisive.at(self.rule.at_fpir[0]) if not point.extrapolated][-1]
