"""`facsimile match`: a score for every comparison that a set lists, none for those that failed, and no damaged set."""

import csv
import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")

from app.client.errors import UsageProblem, VerificationFailed
from app.client.manifest import Manifest
from app.config import WorkerSettings
from app.dataset.manifest import manifest_lines
from app.dataset.shard import SampleRow
from workers.commands.match import match, match_command
from workers.images import Mark, encode, pixel_sha256
from workers.matchers.base import Template
from workers.matchers.comparison import COSINE
from workers.verdict.gallery_files import read_named, sides_of

MARK = Mark(dataset="ds_1", sample="s", model="m", model_digest="d", source_type="trainedAlgorithmicMedia")
BLIND = "S0000001_0001"
"""The sample in which no face is found: it is black."""


class Grey:
    """A matcher whose template is a picture's mean colour."""

    name, version, digest, dimensions, provenance = "grey", "1", "0" * 64, 3, "nothing"
    score = COSINE

    def detect(self, pixels: Any) -> Any:
        return pixels if pixels.any() else None

    def align(self, pixels: Any, face: Any) -> Any:
        return pixels

    def template(self, chip: Any) -> Template:
        mean = chip.reshape(-1, 3).mean(0).astype(np.float32)
        return mean / np.linalg.norm(mean)

    def compare(self, references: Any, probes: Any) -> Any:
        return self.score.cross(references, probes)

    def compare_pairs(self, references: Any, probes: Any) -> Any:
        return self.score.pairs(references, probes)


@pytest.fixture
def folder(tmp_path: Path, summary_of: Any) -> Path:
    """Three subjects of two samples, each subject of a colour of its own."""
    rows = []
    for subject in range(3):
        for sample in range(2):
            name = f"S{subject:07d}_{sample:04d}"
            pixels = np.full((8, 8, 3), 20, np.uint8)
            pixels[..., subject] = 200 + sample
            if name == BLIND:
                pixels[:] = 0
            path = tmp_path / f"samples/{name[:8]}/{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(pixels, MARK, quality=None))
            rows.append(
                SampleRow(
                    id=name,
                    subject=name[:8],
                    role="probe" if sample else "reference",
                    file=path.relative_to(tmp_path).as_posix(),
                    width=8,
                    height=8,
                    bytes=path.stat().st_size,
                    pixel_sha256=pixel_sha256(pixels),
                    file_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    identity_attempt=0,
                    attempt=0,
                    attributes={},
                )
            )
    pairs = [(a, b) for a in rows[::2] for b in rows[1::2]]
    lines = [f"{a.id},{b.id},{int(a.subject == b.subject)}" for a, b in pairs]
    (tmp_path / "comparisons.csv").write_text("reference,probe,mated\n" + "".join(f"{line}\n" for line in lines))
    (tmp_path / "manifest.json").write_bytes(
        b"".join(manifest_lines(summary_of(dataset="ds_1", comparisons=None), rows))
    )
    return tmp_path


def test_every_comparison_has_its_line_and_failures_no_score(folder: Path) -> None:
    out = folder / "scores.csv"
    told: list[tuple[int, int]] = []
    found = match(folder, Grey(), out, on_samples=lambda done, total: told.append((done, total)))
    assert told[-1] == (6, 6)
    assert (found.samples, found.comparisons, found.failed) == (6, 9, 3)
    assert found.failures == {"failure_to_enrol": 0, "failure_to_extract": 1}
    assert found.reasons == {"detect: no face found": 1}
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    scores = {
        mated: [float(row["score"]) for row in rows if (row["probe_subject_id"] == row["bio_ref_subject_id"]) == mated]
        for mated in (True, False)
    }
    assert {mated: sum(np.isnan(side)) for mated, side in scores.items()} == {True: 1, False: 2}
    assert np.nanmin(scores[True]) > 0.99 > np.nanmax(scores[False])
    assert len(rows) == 9
    assert not list(folder.glob(".*"))


def test_the_simple_form_lists_the_comparisons_in_order(folder: Path) -> None:
    out = folder / "scores.csv"
    match(folder, Grey(), out, form="simple")
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    listed = list(csv.DictReader(io.StringIO((folder / "comparisons.csv").read_text())))
    assert [(row["reference"], row["probe"]) for row in rows] == [(row["reference"], row["probe"]) for row in listed]
    assert [row["probe"] for row in rows if row["score"] == "nan"] == [BLIND] * 3


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"x")])
def test_a_damaged_set_makes_no_scores(folder: Path, damage: Any) -> None:
    damage(folder / "samples/S0000002/S0000002_0000.png")
    out = folder / "scores.csv"
    out.write_text("the scores of last time")
    with pytest.raises(VerificationFailed, match=r"S0000002_0000\.png.*pull the set anew"):
        match(folder, Grey(), out)
    assert out.read_text() == "the scores of last time"


def test_a_comparison_of_an_unknown_sample_is_told(folder: Path) -> None:
    with (folder / "comparisons.csv").open("a") as file:
        file.write("S0000000_0000,S0000009_0001,0\n")
    with pytest.raises(VerificationFailed, match="S0000009_0001"):
        match(folder, Grey(), folder / "scores.csv")
    assert not (folder / "scores.csv").exists()


def test_templates_are_written_to_be_searched(folder: Path) -> None:
    out = folder / "templates.npz"
    found = match(folder, Grey(), None, templates=out)
    assert (found.samples, found.comparisons) == (6, 0)
    sides = sides_of(read_named(out), [], [])
    assert (len(sides.probes), sides.probes_failed, len(sides.references)) == (2, 1, 3)
    assert list(sides.pools) == ["synthetic"]
    with np.load(out) as arrays:
        assert arrays["matcher"] == "grey 1"
        assert arrays["roles"].tolist() == ["reference", "probe"] * 3
    with pytest.raises(UsageProblem, match="say what to write"):
        match_command(folder)


def test_the_command_knows_the_matchers_of_the_operators_folder(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []

    def load(name: str, settings: WorkerSettings) -> Grey:
        asked.append(settings.matchers_dir)
        return Grey()

    monkeypatch.setattr("workers.matchers.registry.load_matcher", load)
    monkeypatch.setenv("FACSIMILE_WORKER__MATCHERS_DIR", str(tmp_path / "own"))
    match_command(folder, tmp_path / "scores.csv", "grey", "bob", True)
    assert asked == [str(tmp_path / "own")]
    assert (tmp_path / "scores.csv").exists()


def test_a_list_of_comparisons_that_was_cut_is_told_before_the_work(folder: Path, summary_of: Any) -> None:
    path = folder / "comparisons.csv"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    listed = {"selection": "balanced", "mated": 2, "non_mated": 7, "left_out": 0, "sha256": digest}
    rows = list(Manifest(folder / "manifest.json").samples())
    head = summary_of(dataset="ds_1", comparisons=listed)
    (folder / "manifest.json").write_bytes(b"".join(manifest_lines(head, rows)))
    match(folder, Grey(), folder / "scores.csv")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    told: list[int] = []
    with pytest.raises(VerificationFailed, match="another digest"):
        match(folder, Grey(), folder / "again.csv", on_samples=lambda done, total: told.append(done))
    assert not told
    assert not (folder / "again.csv").exists()
