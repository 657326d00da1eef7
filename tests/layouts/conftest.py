"""A small set of real faces in a store, made as workers make sets, and its layouts unpacked."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.model import ModelCard
from app.dataset.naming import Naming
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.dataset.shard import SampleRow, ShardReport
from app.jobs.datasets.archive import lay_out_archive, read_segments
from app.jobs.records import Accepted, write_json
from workers.generator import latents as lt
from workers.images import Pixels
from workers.matchers.detector import Face, load_detector
from workers.pipeline import run
from workers.pipeline.close import close, publish
from workers.pipeline.lay_out import StoredContents, lay_out
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar

AT = DatasetKeys("acme", "ds_test")
PICTURE = Path(__file__).resolve().parents[2] / "deploy" / "pictures" / "parametric.jpg"
CELL = 112

CARD = {
    "name": "sheet",
    "version": "1.0.0",
    "kind": "sheet",
    "description": "Cells of a contact sheet",
    "sizes": [[CELL, CELL]],
    "latent": {"identity": lt.IDENTITY, "observation": lt.FACTORS, "layout": lt.CURRENT.version},
    "attributes": lt.attributes(),
    "licence": "none",
    "provenance": "none",
}


NAMING = Naming(folders=True, subject="{word}_{word}", file="{subject}_{number:04}", first=1, suffix=".JPG")
"""How a gallery calls its folders and files."""

FACE = Face(
    box=(20, 20, 70, 70),
    points=np.array([[38, 52], [74, 51.25], [56, 72], [42, 92], [71, 92]], np.float32),
    score=0.9,
)
"""What a detector is said to have found in every sample."""


class Sheet:
    """A generator of 8 × 8 faces, cut out of a contact sheet; latents choose one. Some samples are grey, faceless.

    A faint row at the top tells every sample from every other.
    """

    def __init__(self) -> None:
        self.card = ModelCard.model_validate(CARD)
        self.device = "none"
        sheet = np.asarray(Image.open(PICTURE).convert("RGB").resize((8 * CELL, 8 * CELL)))
        self.cells = sheet.reshape(8, CELL, 8, CELL, 3).swapaxes(1, 2)  # [8, 8, H, W, 3]

    def generate(self, identity: Any, observation: Any, width: int, height: int) -> Any:
        chosen = []
        for who, how in zip(identity, observation, strict=True):
            number = int(abs(float(how[0])) * 1e4)
            cell = (
                np.full((CELL, CELL, 3), 127, np.uint8)
                if number % 9 == 0
                else self.cells[int(abs(float(who[0])) * 1e4) % 8, number % 8].copy()
            )
            bits = np.unpackbits(np.array([*how[:3], who[0]], np.float32).view(np.uint8))[:CELL]
            cell[0] = (120 + 12 * bits)[:, None]
            chosen.append(cell)
        return np.stack(chosen).astype(np.float32) / 127.5 - 1


class Made:
    """A finished set in a store, and what the tests ask of it."""

    def __init__(self, store: Any, plan: Plan) -> None:
        self.store, self.plan = store, plan
        self.contents = StoredContents(store, AT, plan)
        self.rows: list[SampleRow] = list(self.contents.rows())
        self.files: dict[str, bytes] = {row.id: data for row, data in self.contents.files()}
        self.comparisons = list(self.contents.comparisons())

    def archive(self, layout: Layout) -> bytes:
        """Its archive, made when it is first asked for."""
        if layout is Layout.PLAIN:
            archive = lay_out_archive(self.store, AT, self.plan.folder)
            return b"".join(read_segments(self.store, archive.segments, 0, archive.size))
        if not self.store.exists(AT.layout(layout)):
            lay_out(self.store, AT, self.plan, layout, detector=load_detector())
        return bytes(self.store.get(AT.layout(layout)))

    def unpacked(self, layout: Layout, folder: Path) -> Path:
        """Unpack a tar into a folder; returns its top folder, which holds all of it."""
        with tarfile.open(fileobj=io.BytesIO(self.archive(layout))) as tar:
            tar.extractall(folder, filter="data")
        (top,) = folder.iterdir()
        assert top.name == self.plan.dataset
        return top

    def faceless(self) -> set[str]:
        """Samples without a face, by what their generator painted."""
        found = set()
        for sample, data in self.files.items():
            if int(np.ptp(np.asarray(Image.open(io.BytesIO(data)).convert("L")))) < 20:
                found.add(sample)
        return found


def make_set(
    store: Any, *, reject: Callable[[Pixels], str | None] = lambda pixels: None, shard_size: int = 16, **fields: Any
) -> Made:
    """Make a set with all that a dataset has; `reject` makes samples missing."""
    sheet = Sheet()
    body: dict[str, Any] = {"name": "faces", "subjects": 12, "samples_per_subject": 3, "distractors": 2}
    body = {**body, "comparisons": {"selection": "balanced"}, **fields}
    body["checks"] = {"unique": False, "face_found": False}
    plan = make_plan(
        DatasetRequest.model_validate(body),
        sheet.card,
        dataset="ds_test",
        seed=11,
        shard_size=shard_size,
        max_comparisons=10**9,
    ).model_copy(update={"max_attempts": 1, "naming": NAMING})
    accepted = Accepted(id="ds_test", tenant="acme", name="faces", created_at="2026-01-01", request=body)
    write_json(store, AT.request, accepted)
    write_json(store, AT.plan, plan)
    before = run.check
    run.check = lambda plan, pixels, detector: (FACE, reject(pixels))
    try:
        for number in range(plan.shards):
            with ShardTar(plan.folder) as tar:
                made: ShardReport = run_shard(
                    plan,
                    number,
                    generator=sheet,
                    choice=None,
                    detector=load_detector(),
                    tar=tar,
                    batch_size=8,
                    encoder_threads=1,
                )
                tar.put(store, AT.shard_samples(number))
            write_json(store, AT.shard_report(number), made)
    finally:
        run.check = before
    close(store, AT, accepted, plan.final(), sheet.card, matchers={})
    publish(store, AT, lambda: True)
    return Made(store, plan)


@pytest.fixture(scope="module")
def made(doubles: Any) -> Made:
    """14 subjects, 38 samples in three shards, some without a face."""
    return make_set(doubles[0])


@pytest.fixture
def make(memory_store: Any) -> Callable[..., Made]:
    """Makes a set of a test's own in a fresh store."""
    return lambda **fields: make_set(memory_store, **fields)


@pytest.fixture
def no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hugging Face datasets with its caches here and its hub far away; returns the cache."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(cache))
    return cache
