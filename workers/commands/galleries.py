"""`facsimile evaluate --templates FILE --sizes N`: 1:N searches made here, over gallery sizes."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from app.cli.bars import Bars
from app.cli.request import in_callers_words
from app.client.errors import UsageProblem
from app.client.service import Client
from app.dataset.candidates import SearchRule
from app.dataset.galleries import GalleriesAsked, GalleriesFound
from workers.commands.candidates import demand_one_baseline


@dataclass(frozen=True, kw_only=True)
class Files:
    """Templates of one matcher."""

    templates: Path
    distractors: tuple[Path, ...]
    """Synthetic."""
    real_distractors: tuple[Path, ...]

    @property
    def all(self) -> list[Path]:
        """All of them."""
        return [self.templates, *self.distractors, *self.real_distractors]


def evaluate_templates(
    new: Files, old: Files | None, dataset: Path | None, rule: SearchRule, how: GalleriesAsked
) -> GalleriesFound:
    """Read the templates, search, measure and decide."""
    from workers.verdict.gallery import Asked, evaluate_galleries
    from workers.verdict.gallery_files import Sides, read_named, sides_of

    roles = None if dataset is None else _roles_of(dataset)

    def sides(files: Files) -> Sides:
        _demand(files)
        return sides_of(
            read_named(files.templates, how.metric),
            [read_named(path, how.metric) for path in files.distractors],
            [read_named(path, how.metric) for path in files.real_distractors],
            roles=roles,
        )

    if wrong := [size for size in (*how.sizes, *how.extrapolate) if size < 2]:
        raise UsageProblem(f"a gallery of {wrong[0]} is none: --sizes and --extrapolate take numbers from 2 on")
    if not 1 <= how.draws <= 1_000:
        raise UsageProblem(f"--draws: {how.draws} is not between 1 and 1,000")
    with Bars() as bars:
        asked = replace(Asked.of(how, rule), on_progress=partial(bars.amount, "searching"))
        return evaluate_galleries(new.templates.name, sides(new), None if old is None else sides(old), asked)


def evaluate_templates_there(
    new: Files,
    old: Files | None,
    rule: SearchRule,
    how: GalleriesAsked,
    client: Client,
    of: dict[str, str],
    *,
    name: str,
    earlier: str | None,
) -> GalleriesFound:
    """Send the templates to the service, which searches them, and keeps what comes out."""
    from workers.verdict.remote import evaluate_templates_remotely, upload

    demand_one_baseline(old, earlier)

    def sent(files: Files) -> dict[str, Any]:
        _demand(files)
        ids = {}
        for path in files.all:
            with Bars() as bars:
                size = path.stat().st_size
                told = partial(bars.amount, f"sending {path.name}", total=size, unit="B")
                ids[path] = upload(client, path, told)["upload"]
        found: dict[str, Any] = {"upload": ids[files.templates]}
        for field in ("distractors", "real_distractors"):
            if paths := getattr(files, field):
                found[field] = [ids[path] for path in paths]
        return found

    request: dict[str, Any] = {"name": name, **of, "searches": rule.model_dump(mode="json", exclude_defaults=True)}
    request["templates"] = {**sent(new), **how.model_dump()}
    if old is not None:
        request["baseline"] = sent(old)
    elif earlier is not None:
        request["baseline"] = {"evaluation": earlier}
    with in_callers_words(options=OPTIONS):
        return evaluate_templates_remotely(client, request)


def _demand(files: Files) -> None:
    for path in files.all:
        if not path.is_file():
            raise UsageProblem(f"{path} is no file")


def numbers_of(texts: list[str] | None, option: str) -> list[int]:
    """Sizes out of `100,1000` or several options; raises UsageProblem."""
    numbers = []
    for text in ",".join(texts or []).split(","):
        if text and not (text.isascii() and text.isdigit() and len(text) < 12):
            raise UsageProblem(f"{option}: {text[:50]!r} is no number of references; write 100,1000,10000")
        if text:
            numbers.append(int(text))
    return numbers


def _roles_of(dataset: Path) -> dict[str, str]:
    from app.client.manifest import Manifest
    from app.client.paths import set_folder

    if not dataset.is_dir():
        raise UsageProblem(f"{dataset} is no folder")
    return {row.id: row.role for row in Manifest(set_folder(dataset) / "manifest.json").samples()}


OPTIONS = {
    "name": "--name",
    "release": "--release",
    "dataset": "--dataset",
    "templates": "--templates",
    "baseline": "--baseline-templates",
    "baseline.evaluation": "--baseline-evaluation",
    "templates.real_distractors": "--real-distractors",
    "baseline.distractors": "--baseline-distractors",
    "baseline.real_distractors": "--baseline-real-distractors",
    **{f"templates.{name}": f"--{name}" for name in (*GalleriesAsked.model_fields, "distractors")},
    **{f"searches.{name}": f"--{name.replace('_', '-')}" for name in SearchRule.model_fields},
}
"""Field of what is sent to the option that sets it."""
