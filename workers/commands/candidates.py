"""`facsimile evaluate --candidates`: 1:N searches by the candidate lists that they returned."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.client.errors import UsageProblem
from app.dataset.candidates import SearchesFound, SearchRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from app.client.manifest import Manifest
    from workers.verdict.candidates import Searched


@dataclass(frozen=True, kw_only=True)
class Lists:
    """What was handed in."""

    candidates: Path
    baseline: Path | None
    dataset: Path | None
    gallery: Path | None


def evaluate_lists(lists: Lists, rule: SearchRule) -> SearchesFound:
    """Read the lists against a folder's manifest, measure and decide; no image is needed."""
    import numpy as np

    from app.client.manifest import Manifest
    from app.client.paths import set_folder
    from workers.verdict.blocks import Places, place_of
    from workers.verdict.candidates import gallery_of, read_candidates
    from workers.verdict.searching import evaluate_searches
    from workers.verdict.sources import identify

    if lists.dataset is None or not lists.dataset.is_dir():
        raise UsageProblem("say what was searched: --dataset FOLDER of the pulled dataset or release")
    for path in (lists.candidates, lists.baseline, lists.gallery):
        if path is not None and not path.is_file():
            raise UsageProblem(f"{path} is no file")
    manifest = Manifest(set_folder(lists.dataset) / "manifest.json")
    sides: dict[bool, list[int]] = {True: [], False: []}
    for row in manifest.samples():
        sides[row.role == "probe"].append(place_of(row.id))
    probes, references = (np.array(sorted(sides[side]), np.int64) for side in (True, False))
    enrolled: Places = references
    if lists.gallery is not None:
        enrolled = gallery_of(lists.gallery.read_text(encoding="utf-8").split())
        if (strange := enrolled[~np.isin(enrolled, references)]).size:
            raise UsageProblem(f"{lists.gallery}: {strange.size:,} of its labels are no references of this set")
    numbered = planned_places(manifest)

    def read(path: Path, what: str) -> "Searched":
        with path.open("rb") as file:
            return read_candidates(file, probes, enrolled, what=f"{what} ({path})", numbered=numbered)

    new = read(lists.candidates, "the lists")
    old = None if lists.baseline is None else read(lists.baseline, "the baseline's lists")
    return evaluate_searches(identify(lists.dataset, manifest), new, old, rule)


def planned_places(manifest: "Manifest") -> "NDArray[Any]":
    """Places of all samples that were planned, in the order by which the layout `frte` numbers them."""
    import numpy as np

    from workers.verdict.blocks import SAMPLES

    asked = manifest.summary.asked
    each = (asked.samples - asked.distractors) // max(asked.subjects, 1)
    mated = np.arange(asked.subjects)[:, None] * SAMPLES + np.arange(each)
    others = (asked.subjects + np.arange(asked.distractors)) * SAMPLES
    return np.concatenate([mated.ravel(), others])
