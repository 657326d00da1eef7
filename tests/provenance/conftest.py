"""A whole small dataset: every phase run on a store in memory, its archive unpacked into a folder."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.config import C2paSettings, Settings
from app.dataset.keys import DatasetKeys
from app.dataset.model import ModelCard
from app.dataset.plan import Plan
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.jobs.datasets.archive import lay_out_archive, read_segments
from app.jobs.records import Accepted, write_json
from workers.matchers.detector import load_detector
from workers.pipeline.close import close, publish
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar
from workers.provenance.certificate import Credentials, load_credentials
from workers.provenance.marker import make_marker, marking_card

AT = DatasetKeys("acme", "ds_test")
CARD = {
    "name": "sketch",
    "version": "1.0.0",
    "kind": "sketch",
    "description": "For tests.",
    "sizes": [[64, 48]],
    "latent": {"identity": 3, "observation": {"pose": [0, 2], "background": [2, 4]}},
    "attributes": {
        "sex": {"kind": "choice", "latent": 0, "values": {"female": [None, 0.0], "male": [0.0, None]}},
        "age": {"kind": "range", "latent": 1, "min": 20.0, "max": 70.0},
        "glasses": {"kind": "share", "latent": 2, "threshold": 0.5},
    },
    "licence": "none",
    "provenance": "Waves, by formula.",
}
KEY = "a secret of the tests, long enough"


class Sketch:
    """Fills an image with waves that its latents are the heights of."""

    def __init__(self) -> None:
        self.card = ModelCard.model_validate(CARD)
        self.device = "none"

    def generate(self, identity: Any, observation: Any, width: int, height: int) -> Any:
        values = np.concatenate([identity, observation], 1)  # [N, 7]
        ramp = np.linspace(0.3, 60, width * height * 3).reshape(height, width, 3)
        waves = np.stack([np.sin(ramp * (k + 1)) for k in range(values.shape[1])], -1)  # [H, W, 3, 7]
        return np.tanh(np.einsum("hwck,nk->nhwc", waves, values) / 3).astype(np.float32)


@pytest.fixture
def sketch() -> Sketch:
    return Sketch()


@pytest.fixture(scope="session")
def c2pa_settings(tmp_path_factory: pytest.TempPathFactory) -> C2paSettings:
    return C2paSettings(self_made=str(tmp_path_factory.mktemp("c2pa")))


@pytest.fixture(scope="session")
def credentials(c2pa_settings: C2paSettings) -> Credentials:
    return load_credentials(c2pa_settings)


@pytest.fixture(scope="session")
def authority(c2pa_settings: C2paSettings, credentials: Credentials) -> str:
    """Certificate of the authority that signed the test's certificate, PEM."""
    return Path(c2pa_settings.self_made or "", "self-made", "ca.pem").read_text()


@pytest.fixture(scope="session")
def settings(c2pa_settings: C2paSettings) -> Settings:
    return Settings.model_validate(
        {"environment": "development", "worker": {"watermark_key": KEY, "c2pa": c2pa_settings.model_dump()}}
    )


@pytest.fixture
def make_set(sketch: Sketch, memory_store: Any, settings: Settings, tmp_path: Path) -> Callable[..., tuple[Path, Plan]]:
    """Makes a dataset in the store and returns its folder, as unpacked from the archive, and its plan."""

    def make(
        *, c2pa: Any = False, watermark: bool = False, generator: Any = sketch, **fields: Any
    ) -> tuple[Path, Plan]:
        fields = {"subjects": 3, "samples_per_subject": 2, "distractors": 1, **fields}
        fields = {"name": "gate-7 | *smoke*", "checks": {"unique": False, "face_found": False}, **fields}
        fields |= {"marking": {"c2pa": c2pa, "watermark": watermark}}
        plan = make_plan(
            DatasetRequest.model_validate(fields),
            generator.card,
            dataset="ds_test",
            seed=7,
            shard_size=4,
            max_comparisons=10**9,
            marking=marking_card(settings),
        )
        write_json(memory_store, AT.plan, plan)
        marker = make_marker(plan.marking, settings)
        for number in range(plan.shards):
            with ShardTar(plan.folder) as tar:
                made = run_shard(
                    plan,
                    number,
                    generator=generator,
                    choice=None,
                    detector=load_detector(),
                    tar=tar,
                    batch_size=4,
                    encoder_threads=2,
                    marker=marker,
                )
                made = tar.put_once(memory_store, AT.shard_samples(number), made)
            write_json(memory_store, AT.shard_report(number), made)
        accepted = Accepted(
            id="ds_test",
            tenant="acme",
            name="gate-7 | *smoke*",
            created_at="2026-11-24T10:00:00.000+00:00",
            request=fields,
        )
        close(memory_store, AT, accepted, plan.final(), generator.card, matchers={})
        publish(memory_store, AT, lambda: True)
        archive = lay_out_archive(memory_store, AT, plan.folder)
        raw = b"".join(read_segments(memory_store, archive.segments, 0, archive.size))
        folder = tmp_path / "set"
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar_file:
            tar_file.extractall(folder, filter="data")
        return folder / plan.folder, plan

    return make
