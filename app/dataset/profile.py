"""The profile of a gallery: statistics of real photographs, made where they lie, from which a twin is made.

Every subject weighs 1, spread evenly over its pictures (or its pairs of them), so a count is a number of subjects and
no subject moves any histogram by more than is said. Counts are cumulated and rounded to multiples of ROUNDED_TO or
of more before they are told apart into cells; cells hold LEAST_CELL subjects or more. There is no name in a profile,
no picture, no template and no value of a single picture.
"""

import hashlib
import json
import math
from bisect import bisect_right
from collections import Counter
from itertools import accumulate, pairwise
from statistics import NormalDist
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.dataset.apportion import apportion
from app.dataset.model import CARD_NAME
from app.dataset.naming import Naming
from app.errors import RequestRefused

SCHEMA_VERSION = 2
"""2 tells of `naming`, too; profiles of version 1 are read as they are."""

LEAST_CELL = 10
"""Subjects in a cell, at the least; what has fewer is merged with its neighbour, or not told."""

ROUNDED_TO = 5
"""Of every count."""

QUANTILES_FROM = 100
"""Subjects; of fewer no quantile is given."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Those that are shown. None lies beyond 1% and 99%."""

FEWEST_SUBJECTS = 20
"""Fewer would be described one by one."""

MOST_BYTES = 1024 * 1024
"""Of a profile's file; one has some twenty kilobytes."""

_NORMAL = NormalDist()

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_ .<>-]{0,63}$")]
Count = Annotated[int, Field(ge=0, le=10**9, multiple_of=ROUNDED_TO)]


class Quantity(NamedTuple):
    """What is measured of every picture, and the grid that its histogram is counted on."""

    says: str
    """What it is, and how it is read off the picture."""
    unit: str
    low: float
    high: float
    """What lies beyond an end is counted in the cell there."""
    cells: int
    """Of the grid, a power of two."""
    logarithmic: bool = False
    told: int = 8
    """Cells that are told of it at the most."""


QUANTITIES = {
    "width": Quantity("width of the picture", "px", 16, 4096, 64, True, 4),
    "height": Quantity("height of the picture", "px", 16, 4096, 64, True, 4),
    "eye_distance": Quantity("distance of the eyes in the picture", "px", 8, 1024, 64, True),
    "face_share": Quantity("distance of the eyes over the picture's width", "", 0, 0.64, 64),
    "yaw": Quantity("turn of the head to its left, read off five points", "°", -64, 64, 64),
    "roll": Quantity("lean of the head, read off the eyes", "°", -32, 32, 64),
    "smile": Quantity("width of the mouth over the distance of the eyes", "", 0.4, 1.68, 64),
    "brightness": Quantity("mean luma of the face", "of 255", 0, 256, 64),
    "contrast": Quantity("standard deviation of the face's luma", "of 255", 0, 128, 64),
    "light_side": Quantity("luma of the left cheek less that of the right, over their sum", "", -0.64, 0.64, 64),
    "sharpness": Quantity("deviation of the Laplacian of the face at 112 px", "of 255", 0.5, 128, 64, True),
    "noise": Quantity("deviation of fine grain in the picture", "of 255", 0.125, 32, 64, True),
    "blocks": Quantity("step at edges of 8 px blocks over the step beside them", "", 0.5, 4.5, 64),
    "glasses_edge": Quantity("edges on the bridge of the nose, where a frame would be", "of 255", 1, 256, 64, True, 4),
    "skin": Quantity("typology angle of the cheeks' colour: higher is lighter", "°", -96, 96, 64, False, 4),
    "DynamicRange": Quantity("quality component of that name", "of 100", 0, 128, 32, False, 4),
    "IlluminationUniformity": Quantity("quality component of that name", "of 100", 0, 128, 32, False, 4),
    "NaturalColour": Quantity("quality component of that name", "of 100", 0, 128, 32, False, 4),
    "UnderExposurePrevention": Quantity("quality component of that name", "of 100", 0, 128, 32, False, 4),
    "OverExposurePrevention": Quantity("quality component of that name", "of 100", 0, 128, 32, False, 4),
}
"""By name. Components are those of ISO/IEC 29794-5 by OFIQ's formulas, not its regions; none is a conformant score."""


