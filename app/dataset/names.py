"""What subjects and samples are called in every list, file and URL."""

import re

from app.dataset.plan import Place, Plan

DATASET_ID = "^ds_[0-9a-hjkmnp-tv-z]{20}$"
_SAMPLE = re.compile(r"S([0-9]{7})_([0-9]{4})")


def subject_name(subject: int) -> str:
    """Label of a subject, e.g. S0000012."""
    return f"S{subject:07d}"


def sample_name(subject: int, sample: int) -> str:
    """Label of a sample, e.g. S0000012_0003."""
    return f"{subject_name(subject)}_{sample:04d}"


def sample_file(plan: Plan, subject: int, sample: int) -> str:
    """Path of a sample's file within the dataset, with forward slashes."""
    return f"samples/{subject_name(subject)}/{sample_name(subject, sample)}{plan.image.suffix}"


def parse_sample_name(name: str) -> Place | None:
    """The place that a sample label speaks of, or None if it is no sample label."""
    match = _SAMPLE.fullmatch(name)
    return Place(int(match[1]), int(match[2])) if match else None


def role(plan: Plan, subject: int, sample: int) -> str:
    """`reference` (a subject's first sample), `probe` (its others) or `distractor`."""
    if subject >= plan.subjects:
        return "distractor"
    return "reference" if sample == 0 else "probe"
