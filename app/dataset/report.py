"""The report of a dataset (`report.json`): what it is, how hard, how unlike each other and the training set its
subjects are, and what was rejected. Readable without torch. Measures and their tie rules: `app.dataset.measures`.

A section that could not be measured is None or empty, and `absent` says why, by the section's name. Everything but
counts rests on the judged samples: all samples of the first `judged.subjects` subjects, and `judged.distractors`
distractors. Difficulty is measured on every two samples of the judged subjects, each pair once.
"""

from typing import Any, Literal

from app.dataset.calibration import Calibration, Contract
from app.dataset.comparisons import Selection
from app.dataset.measures import (
    Counted,
    Data,
    DetPoint,
    Distribution,
    EqualErrorRate,
    Interval,
    OperatingPoint,
    Rate,
)

SCHEMA_VERSION = 1

Absent = dict[str, str]
"""Section to why it is not there."""


class DatasetFacts(Data):
    """Which set this is."""

    id: str
    name: str
    created_at: str
    """When it was accepted, ISO 8601."""
    seed: int
    request: dict[str, Any]
    """As the user wrote it."""
    width: int
    """Pixels."""
    height: int
    format: str
    sigma: dict[str, float]
    """σ of every factor that was drawn with; a calibrated scale is in it."""
    truncation: float | None = None
    """ψ of identities; None for a model that does not truncate."""
    templates: str | None = None
    """The matcher whose templates are all that was kept of the samples; None where images were."""
    marks: str = ""
    """What says that its samples are synthetic."""


class ModelFacts(Data):
    """From the model's card."""

    name: str
    version: str
    digest: str
    kind: str
    description: str
    licence: str
    """SPDX expression."""
    provenance: str
    weights: str = ""
    """SHA-256 of the weights, or that there are none."""
    trained_on: str = ""
    """Digest of the training corpus, or why there is none."""
    attributes: tuple[str, ...] = ()
    """How far attributes can be trusted, where a scorer gave them to a model that knew nothing of them."""
    faults: tuple[str, ...] = ()
    """What is known of the method beforehand."""


class Listed(Data):
    """comparisons.csv."""

    selection: Selection
    mated: int
    non_mated: int
    left_out: int
    """Comparisons of a missing sample, which are not in the list."""
    sha256: str


class Counts(Data):
    """What was asked for and what came out."""

    asked_subjects: int
    asked_samples: int
    asked_distractors: int
    subjects: int
    """With a sample at least."""
    distractors: int
    samples: int
    bytes: int
    rejected_samples: int
    """Draws that failed a check and were followed by another, or by a shortfall."""
    rejected_identities: int
    shortfall: int
    """Samples that no permitted attempt could make."""


class FilterFacts(Data):
    """The network whose scores decided which identities were too alike to be kept."""

    matcher: str
    digest: str
    threshold: float
    """Neutral portraits that score at or above it count as copies."""


class Judged(Data):
    """What was judged."""

    subjects: int
    distractors: int
    samples: int
    """Rows, those without a template included."""


class MatcherFacts(Data):
    """A judge."""

    name: str
    version: str
    digest: str
    dimensions: int
    score: str
    """How a score is made."""
    provenance: str
    """What it was trained on."""
    independent: bool
    """Whether it is another network than the one that filtered the set."""


class SamplePair(Data):
    """Two samples and their comparison score."""

    score: float
    samples: tuple[str, str]


class LookAlike(Data):
    """Two different subjects that score high."""

    score: float
    subjects: tuple[str, str]


class TailPoint(Data):
    """The k-th highest non-mated score."""

    rank: int
    score: float
    fmr: float
    """k / N."""
    low: float
    """Clopper–Pearson, 95%."""
    high: float


class Uniqueness(Data):
    """U_class: the share of identities whose nearest other identity scores below the threshold.

    One sample an identity: its reference, or the distractor's only one.
    """

    u_class: float
    unique: int
    identities: int
    without_template: int
    threshold: float
    target_fmr: float
    """Of that threshold."""
    by_chance: float
    """(1 − FMR)^(N − 1): U_class to be expected of identities that resemble each other as chance has it."""
    interval: Interval
    nearest: Distribution
    """Scores with the nearest other identity."""
    look_alikes: tuple[LookAlike, ...]
    """The pairs of judged subjects with the highest scores of any two of their samples."""


class Consistency(Data):
    """C_intra: the share of a subject's samples that match the subject's centre, averaged over subjects."""

    c_intra: float
    subjects: int
    left_out: int
    """Subjects with fewer than two templates."""
    threshold: float
    by_subject: Interval


class Capacity(Data):
    """How many identities can be held apart at the threshold, from careful to bold; None is without limit."""

    threshold: float
    identities: int
    """Measured on."""
    match_rate: float
    match_rate_interval: Interval
    resolved: bool
    """Whether at least 30 pairs of identities match."""
    without_filtering: float | None
    """Identities that may be drawn until one pair is to be expected to match."""
    with_filtering: float | None
    """Identities kept until half of all new draws are refused as copies."""
    packing_bound: float | None
    """By geometry, an upper bound."""


class IdentificationPoint(Data):
    """1:N search: FNIR at the smallest threshold whose FPIR is at most the target, for one size of the gallery."""

    size: int
    """References in the gallery."""
    target_fpir: float
    threshold: float | None
    fnir: float
    mated: int
    """Mated searches."""
    non_mated: int
    by_subject: Interval
    resolved: bool
    """Whether 30 false positives are to be expected at the target."""
    extrapolated: bool
    """Reckoned by a straight line in ln N beyond what was searched."""