def grid(quantity: Quantity) -> list[float]:
    """Edges of a quantity's grid, ascending, one more than it has cells."""
    if not quantity.logarithmic:
        width = (quantity.high - quantity.low) / quantity.cells
        return [quantity.low + width * place for place in range(quantity.cells + 1)]
    ratio = math.log(quantity.high / quantity.low) / quantity.cells
    return [float(f"{quantity.low * math.exp(ratio * place):.4g}") for place in range(quantity.cells + 1)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Histogram(_Data):
    """Subjects' weight by cell. Between two edges nothing is known but the count."""

    unit: str = Field(max_length=20)
    edges: Annotated[tuple[float, ...], Field(min_length=2, max_length=300)]
    """Ascending. The first and the last are the ends of the grid: what lies beyond is counted at them."""
    counts: tuple[Count, ...]
    """Differences of cumulated counts that were rounded; none is under LEAST_CELL, unless all of them are one cell."""
    not_measured: Count = 0
    """Weight of pictures of which it could not be told; 0 also where it is under LEAST_CELL."""
    means: tuple[float, ...] | None = None
    """Mean of the values in each cell, to a tenth; told of numbers of pictures alone, and never under differential
    privacy. One subject moves one of them by the cell's width over its count at the most, and a tenth."""
    one_subject: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Adding or leaving out one subject moves all cells together by no more than this, before rounding. So where two
    profiles have the same edge, the cumulated counts there differ by `rounded_to` at the most: by the larger and
    ROUNDED_TO more, where one subject changes that."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.counts) != len(self.edges) - 1:
            raise ValueError("has one count between every two edges")
        if self.means is not None and len(self.means) != len(self.counts):
            raise ValueError("has one mean of every cell, or none")
        if any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("has edges that ascend")
        return self

    @property
    def total(self) -> int:
        """Weight of all cells."""
        return sum(self.counts)

    @property
    def inner_edges(self) -> tuple[float, ...]:
        """Edges between cells. Without one nothing is told of where the values lie but the ends of the grid."""
        return self.edges[1:-1]

    @property
    def cumulated(self) -> list[float]:
        """Share of the weight below each edge, the first 0 and the last 1; all 0 of nothing."""
        total = self.total or 1
        return [0.0, *(part / total for part in accumulate(self.counts))]

    def below(self, value: float) -> float:
        """Share of the weight below a value, straight within a cell."""
        place = min(max(bisect_right(self.edges, value) - 1, 0), len(self.counts) - 1)
        low, high = self.edges[place], self.edges[place + 1]
        shares = self.cumulated
        inside = min(max((value - low) / (high - low), 0.0), 1.0)
        return shares[place] + inside * (shares[place + 1] - shares[place])

    def quantile(self, share: float, *, logarithmic: bool = False) -> float:
        """The value below which a share of the weight lies, as far as the cells tell.

        Between two inner edges the probit of the share is taken to be straight over the value (or its logarithm), and
        beyond the outermost of them to go on so: a cell at the end is as wide as the grid, and says nothing of its
        inside. Of fewer than two inner edges, straight within the cells.
        """
        known = [
            (math.log(edge) if logarithmic else edge, _NORMAL.inv_cdf(part))
            for edge, part in zip(self.edges, self.cumulated, strict=True)
            if 0 < part < 1
        ]
        if len(known) < 2 or not 0 < share < 1:
            return self._straight(share)
        wanted = _NORMAL.inv_cdf(share)
        after = min(max(sum(probit < wanted for _, probit in known), 1), len(known) - 1)
        (low, from_), (high, to) = known[after - 1], known[after]
        value = low + (high - low) * (wanted - from_) / (to - from_)
        if logarithmic:
            value = math.exp(min(value, 700.0))
        return min(max(value, self.edges[0]), self.edges[-1])

    def _straight(self, share: float) -> float:
        shares = self.cumulated
        for place, count in enumerate(self.counts):
            if count and share <= shares[place + 1]:
                inside = (share - shares[place]) / (shares[place + 1] - shares[place])
                return self.edges[place] + max(inside, 0.0) * (self.edges[place + 1] - self.edges[place])
        return self.edges[-1]

    def quantiles(self, *, logarithmic: bool = False) -> dict[str, float] | None:
        """QUANTILES by name, such as 5%; None of fewer subjects than QUANTILES_FROM, or where no edge is told."""
        if self.total < QUANTILES_FROM or not self.inner_edges:
            return None
        return {f"{100 * share:g}%": self.quantile(share, logarithmic=logarithmic) for share in QUANTILES}


class Categories(_Data):
    """Subjects' weight by word. One subject moves all of them together by 1 at the most, before rounding."""

    counts: Annotated[dict[Name, Count], Field(max_length=100)]
    merged: Count = 0
    """Of words that have fewer than LEAST_CELL subjects, together; 0 also where that is under LEAST_CELL."""

    @property
    def total(self) -> int:
        """Weight of all."""
        return sum(self.counts.values()) + self.merged

    def share(self, word: str) -> float:
        """Share of the weight that a word has; 0 of one that is not told."""
        return self.counts.get(word, 0) / self.total if self.total else 0.0


class Point(_Data):
    """FNMR at the lowest threshold of the gallery's own whose FMR is at most the target.

    Both rates weigh every subject, and every two subjects, alike. The threshold is not told: it is a quantile of scores
    beyond 99%.
    """

    target_fmr: Annotated[float, Field(gt=0, lt=1)]
    fnmr: Share | None
    """A multiple of ROUNDED_TO over the subjects; None where LEAST_CELL subjects' weight or less is rejected."""
    low: Share
    high: Share
    """95%, normal over the subjects' own shares at that threshold; widened to multiples of the same."""
    one_subject: Share
    """The most by which leaving any one subject out changes one of these three; FNMR that is not told counts as 0."""
    resolved: bool
    """Whether, by the rule of 30, comparisons of so many subjects speak of this FMR."""


class MatcherStatistics(_Data):
    """What a matcher makes of the gallery."""

    version: str = Field(max_length=100)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of its weights."""
    mated: Histogram | None
    """Comparison scores of two pictures of one subject; None where none has two."""
    non_mated: Histogram
    """Comparison scores of two pictures of different subjects. One subject moves it by 3 at the most: by the 2 that its
    own comparisons weigh, and by 1 by which all others then weigh less."""
    enrol: Categories
    """Subjects whose first picture, by name, gave a template: `done` and `failed`."""
    extract: Categories
    """The same of all other pictures."""
    points: Annotated[tuple[Point, ...], Field(max_length=10)]
    """Empty under differential privacy: rates at a low FMR rest on too few subjects."""


class Budget(_Data):
    """Differential privacy of the whole file, towards adding or leaving out one subject (pure, by Laplace noise)."""

    epsilon: Annotated[float, Field(gt=0, le=1000)]
    """Of all that is told together."""
    parts: Annotated[dict[Name, float], Field(max_length=300)]
    """What of it each statistic took; they sum to it."""
    mechanism: str = Field(max_length=200)


class Privacy(_Data):
    """The rules that the numbers were made by."""

    least_cell: Annotated[int, Field(ge=LEAST_CELL)] = LEAST_CELL
    rounded_to: Annotated[int, Field(ge=ROUNDED_TO, multiple_of=ROUNDED_TO)] = ROUNDED_TO
    """Cumulated counts of histograms, and counts of words: the coarser the more statistics are told, for many exact
    ones together would tell who is in it. A word or a cell has at least as many subjects, too."""
    pictures_per_subject: Annotated[int, Field(ge=1)]
    """Looked at, at the most; those beyond were left out, evenly."""
    differential: Budget | None = None


class Profile(_Data):
    """A gallery in statistics."""

    kind: Literal["facsimile.profile"] = "facsimile.profile"
    schema_version: int = SCHEMA_VERSION
    software: str = Field(max_length=100)
    detector: str = Field(max_length=100)
    privacy: Privacy
    samples_per_subject: Histogram
    """Pictures of a subject, those beyond `pictures_per_subject` too; its total is the number of subjects."""
    pictures: Categories
    """`face found`, `no face`, `not read`."""
    formats: Categories
    """Of the files, such as `jpeg`."""
    quantities: Annotated[dict[Name, Histogram], Field(max_length=100)]
    attributes: Annotated[dict[Name, Categories], Field(max_length=50)]
    """Apparent attributes of subjects: `skin_tone` as measured, the others as the gallery's own columns say."""
    age: Histogram | None = None
    """Years, where the gallery's own columns say it."""
    matchers: Annotated[dict[Annotated[str, Field(pattern=CARD_NAME)], MatcherStatistics], Field(max_length=20)]
    naming: Naming | None = None
    """The pattern by which more than half of the subjects, and LEAST_CELL at the least, are called and their files;
    None where there is none, under differential privacy, and of version 1. One subject changes it only where about
    half follow it."""
    digest: str = ""
    """SHA-256 (hex) over all else, as canonical JSON."""

    @model_validator(mode="after")
    def _names_are_of_version_2(self) -> Self:
        if self.schema_version < 2 and self.naming is not None:
            raise ValueError("naming is told from version 2 on")
        return self

    @property
    def subjects(self) -> int:
        """So many it is of, rounded."""
        return self.samples_per_subject.total

    def compute_digest(self) -> str:
        """What `digest` must be."""
        left_out = {"digest", "naming"} if self.schema_version < 2 else {"digest"}
        text = json.dumps(self.model_dump(mode="json", exclude=left_out), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def signed(self) -> Self:
        """The same with its digest."""
        return self.model_copy(update={"digest": self.compute_digest()})

    def as_file(self) -> bytes:
        """The file, UTF-8 JSON."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def sample_counts(profile: Profile, subjects: int) -> tuple[tuple[int, int], ...]:
    """How many samples so many subjects have in a twin: (samples, subjects) …, ascending, as the profile's cells tell.

    A cell's subjects have the two whole numbers next to its mean, in the mix that gives it; without means, the numbers
    within a cell come equally often.
    """
    found: Counter[int] = Counter()
    histogram = profile.samples_per_subject
    shares = {str(place): float(count) for place, count in enumerate(histogram.counts)}
    for place, count in apportion(shares, subjects).items():
        low, high = (int(edge) for edge in histogram.edges[int(place) : int(place) + 2])
        if histogram.means is not None:
            mean = min(max(histogram.means[int(place)], 1.0), 10_000.0)
            more = round((mean - math.floor(mean)) * count)
            found[math.floor(mean)] += count - more
            found[math.floor(mean) + 1] += more
        else:
            for number in range(count):
                found[low + number * (high - low) // count] += 1
    return tuple((samples, count) for samples, count in sorted(found.items()) if count)


def read_profile(data: bytes | dict[str, Any], field: str = "profile") -> Profile:
    """Read a profile's file, or what stands in a request's `field`; raises RequestRefused, each problem by its field.

    One that was changed by hand has another digest than it says; a newer version's is not guessed at.
    """
    if isinstance(data, bytes):
        if len(data) > MOST_BYTES:
            raise RequestRefused(
                [(field, f"has {len(data):,} bytes, and a profile at most {MOST_BYTES:,}; is it one?")]
            )
        try:
            found = json.loads(data, parse_constant=_no_constant)
        except (ValueError, RecursionError) as exc:
            raise RequestRefused([(field, f"is no JSON ({exc}); make one by `facsimile profile`")]) from exc
    else:
        found = data
    if not isinstance(found, dict) or found.get("kind") != "facsimile.profile":
        raise RequestRefused([(f"{field}.kind", "is no profile; make one by `facsimile profile FOLDER`")])
    version = found.get("schema_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise RequestRefused([(f"{field}.schema_version", "is no version of a profile; make it anew")])
    if version > SCHEMA_VERSION:
        text = f"is {version} and this version of Facsimile reads up to {SCHEMA_VERSION}; update it, or make it anew"
        raise RequestRefused([(f"{field}.schema_version", text)])
    try:
        # As JSON, so that what a file holds and what a request holds are read alike.
        profile = Profile.model_validate_json(json.dumps(found))
    except ValidationError as exc:
        problems = [
            (
                ".".join((field, *map(str, error["loc"]))),
                f"{error['msg']}; make the profile anew, and edit nothing in it",
            )
            for error in exc.errors(include_url=False)[:10]
        ]
        raise RequestRefused(problems) from exc
    if profile.digest != profile.compute_digest():
        text = "does not fit what the file holds: it was changed after it was made; make the profile anew"
        raise RequestRefused([(f"{field}.digest", text)])
    return profile


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")
