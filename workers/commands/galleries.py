"""`facsimile evaluate --templates FILE --sizes N`: 1:N searches made here, over gallery sizes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.cli.bars import Bars
from app.client.errors import UsageProblem
from app.dataset.candidates import SearchRule
from app.dataset.galleries import GalleriesFound
from workers.biometrics.templates import Metric


@dataclass(frozen=True, kw_only=True)
class Files:
    """Templates of one matcher."""

    templates: Path
    distractors: tuple[Path, ...]
    """Synthetic."""
    real_distractors: tuple[Path, ...]


def evaluate_templates(
    new: Files,
    old: Files | None,
    dataset: Path | None,
    rule: SearchRule,
    *,
    sizes: list[int],
    extrapolate: list[int],
    metric: Metric,
    draws: int,
    seed: int,
) -> GalleriesFound:
    """Read the templates, search, measure and decide."""
    from workers.verdict.gallery import Asked, evaluate_galleries
    from workers.verdict.gallery_files import Sides, read_named, sides_of

    roles = None if dataset is None else _roles_of(dataset)

    def sides(files: Files) -> Sides:
        for path in (files.templates, *files.distractors, *files.real_distractors):
            if not path.is_file():
                raise UsageProblem(f"{path} is no file")
        return sides_of(
            read_named(files.templates, metric),
            [read_named(path, metric) for path in files.distractors],
            [read_named(path, metric) for path in files.real_distractors],
            roles=roles,
        )

    if wrong := [size for size in (*sizes, *extrapolate) if size < 2]:
        raise UsageProblem(f"a gallery of {wrong[0]} is none: --sizes and --extrapolate take numbers from 2 on")
    if not 1 <= draws <= 1_000:
        raise UsageProblem(f"--draws: {draws} is not between 1 and 1,000")
    with Bars() as bars:
        asked = Asked(
            sizes=tuple(sorted(set(sizes))),
            extrapolate=tuple(sorted(set(extrapolate))),
            metric=metric,
            draws=draws,
            seed=seed,
            rule=rule,
            on_progress=partial(bars.amount, "searching"),
        )
        return evaluate_galleries(new.templates.name, sides(new), None if old is None else sides(old), asked)


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
