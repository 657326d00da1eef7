"""What a calibration found, and what a finished set came to: difficulty asked, calibrated and delivered."""

import hashlib
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt

from app.dataset.measures import Rate
from app.dataset.model import CARD_NAME
from app.dataset.plan import Plan, PlannedTarget
from app.dataset.request import (
    Attributes,
    ComparisonsSpec,
    DatasetRequest,
    ImageSpec,
    ReportSpec,
    Scale,
    Share,
    Target,
    Variability,
)

CALIBRATION_SEED = 2**62 + 3
"""Seed of every calibration of a model: no request may have it."""

USUAL_SUBJECTS = 300
USUAL_SAMPLES = 3
"""Of each, where a calibration is asked without saying so."""

MOST_SCALES = 10
"""Scales that one calibration tries at the most."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CalibrationRequest(_Frozen):
    """A question to a model: which scale gives its sets this difficulty? The answer belongs to the model."""

    model: Annotated[str, Field(pattern=CARD_NAME)] = "default"
    """Who draws."""
    target: Target
    """The difficulty wanted."""
    factors: dict[str, Scale] = {}
    """The mix that the scale multiplies; factors not named keep 1."""
    truncation: Share | None = None
    """ψ of models that truncate; left out, the card's own."""
    attributes: Attributes = Attributes()
    """Who the subjects are, as in a dataset's request."""
    image: ImageSpec = ImageSpec()
    """Size and format, as in a dataset's request."""
    subjects: Annotated[StrictInt, Field(ge=2, le=5_000)] = USUAL_SUBJECTS
    """Subjects it is measured on. More make the answer surer, and dearer."""
    samples_per_subject: Annotated[StrictInt, Field(ge=2, le=100)] = USUAL_SAMPLES
    """Samples of each; every two of them are a mated comparison, so 3 give 3 a subject, and 5 give 10."""

    def as_dataset(self) -> DatasetRequest:
        """The set that the calibration measures."""
        return DatasetRequest(
            name="calibration",
            model=self.model,
            subjects=self.subjects,
            samples_per_subject=self.samples_per_subject,
            variability=Variability(factors=self.factors, target=self.target, truncation=self.truncation),
            attributes=self.attributes,
            image=self.image,
            comparisons=ComparisonsSpec(selection="none"),
            report=ReportSpec(judged_subjects=self.subjects),
        )


def calibration_id(plan: Plan) -> str:
    """Digest of the question: of all that decides the answer, model and matcher by their digests."""
    return _digest(plan, {"dataset", "folder", "shard_size"})


def curve_id(plan: Plan) -> str:
    """Digest of the curve that a question asks of; questions that differ in their target alone share it."""
    return _digest(plan, {"dataset", "folder", "shard_size", "target"})


def _digest(plan: Plan, without: set[str]) -> str:
    return hashlib.sha256(plan.model_dump_json(exclude=without).encode()).hexdigest()


class Measured(_Frozen):
    """FNMR at the smallest threshold whose FMR is at most the one asked for."""

    threshold: float
    fmr: Rate
    fnmr: Rate


class TriedScale(_Frozen):
    """What was measured at one scale, while the search goes on."""

    scale: float
    measured: Measured


class CalibrationStep(BaseModel):
    """One step of a search: which scale it tries, by what was measured before it."""

    model_config = ConfigDict(frozen=True)

    scale: float
    tried: tuple[TriedScale, ...] = ()
    """Scales measured before this step, by scale; those that other searches along the same curve measured included."""


class CurvePoint(_Frozen):
    """What was measured at one scale."""

    scale: float
    measured: Measured
    smoothed: float
    """FNMR after isotonic regression over the whole curve."""


class Calibration(_Frozen):
    """What a search for the scale that meets a target found."""

    schema_version: Literal[1] = 1
    outcome: Literal["met", "not met", "unreachable"]
    target: PlannedTarget
    scale: float | None
    """The one measured whose FNMR is nearest the target; null if the target is unreachable."""
    measured: Measured | None
    """There."""
    proven: bool
    """Whether all of FNMR's interval by subject lies within the tolerance; if not, more subjects would narrow it."""
    scale_interval: tuple[float, float] | None
    """Scales at which the curves of resampled subjects reach the target, 95%; null if one point is all there is."""
    searched: tuple[float, float]
    """Lowest and highest scale measured."""
    reachable: tuple[float, float]
    """FNMR there, smoothed."""
    curve: tuple[CurvePoint, ...]
    """By scale."""
    evaluations: int
    """Scales measured, by earlier calibrations of the same curve too."""
    samples: int
    """Made for this calibration alone: the cost."""
    comparisons: int
    """Completed, in all evaluations together."""
    not_completed: int
    """Comparisons that failed; a share that grows with the scale makes FNMR look too good."""
    note: str
    """The outcome in a sentence."""


class Contract(_Frozen):
    """Difficulty by contract: what was asked, what the calibration found, what the stored files come to."""

    asked: PlannedTarget
    scale: float
    """σ that the calibration chose; the mix of factors is multiplied by it."""
    calibrated: Measured
    """By the calibration at that scale."""
    delivered: Measured
    """Afresh, from the stored files: every two judged samples of the judged subjects."""
    met: bool
    """Whether the delivered FNMR lies within the tolerance."""
    subjects: int
    """Judged subjects."""
    note: str
    """The same in a sentence."""
