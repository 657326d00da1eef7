"""Marks made by the workers of a real stack: prefork, threads, a self-made certificate, a key of its own."""

import io
import tarfile
from pathlib import Path
from typing import Any

import mlcroissant
import pytest

from app.client.manifest import Manifest
from app.client.marks import look_for_marks
from app.client.verify import verify
from workers.images import pixel_sha256_of_file

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("form", [True, "detached"])
def test_a_set_with_both_marks_is_valid_to_the_last_sample(
    service: Any, tmp_path: Path, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = service.submit(
        model="parametric",
        subjects=7,
        samples_per_subject=3,
        seed=5,
        checks={"unique": False, "face_found": False},
        report={"judged_subjects": 0},
        marking={"c2pa": form, "watermark": True},
    )
    service.finish(dataset)
    raw = service.http.get(f"/v1/datasets/{dataset}/archive").content
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        tar.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    manifest = Manifest(folder / "manifest.json")
    assert verify(folder, manifest, pixel_sha256_of_file).wrong == []
    monkeypatch.setenv("FACSIMILE_WORKER__WATERMARK_KEY", service.stack.settings().watermark_key)
    authority = Path(service.stack.settings().worker.c2pa.self_made, "self-made", "ca.pem")
    found = look_for_marks(folder, manifest, c2pa=True, watermark=True, trusted=authority)
    found.demand()
    assert found.c2pa == {"trusted": 21}
    beside = service.http.get(f"/v1/datasets/{dataset}/samples/S0000003_0001/c2pa")
    assert beside.status_code == (404 if form is True else 200)
    if form == "detached":
        assert beside.content == (folder / "samples/S0000003/S0000003_0001.c2pa").read_bytes()
    records = mlcroissant.Dataset(folder / "croissant.json").records("samples")
    assert len(list(records)) == 21
