"""Layouts through the whole service: asked for with the set, and when it is long finished."""

import io
import tarfile
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.integration


def archive(service: Any, dataset: str, layout: str, within_s: float = 400) -> tuple[bytes, httpx.Headers, list[int]]:
    """Ask until it is there; returns it, its headers and every status on the way."""
    statuses: list[int] = []
    deadline = time.monotonic() + within_s
    while True:
        answer = service.http.get(f"/v1/datasets/{dataset}/archive", params={"layout": layout})
        statuses.append(answer.status_code)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            return answer.content, answer.headers, statuses
        assert time.monotonic() < deadline, "not in time"
        time.sleep(min(float(answer.headers["retry-after"]), 0.5))


def unpack(data: bytes, folder: Path) -> Path:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(folder, filter="data")
    (top,) = folder.iterdir()
    return top


def test_a_layout_in_the_request_and_one_on_demand(
    service: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    datasets = pytest.importorskip("datasets")
    dataset = service.submit(
        subjects=10,
        samples_per_subject=2,
        seed=5,
        model="parametric",
        layouts=["lfw", "aligned"],
        checks={"unique": False, "face_found": False},
    )
    manifest = service.finish(dataset)
    assert service.http.get(f"/v1/datasets/{dataset}").json()["state"] == "succeeded"

    lfw, headers, statuses = archive(service, dataset, "lfw")
    assert statuses == [200], "it is ready when the set is"
    part = service.http.get(
        f"/v1/datasets/{dataset}/archive",
        params={"layout": "lfw"},
        headers={"Range": "bytes=1000-1999", "If-Range": headers["etag"]},
    )
    assert (part.status_code, part.content) == (206, lfw[1000:2000])
    unpack(lfw, tmp_path / "unpacked").rename(tmp_path / "lfw_home")
    pairs = sklearn.fetch_lfw_pairs(
        subset="10_folds",
        data_home=tmp_path,
        funneled=False,
        download_if_missing=False,
        slice_=(slice(0, 128), slice(0, 128)),
        resize=1.0,
        color=True,
    )
    assert pairs.target.tolist() == [1, 0] * 10
    assert archive(service, dataset, "aligned")[2] == [200]

    parquet, headers, statuses = archive(service, dataset, "parquet")
    assert statuses[0] == 202
    assert set(statuses[:-1]) == {202}
    assert headers["content-disposition"] == f'attachment; filename="{dataset}-parquet.tar"'
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = datasets.load_dataset(
        str(unpack(parquet, tmp_path / "hf")), "samples", split="test", cache_dir=str(tmp_path / "cache")
    )
    assert [item["id"] for item in found] == [row["id"] for row in manifest["samples"]]
    assert found[0]["image"].size == (128, 128)
    assert archive(service, dataset, "parquet")[2] == [200], "made once and kept"


def test_what_a_set_cannot_be_had_in_is_refused_at_once(service: Any) -> None:
    body = {"name": "t", "subjects": 4, "samples_per_subject": 1, "layouts": ["lfw"]}
    answer = service.http.post("/v1/datasets", json=body)
    assert answer.status_code == 422
    assert "layouts: 'lfw' compares samples of one subject" in answer.json()["detail"]
