"""What a matcher is: detect → align → template → compare, and what it says when it gets no template.

Legend: pixels and chips are uint8 [H, W, 3], RGB; a template is float32 [d]; higher comparison scores are more
alike, and two samples match iff score >= threshold. No threshold belongs to a matcher: calibrate on your data.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from workers.images import Pixels
from workers.matchers.comparison import ScoreDefinition, Scores, Templates
from workers.matchers.detector import Detector, Face, load_detector

Template = NDArray[np.float32]


class Role(StrEnum):
    """Which side of a comparison a sample is on."""

    REFERENCE = "reference"
    PROBE = "probe"


class Stage(StrEnum):
    """Where an image left the chain."""

    READ = "read"
    DETECT = "detect"
    ALIGN = "align"
    TEMPLATE = "template"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why an image gave no template. A value, to be counted; never an exception, never left out."""

    role: Role
    stage: Stage
    reason: str

    @property
    def kind(self) -> str:
        """`failure_to_enrol` on the reference side, `failure_to_extract` on the probe side (ISO/IEC 19795-1)."""
        return "failure_to_enrol" if self.role is Role.REFERENCE else "failure_to_extract"


@runtime_checkable
class Matcher(Protocol):
    """One face matcher; one a process, for few networks are safe to share between threads."""

    @property
    def name(self) -> str:
        """Its name here: lower case, digits, dashes."""

    @property
    def version(self) -> str:
        """Which release of the network."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the network's weights, by which templates of other weights are told apart."""

    @property
    def dimensions(self) -> int:
        """Numbers in a template."""

    @property
    def score(self) -> ScoreDefinition:
        """How its comparison scores are made."""

    @property
    def provenance(self) -> str:
        """What it was trained on, to be printed where its scores are shown."""

    def detect(self, pixels: Pixels) -> Face | None:
        """Find the face of an image, or None."""

    def align(self, pixels: Pixels, face: Face) -> Pixels:
        """Cut the aligned face (the chip) that the network wants out of the image."""

    def template(self, chip: Pixels) -> Template:
        """Template of a chip, float32 [dimensions]; the same whatever was extracted before."""

    def compare(self, references: Templates, probes: Templates) -> Scores:
        """Comparison scores of all references [N, d] with all probes [M, d], [N, M]."""

    def compare_pairs(self, references: Templates, probes: Templates) -> Scores:
        """Comparison scores of each reference [N, d] with the probe [N, d] of its row, [N]."""


class NetworkMatcher(ABC):
    """What our matchers share: YuNet finds the face, and the score's definition compares."""

    name: str
    version: str
    dimensions: int
    score: ScoreDefinition
    provenance: str

    @property
    @abstractmethod
    def digest(self) -> str:
        """See Matcher."""

    @abstractmethod
    def align(self, pixels: Pixels, face: Face) -> Pixels:
        """See Matcher."""

    @abstractmethod
    def template(self, chip: Pixels) -> Template:
        """See Matcher."""

    @cached_property
    def detector(self) -> Detector:
        """The matcher's own, made when it is first asked for a face."""
        return load_detector()

    def detect(self, pixels: Pixels) -> Face | None:
        """See Matcher."""
        return self.detector.detect(pixels)

    def compare(self, references: Templates, probes: Templates) -> Scores:
        """See Matcher."""
        return self.score.cross(references, probes)

    def compare_pairs(self, references: Templates, probes: Templates) -> Scores:
        """See Matcher."""
        return self.score.pairs(references, probes)

    def extract(self, pixels: Pixels) -> Template | None:
        """Template of the face in an image, or None if no face is found. For counted failures see extraction."""
        face = self.detect(pixels)
        return None if face is None else self.template(self.align(pixels, face))