class Group(Data):
    """Rates within one group of subjects at the common threshold."""

    group: str
    subjects: int
    fmr: Rate | None
    fnmr: Rate | None
    flags: tuple[str, ...]
    """What is too small to be trusted."""


class Ratio(Data):
    """The worst group's rate over the best group's; 1 is no differential."""

    value: float | None
    worst: str
    interval: Interval | None
    chance: float | None
    """What it would stay below in 95% of tests if all groups had the same true rate."""
    note: str


class Differential(Data):
    """One attribute's groups."""

    attribute: str
    threshold: float
    target_fmr: float
    subjects: int
    """Over the first so many judged subjects."""
    groups: tuple[Group, ...]
    fmr: Ratio
    fnmr: Ratio
    unlabelled: int


class Leakage(Data):
    """Do samples come nearer to the training set than strangers do? Nearest-neighbour scores, and their AUC."""

    searched: int
    """Training identities that were searched, one template each."""
    trained_on: int
    """Training identities in all."""
    held_out: int
    """Identities of the training corpus that were not trained on: the strangers."""
    synthetic: Distribution
    """Nearest-neighbour scores of judged samples with the training set."""
    strangers: Distribution
    auc: float
    """The chance that a sample comes nearer than a stranger; clearly above 0.5 is leakage."""
    auc_interval: Interval
    beyond_p99: float
    """Share of samples that come nearer than 99% of strangers; 0.01 is what strangers do."""
    beyond_p99_interval: Interval
    membership_auc: float
    """Of the attack that calls a corpus identity trained-on if a sample comes near it; 0.5 is no success."""
    membership_interval: Interval


class RealThreshold(Data):
    """A matcher's threshold that was found on templates of real people, as it is set in operation."""

    matcher: str
    matcher_digest: str
    """Another network of the same name has other thresholds."""
    target_fmr: float
    threshold: float
    """A comparison matches iff its score is >= this; found on `comparisons` real non-mated comparisons."""
    source: str
    """What it was found on, for people: a gallery's name, its kind, its date."""
    subjects: int
    """Real people."""
    comparisons: int
    """Real non-mated comparisons."""


class RealPoint(Data):
    """How this set stands at a threshold of real operation: nothing of the set was used to find it."""

    at: RealThreshold
    fmr: Rate
    """Of this set's non-mated comparisons: above the target, its identities are more alike than real people are."""
    fnmr: Rate


class JudgeReport(Data):
    """All that one judge found."""

    matcher: MatcherFacts
    enrolment: Rate | None
    """Failure to enrol, over references and distractors."""
    extraction: Rate | None
    """Failure to extract, over probes."""
    failures: tuple[Counted, ...]
    """Why there was no template, over all samples."""
    mated: Distribution | None
    """Comparison scores."""
    non_mated: Distribution | None
    points: tuple[OperatingPoint, ...]
    det: tuple[DetPoint, ...]
    """By falling FMR."""
    eer: EqualErrorRate | None
    real: tuple[RealPoint, ...] = ()
    """At thresholds found on real people, where the operator has given some for this matcher."""
    tail: tuple[TailPoint, ...]
    worst_mated: tuple[SamplePair, ...] = ()
    """Of each of the subjects that are hardest to recognise the two samples least alike; the lowest score first."""
    most_alike: tuple[SamplePair, ...] = ()
    """Of each of the pairs of subjects most alike the two samples that score highest; the highest first."""
    uniqueness: Uniqueness | None
    consistency: Consistency | None
    capacity: Capacity | None
    identification: tuple[IdentificationPoint, ...]
    groups: tuple[Differential, ...]
    leakage: Leakage | None
    absent: Absent

    def at_fmr(self, fmr: float) -> OperatingPoint | None:
        """The operating point of a target FMR, if it was measured."""
        return next((point for point in self.points if point.target_fmr == fmr and point.fnmr), None)


class Drift(Data):
    """Do two judges say the same? Over comparisons that both completed."""

    judges: tuple[str, str]
    mated_correlation: float | None
    """Spearman's, of the two scores of the same comparisons; None where too few or all equal."""
    non_mated_correlation: float | None
    comparisons: int
    """That the correlations rest on."""
    fnmr: dict[str, tuple[float, float]]
    """Target FMR (as text, e.g. "0.001") to both judges' FNMR."""


class QualityMeasure(Data):
    """One measure of every judged sample in which a face was found."""

    name: str
    title: str = ""
    """The name as people say it; empty in what an older version wrote."""
    meaning: str
    unit: str
    measured: int
    not_measured: int
    values: Distribution | None


class Pose(Data):
    """Yaw asked for, as drawn, against yaw measured from the five points that the detector finds."""

    asked: Distribution
    """Degrees."""
    measured: Distribution
    correlation: float
    mean_error: float
    """Mean absolute difference, degrees."""


class Quality(Data):
    """Measures of quality. None of them is a conformant score of ISO/IEC 29794-5."""

    measures: tuple[QualityMeasure, ...]
    pose: Pose | None
    absent: Absent


class Report(Data):
    """The report."""

    schema_version: Literal[1] = 1
    summary: tuple[str, ...]
    """The report in plain sentences."""
    dataset: DatasetFacts
    model: ModelFacts
    comparisons: Listed
    counts: Counts
    filter: FilterFacts | None
    rejected_samples: tuple[Counted, ...]
    rejected_identities: tuple[Counted, ...]
    shortfall: tuple[Counted, ...]
    judged: Judged
    judges: tuple[JudgeReport, ...]
    drift: tuple[Drift, ...]
    quality: Quality | None
    contract: Contract | None
    """The difficulty that was asked for, and what the finished set measures."""
    calibration: Calibration | None
    """How the scale was found that should give it."""
    limits: tuple[str, ...]
    """What must not be concluded."""
    absent: Absent
