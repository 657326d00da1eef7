"""`facsimile evaluate --candidates`: 1:N searches by the candidate lists that they returned."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.bars import Bars
from app.cli.request import in_callers_words
from app.client.errors import UsageProblem
from app.client.service import Client
from app.dataset.candidates import SearchesFound, SearchRule

if TYPE_CHECKING:
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
    from app.client.manifest import Manifest
    from app.client.paths import set_folder
    from workers.verdict.candidates import read_candidates
    from workers.verdict.enrolled import enrolled_of
    from workers.verdict.searching import evaluate_searches
    from workers.verdict.sources import identify

    if lists.dataset is None or not lists.dataset.is_dir():
        raise UsageProblem("say what was searched: --dataset FOLDER of the pulled dataset or release")
    for path in (lists.candidates, lists.baseline, lists.gallery):
        if path is not None and not path.is_file():
            raise UsageProblem(f"{path} is no file")
    manifest = Manifest(set_folder(lists.dataset) / "manifest.json")
    labels = None if lists.gallery is None else lists.gallery.read_text(encoding="utf-8").split()
    enrolled = enrolled_of(manifest.summary, manifest.samples(), labels)

    def read(path: Path, what: str) -> "Searched":
        with path.open("rb") as file:
            return read_candidates(
                file, enrolled.probes, enrolled.gallery, what=f"{what} ({path})", numbered=enrolled.numbered
            )

    new = read(lists.candidates, "the lists")
    old = None if lists.baseline is None else read(lists.baseline, "the baseline's lists")
    return evaluate_searches(identify(lists.dataset, manifest), new, old, rule)


def demand_one_baseline(handed: object | None, earlier: str | None) -> None:
    """Raise UsageProblem where a baseline is given twice: as what is handed in, and as an evaluation made before."""
    if handed is not None and earlier is not None:
        raise UsageProblem("the baseline: give a file or an evaluation, not both")


def evaluate_lists_there(
    lists: Lists, rule: SearchRule, client: Client, of: dict[str, str], *, name: str, earlier: str | None
) -> SearchesFound:
    """Send the lists to the service, which reads them against the set `of`, and keeps what comes out."""
    from workers.verdict.remote import evaluate_lists_remotely, upload

    demand_one_baseline(lists.baseline, earlier)
    request: dict[str, Any] = {"name": name, **of, "searches": rule.model_dump(mode="json", exclude_defaults=True)}
    for field, path in (("candidates", lists.candidates), ("gallery", lists.gallery), ("baseline", lists.baseline)):
        if path is None:
            continue
        if not path.is_file():
            raise UsageProblem(f"{path} is no file")
        with Bars() as bars:
            request[field] = upload(client, path, partial(_sent, bars, path))
    if earlier is not None:
        request["baseline"] = {"evaluation": earlier}
    with in_callers_words(options=OPTIONS):
        return evaluate_lists_remotely(client, request)


def _sent(bars: Bars, path: Path, count: int) -> None:
    bars.amount(f"sending {path.name}", count, path.stat().st_size, unit="B")


OPTIONS = {
    "name": "--name",
    "release": "--release",
    "dataset": "--dataset",
    "candidates": "--candidates",
    "gallery": "--gallery",
    "baseline": "--baseline-candidates",
    "baseline.evaluation": "--baseline-evaluation",
    **{f"searches.{name}": f"--{name.replace('_', '-')}" for name in SearchRule.model_fields},
}
"""Field of what is sent to the option that sets it."""
