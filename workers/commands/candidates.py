"""`facsimile evaluate --candidates`: 1:N searches by the candidate lists that they returned."""

from collections.abc import Sequence
from pathlib import Path

from app.cli.output import as_json, show
from app.client.errors import UsageProblem
from app.dataset.candidates import SearchesFound
from app.dataset.resolution import LOWEST_RATE

FPIRS = (0.1, 0.01)


def measure_lists(
    candidates: Path, dataset: Path | None, gallery: Path | None, fpirs: Sequence[float]
) -> SearchesFound:
    """Read the lists against a folder's manifest and measure; no image is needed."""
    import numpy as np

    from app.client.manifest import Manifest
    from app.client.paths import set_folder
    from workers.verdict.blocks import Places, place_of
    from workers.verdict.candidates import gallery_of, read_candidates
    from workers.verdict.searching import measure_searches
    from workers.verdict.sources import identify

    if dataset is None or not dataset.is_dir():
        raise UsageProblem("say what was searched: --dataset FOLDER of the pulled dataset or release")
    for path in (candidates, gallery):
        if path is not None and not path.is_file():
            raise UsageProblem(f"{path} is no file")
    if wrong := [fpir for fpir in fpirs if not LOWEST_RATE <= fpir < 1]:
        raise UsageProblem(f"--at-fpir: {wrong[0]} is no rate between {LOWEST_RATE:g} and 1")
    manifest = Manifest(set_folder(dataset) / "manifest.json")
    sides: dict[bool, list[int]] = {True: [], False: []}
    for row in manifest.samples():
        sides[row.role == "probe"].append(place_of(row.id))
    probes, references = (np.array(sorted(sides[side]), np.int64) for side in (True, False))
    enrolled: Places = references
    if gallery is not None:
        enrolled = gallery_of(gallery.read_text(encoding="utf-8").split())
        if (strange := enrolled[~np.isin(enrolled, references)]).size:
            raise UsageProblem(f"{gallery}: {strange.size:,} of its labels are no references of this set")
    with candidates.open("rb") as file:
        found = read_candidates(file, probes, enrolled, what=f"the lists ({candidates})")
    return measure_searches(identify(dataset, manifest), found, fpirs)


def show_searches(found: SearchesFound, *, json_: bool) -> None:
    """Print what was found, for machines or for people."""
    from workers.report.wording import percent, plain, rate_text

    if json_:
        as_json(found.model_dump(mode="json"))
        return
    show(f"set: {found.set.release or found.set.name} ({found.set.dataset}), gallery of {found.gallery:,} references")
    show(
        f"searches: {found.mated:,} mated and {found.non_mated:,} non-mated ({found.non_mated_are}), "
        f"{found.candidates:,} candidates, {found.shortest:,} to {found.longest:,} a list"
    )
    for point in found.points:
        at = "below every score" if point.threshold is None else plain(point.threshold)
        few = "" if point.resolved else "; not resolved (rule of 30)"
        show(
            f"FNIR at FPIR {100 * point.target_fpir:g}%: {rate_text(point.fnir)} at threshold {at}, "
            f"FPIR {percent(point.fpir.value)}{few}"
        )
    show(f"missed at rank one: {rate_text(found.rank_one)}")
    show("found by rank: " + ", ".join(f"{point.rank}: {percent(point.found)}" for point in found.ranks))
    for note in found.notes:
        show(f"note: {note}")
