"""What is known of a set's samples beside their comparisons: where their pictures lie, and their subjects' groups."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from app.dataset.names import parse_sample_name
from app.dataset.shard import AttributeValue, SampleRow
from workers.biometrics.groups import age_bands


@dataclass(frozen=True, kw_only=True)
class Album:
    """Pictures and groups."""

    image: Callable[[str], str]
    """Where a sample's picture is, by its label: a path or a URL."""
    groups: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """Attribute to (subject's number to its group); attributes with a single group are left out."""


NO_PICTURES = Album(image=str)
"""Samples are told by their labels alone."""


def album_of(rows: Iterable[SampleRow], place: Callable[[str, str], str]) -> Album:
    """Read the manifest's lines; `place` makes a path or URL of a sample's label and its file below the folder."""
    suffix = ""
    values: dict[str, dict[int, AttributeValue]] = {}
    for row in rows:
        suffix = suffix or PurePosixPath(row.file).suffix
        at = parse_sample_name(row.id)
        if at is None or row.role == "distractor":
            continue
        for name, value in row.attributes.items():
            values.setdefault(name, {}).setdefault(at.subject, value)
    groups = {name: _grouped(name, of) for name, of in values.items()}

    def image(sample: str) -> str:
        return place(sample, f"samples/{sample.partition('_')[0]}/{sample}{suffix}")

    return Album(image=image, groups={name: of for name, of in groups.items() if len(set(of.values())) > 1})


def _grouped(name: str, values: Mapping[int, AttributeValue]) -> dict[int, str]:
    if name == "age":
        bands = age_bands([float(value) for value in values.values()])
        return {subject: str(band) for subject, band in zip(values, bands, strict=True)}
    return {
        subject: (f"{'with' if value else 'without'} {name}" if isinstance(value, bool) else str(value))
        for subject, value in values.items()
        if isinstance(value, bool | str)
    }
