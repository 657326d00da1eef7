"""README.txt: what a layout holds, what it leaves out and why, and that nobody in it exists."""

import textwrap

from workers.layouts.archive import Entry, whole
from workers.layouts.contents import About

NAME = "README.txt"
WIDTH = 100
NAMED = 20
"""Missing samples that are named; the manifest names them all."""


def readme(about: About, *paragraphs: str) -> Entry:
    """The note on a set, with what is peculiar to its layout."""
    parts = [
        f"{about.name}: dataset {about.dataset} of Facsimile.",
        f"Every image is synthetic and shows nobody who exists (IPTC digital source type {about.source_type}). "
        f"Made by the model {about.model}, digest {about.model_digest}.",
        f"Asked for: {counted(about.subjects, 'subject')} with {counted(about.samples_per_subject, 'sample')} each "
        f"and {counted(about.distractors, 'distractor')}. Labels: S0000012_0003 is sample 3 of subject 12, both from "
        "0; sample 0 is the reference.",
        *paragraphs,
        *_missing(about),
    ]
    return whole(NAME, "\n\n".join(textwrap.fill(part, WIDTH) for part in parts).encode() + b"\n")


def counted(number: int, thing: str) -> str:
    """`1 sample`, `2,000 samples`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def _missing(about: About) -> list[str]:
    if not about.missing:
        return []
    named = ", ".join(f"S{subject:07d}_{sample:04d}" for subject, sample in sorted(about.missing)[:NAMED])
    more = f" and {len(about.missing) - NAMED:,} more" if len(about.missing) > NAMED else ""
    return [
        f"{counted(len(about.missing), 'sample')} could not be made and {counted(about.left_out, 'comparison')} of the "
        f"selection with them; nothing stands in their place: {named}{more}."
    ]
