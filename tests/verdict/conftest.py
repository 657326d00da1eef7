"""A dataset's folder without images, and matchers' scores of it."""

import csv
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.dataset.comparisons import Comparison, ComparisonsFile, Selection, list_comparisons
from app.dataset.manifest import Summary, manifest_lines
from app.dataset.names import sample_name
from app.dataset.shard import SampleRow
from workers.verdict.listed import Listed, list_blocks, read_comparisons

__all__ = ["list_blocks"]


def sample_row(subject: int, sample: int) -> SampleRow:
    """A sample's line; every second subject is female, every fifth wears glasses."""
    name = sample_name(subject, sample)
    return SampleRow(
        id=name,
        subject=name[:8],
        role="probe" if sample else "reference",
        file=f"samples/{name[:8]}/{name}.png",
        width=128,
        height=128,
        bytes=1,
        pixel_sha256="0" * 64,
        file_sha256="0" * 64,
        identity_attempt=0,
        attempt=0,
        attributes={"sex": "female" if subject % 2 else "male", "age": 20.0 + subject, "glasses": subject % 5 == 0},
    )


@dataclass(frozen=True)
class MadeSet:
    """A folder with comparisons.csv and manifest.json, and scores as a matcher would give them."""

    folder: Path
    pairs: list[Comparison]

    @cached_property
    def listed(self) -> Listed:
        return read_comparisons(
            ComparisonsFile(open=lambda: [(self.folder / "comparisons.csv").read_bytes()], sha256=None)
        )

    @cached_property
    def mated(self) -> NDArray[np.bool_]:
        return np.array([pair.mated for pair in self.pairs])

    def scores(
        self, seed: int, *, shift: float = 3.0, alike: NDArray[np.float64] | None = None, correlation: float = 0.0
    ) -> NDArray[np.float64]:
        """Normal scores in the order of the list, mated ones higher; as alike to `alike` (unshifted) as told."""
        own = np.random.default_rng(seed).normal(size=len(self.pairs))
        if alike is not None:
            own = correlation * alike + np.sqrt(1 - correlation**2) * own
        return np.asarray(own + shift * self.mated)

    def rows(self, scores: Iterable[float | None]) -> list[tuple[str, str, str]]:
        return [
            (sample_name(*pair.reference), sample_name(*pair.probe), "" if score is None else repr(float(score)))
            for pair, score in zip(self.pairs, scores, strict=True)
        ]

    def write(self, path: Path, scores: Iterable[float | None], order: Iterable[int] | None = None) -> Path:
        """Write a score file; `order` is that of its rows."""
        rows = self.rows(scores)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("reference", "probe", "score"))
            writer.writerows(rows if order is None else [rows[place] for place in order])
        return path


@pytest.fixture(scope="session")
def make_set(tmp_path_factory: pytest.TempPathFactory, summary_of: Callable[..., Summary]) -> Callable[..., MadeSet]:
    """Makes sets; the same arguments give the same set."""
    made: dict[tuple[object, ...], MadeSet] = {}

    def make(subjects: int = 20, samples: int = 4, selection: Selection = "crossed", distractors: int = 0) -> MadeSet:
        key = (subjects, samples, selection, distractors)
        if key not in made:
            folder = tmp_path_factory.mktemp("set")
            pairs = list(list_comparisons(selection, subjects, samples, distractors, seed=1))
            lines = [f"{sample_name(*p.reference)},{sample_name(*p.probe)},{int(p.mated)}\n" for p in pairs]
            text = "reference,probe,mated\n" + "".join(lines)
            (folder / "comparisons.csv").write_text(text)
            mated = sum(pair.mated for pair in pairs)
            summary = summary_of(
                dataset="ds_00000000000000000001",
                name="made for tests",
                comparisons={
                    "selection": selection,
                    "mated": mated,
                    "non_mated": len(pairs) - mated,
                    "left_out": 0,
                    "sha256": hashlib.sha256(text.encode()).hexdigest(),
                },
            )
            rows = (sample_row(subject, sample) for subject in range(subjects) for sample in range(samples))
            (folder / "manifest.json").write_bytes(b"".join(manifest_lines(summary, rows)))
            made[key] = MadeSet(folder, pairs)
        return made[key]

    return make


@pytest.fixture
def row_of() -> Callable[[int, int], SampleRow]:
    """A sample's line of the manifest."""
    return sample_row
