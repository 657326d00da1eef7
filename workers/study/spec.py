"""What a study compares, and what it found: the settings of its folder, and its data file."""

from pydantic import BaseModel, ConfigDict, Field

from app.dataset.measures import Data, DetPoint, EqualErrorRate, Interval, Rate
from app.dataset.report import JudgeReport, MatcherFacts

SEED = 2**62 + 5
"""Of every study; far from seeds that people choose, and from those that models are judged on."""

TARGET = 1e-2
"""FMR at which FNMRs are compared."""


class Method(BaseModel):
    """One way to make mated images, or photographs beside them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    kind: str
    """The model's family, or `photographs`."""
    digest: str
    """Of the model's card; empty for photographs."""
    licence: str
    provenance: str


class StudySpec(BaseModel):
    """Settings of a study: all that decides its figures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    methods: tuple[Method, ...] = Field(min_length=1)
    matchers: tuple[MatcherFacts, ...] = Field(min_length=1)
    subjects: int = Field(ge=4)
    samples: int = Field(ge=2)
    """Of each subject, at each σ."""
    distractors: int = Field(ge=0)
    """Further identities with one sample, at σ = 1."""
    sigmas: tuple[float, ...] = Field(min_length=1)
    seed: int = SEED


class AtSigma(Data):
    """One matcher's view of one method at one σ."""

    sigma: float
    eer: EqualErrorRate | None
    fnmr: Rate | None
    """At FMR 1e-2; None where the comparisons are too few for it."""
    det: tuple[DetPoint, ...]
    without_template: int
    samples: int


class Improvement(Data):
    """Whether a method shows that one matcher is better than another: FNMR of the worse less that of the better."""

    sigma: float
    worse: str
    better: str
    difference: float
    interval: Interval
    """Bootstrap by subject, both matchers on the same subjects; thresholds stay."""
    subjects: int

    @property
    def seen(self) -> bool:
        """Whether the difference is above nought by more than chance."""
        return self.interval.low > 0


class ByMatcher(Data):
    """All that one matcher says of one method."""

    ordinary: JudgeReport
    """At default parameters: σ = 1."""
    over_sigma: tuple[AtSigma, ...]


class MethodFound(Data):
    """One method's figures."""

    method: Method
    by_matcher: tuple[ByMatcher, ...]
    improvements: tuple[Improvement, ...]
    look_alikes: tuple[tuple[int, int, float], ...]
    """Pairs of subjects that score highest by the first matcher that filtered nothing, as codes, with the score."""
    faults: tuple[str, ...]
    """What is known of the method beforehand."""

    def by(self, matcher: str) -> ByMatcher:
        """What one matcher says."""
        return next(one for one in self.by_matcher if one.ordinary.matcher.name == matcher)


class StudyFound(Data):
    """The study's data file."""

    spec: StudySpec
    software: str
    methods: tuple[MethodFound, ...]
