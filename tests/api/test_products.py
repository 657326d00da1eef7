"""Downloads: whole, in ranges, on condition."""

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.api.downloads import Span, etag_listed, parse_range, prefers_html
from app.dataset.keys import DatasetKeys
from app.errors import StoreUnavailable
from app.jobs.records import write_json

PRODUCTS = {
    "manifest": ("application/json", "attachment", "{id}-manifest.json"),
    "comparisons": ("text/csv; charset=utf-8", "attachment", "{id}-comparisons.csv"),
    "contact-sheet": ("image/png", "inline", "{id}-contact-sheet.png"),
    "report": ("application/json", "attachment", "{id}-report.json"),
    "report?format=json": ("application/json", "attachment", "{id}-report.json"),
    "report?format=html": ("text/html; charset=utf-8", "inline", "{id}-report.html"),
    "croissant": ("application/ld+json", "attachment", "{id}-croissant.json"),
    "data-card": ("text/markdown; charset=utf-8", "attachment", "{id}-data-card.md"),
    "provenance": ("application/ld+json", "attachment", "{id}-provenance.jsonld"),
    "samples/S0000001_0001": ("image/png", "inline", "S0000001_0001.png"),
    "archive": ("application/x-tar", "attachment", "{id}.tar"),
    "archive?layout=plain": ("application/x-tar", "attachment", "{id}.tar"),
}


@pytest.mark.parametrize("product", PRODUCTS)
def test_whole(client: TestClient, finished: str, product: str) -> None:
    media_type, disposition, filename = PRODUCTS[product]
    path = f"/v1/datasets/{finished}/{product}"
    answer = client.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == media_type
    assert answer.headers["content-disposition"] == (f'{disposition}; filename="{filename.format(id=finished)}"')
    assert answer.headers["accept-ranges"] == "bytes"
    assert int(answer.headers["content-length"]) == len(answer.content) > 0
    head = client.head(path)
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "content-length", "content-type", "content-disposition", "accept-ranges"):
        assert head.headers[name] == answer.headers[name]
    same = client.get(path, headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
    assert same.status_code == 304
    assert same.content == b""
    assert same.headers["etag"] == answer.headers["etag"]
    assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.head(path, headers={"If-None-Match": "*"}).status_code == 304


def test_the_archive_is_a_tar_of_what_the_manifest_lists(client: TestClient, finished: str) -> None:
    content = client.get(f"/v1/datasets/{finished}/archive").content
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert {name.partition("/")[0] for name in archive.getnames()} == {finished}
        names = [name.partition("/")[2] for name in archive.getnames()]
        manifest = json.load(archive.extractfile(f"{finished}/manifest.json") or io.BytesIO())
        assert names == [
            "manifest.json",
            "comparisons.csv",
            "contact-sheet.png",
            "report.json",
            "report.html",
            "data-card.md",
            "provenance.jsonld",
            "croissant.json",
            *(sample["file"] for sample in manifest["samples"]),
        ]
        for sample in manifest["samples"]:
            one = client.get(f"/v1/datasets/{finished}/samples/{sample['id']}")
            member = archive.extractfile(f"{finished}/{sample['file']}")
            assert member is not None
            assert one.content == member.read()
            assert one.headers["etag"] == f'"{sample["file_sha256"]}"'


@pytest.mark.parametrize("product", PRODUCTS)
def test_ranges_are_parts_of_the_whole(client: TestClient, finished: str, product: str) -> None:
    path = f"/v1/datasets/{finished}/{product}"
    whole = client.get(path)
    size = len(whole.content)
    for header, start, stop in (
        ("bytes=0-0", 0, 1),
        ("bytes=5-", 5, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=-{size + 5}", 0, size),
        (f"bytes=3-{size + 99}", 3, size),
        (f"bytes=1-{size - 2}", 1, size - 1),
        ("bytes=10-17", 10, 18),
    ):
        answer = client.get(path, headers={"Range": header})
        assert answer.status_code == 206, header
        assert answer.content == whole.content[start:stop]
        assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{size}"
        assert int(answer.headers["content-length"]) == stop - start
        assert answer.headers["etag"] == whole.headers["etag"]
        assert client.head(path, headers={"Range": header}).status_code == 200


def test_a_broken_download_goes_on(client: TestClient, finished: str) -> None:
    path = f"/v1/datasets/{finished}/archive"
    whole = client.get(path).content
    got = b""
    while len(got) < len(whole):
        part = client.get(path, headers={"Range": f"bytes={len(got)}-{len(got) + 1499}"})
        assert part.status_code == 206
        got += part.content
    assert got == whole
    beyond = client.get(path, headers={"Range": f"bytes={len(got)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(got)}"
    assert beyond.json()["error"] == "RangeNotSatisfiable"


def test_if_range(client: TestClient, finished: str) -> None:
    path = f"/v1/datasets/{finished}/archive"
    etag = client.get(path).headers["etag"]
    for condition, status in (
        (etag, 206),
        ('"other"', 200),
        (f"W/{etag}", 200),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 200),
    ):
        headers = {"Range": "bytes=0-9", "If-Range": condition}
        assert client.get(path, headers=headers).status_code == status, condition
    # A condition that holds makes even an impossible range an answer about it; one that fails sends the whole.
    assert client.get(path, headers={"Range": "bytes=99999999-", "If-Range": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", "none"),
        ("bytes=-", "none"),
        ("bytes=5-4", "none"),
        ("bytes=a-b", "none"),
        ("bytes=0-1,3-4", "none"),
        ("items=0-1", "none"),
        ("bytes=1", "none"),
        ("bytes=\u0661-\u0662", "none"),
        ("bytes=" + "9" * 5000 + "-", "none"),
        ("bytes=9999999999999999999-", "unsatisfiable"),
        ("bytes=-0", "unsatisfiable"),
        ("bytes=10-", "unsatisfiable"),
        ("bytes=10-20", "unsatisfiable"),
        ("bytes=9-", Span(9, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=0-9999999999999999999", Span(0, 10)),
        ("bytes= 2-3", Span(2, 4)),
    ],
)
def test_range_headers(header: str, expected: object) -> None:
    assert parse_range(header, 10) == expected


def test_nothing_can_be_asked_of_nothing() -> None:
    for header in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        assert parse_range(header, 0) in ("unsatisfiable", Span(0, 0))


def test_lists_of_etags() -> None:
    assert etag_listed('"a", "b"', '"b"')
    assert etag_listed('W/"b"', '"b"')
    assert etag_listed(" * ", '"b"')
    assert not etag_listed('"ab"', '"b"')
    assert not etag_listed("", '"b"')
    assert not etag_listed("b", '"b"')


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        ("TEXT/HTML;level=1", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/*", True),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0, */*", False),
        ("text/html, application/json", False),
        ("application/json;q=0.4, text/html;q=0.9", True),
        ("text/html;q=abc", False),
        (",;=q,,text/html;q=9", False),
    ],
)
def test_which_form_of_the_report_an_accept_header_prefers(accept: str, html: bool) -> None:
    assert prefers_html(accept) is html


def test_a_browser_gets_the_report_as_a_page_that_may_do_nothing(client: TestClient, finished: str) -> None:
    path = f"/v1/datasets/{finished}/report"
    page = client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["vary"] == "Accept"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "sandbox" in page.headers["content-security-policy"]
    data = client.get(path)
    assert data.json() == {"schema_version": 1}
    assert data.headers["vary"] == "Accept"
    assert data.headers["etag"] != page.headers["etag"]
    assert client.get(f"{path}?format=json", headers={"Accept": "text/html"}).json() == {"schema_version": 1}
    assert client.get(f"{path}?format=pdf").status_code == 422
    assert client.get(f"{path}?from=json").status_code == 422


def test_what_is_not_made_yet_conflicts(client: TestClient, submit: Callable[..., str]) -> None:
    dataset = submit()
    documents = ("croissant", "data-card", "provenance")
    for product in ("manifest", "comparisons", "contact-sheet", "report", *documents, "archive"):
        answer = client.get(f"/v1/datasets/{dataset}/{product}")
        assert answer.status_code == 409
        assert "is accepted" in answer.json()["detail"]
    assert client.get(f"/v1/datasets/{dataset}/samples/S0000000_0000").status_code == 404


@pytest.mark.parametrize("name", ["S0000003_0001", "S0000004_0000", "S9999999_9999", "S0000000_0002"])
def test_samples_beyond_the_set(client: TestClient, finished: str, name: str) -> None:
    assert client.get(f"/v1/datasets/{finished}/samples/{name}").status_code == 404
    assert client.get(f"/v1/datasets/{finished}/samples/S0000003_0000").status_code == 200


def test_a_layout_is_made_when_it_is_first_asked_for(
    client: TestClient, finished: str, memory_store: Any, memory_queue: Any
) -> None:
    path = f"/v1/datasets/{finished}/archive?layout=parquet"
    memory_queue.wipe()
    for method in (client.get, client.head, client.get):
        answer = method(path)
        assert answer.status_code == 202
        assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["state"] == "being_made"
    assert answer.json()["layout"] == "parquet"
    (task,) = memory_queue.sent
    memory_store.put(DatasetKeys("acme", finished).layout(task.part), b"PAR1 and so on")
    made = client.get(path)
    assert (made.status_code, made.content) == (200, b"PAR1 and so on")
    assert made.headers["content-type"] == "application/x-tar"
    assert made.headers["content-disposition"] == f'attachment; filename="{finished}-parquet.tar"'
    part = client.get(path, headers={"Range": "bytes=5-7", "If-Range": made.headers["etag"]})
    assert (part.status_code, part.content) == (206, b"and")
    assert client.get(path, headers={"If-None-Match": made.headers["etag"]}).status_code == 304


def test_a_layout_that_cannot_be_made_is_no_endless_waiting(
    client: TestClient, finished: str, memory_store: Any, clock: Any
) -> None:
    clock.now = memory_store.now
    write_json(memory_store, DatasetKeys("acme", finished).layout_failed("zip"), {"reason": "the disk is full"})
    answer = client.get(f"/v1/datasets/{finished}/archive?layout=zip")
    assert answer.status_code == 409
    assert "the disk is full" in answer.json()["detail"]
    assert client.get(f"/v1/datasets/{finished}").json()["state"] == "succeeded"


@pytest.mark.parametrize("query", ["layout=lfw", "layout=", "layout=tgz", "layuot=plain"])
def test_other_layouts_are_refused(client: TestClient, finished: str, query: str) -> None:
    answer = client.get(f"/v1/datasets/{finished}/archive?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("lay")


def test_a_store_that_is_down_is_503_before_the_first_byte(
    client: TestClient, finished: str, memory_store: Any
) -> None:
    shards = f"tenants/acme/datasets/{finished}/manifest.json"
    memory_store.fault = lambda operation, key: (
        StoreUnavailable("the object store does not answer") if (operation, key) == ("read", shards) else None
    )
    answer = client.get(f"/v1/datasets/{finished}/manifest")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert "etag" not in answer.headers


def test_a_store_that_dies_on_the_way_breaks_the_download_off(
    client: TestClient, finished: str, memory_store: Any
) -> None:
    memory_store.fault = lambda operation, key: (
        StoreUnavailable("the object store does not answer")
        if operation == "read more" and key.endswith("samples.tar")
        else None
    )
    # What was begun as whole must not end as if it were: the server is told to break the connection.
    with pytest.raises(RuntimeError, match="response already started"):
        client.get(f"/v1/datasets/{finished}/archive")


def test_a_set_without_documents_says_that_it_is_an_old_one(
    client: TestClient, finished: str, memory_store: Any
) -> None:
    for key in [key for key in memory_store.objects if key.endswith(("data-card.md", "croissant.json", ".jsonld"))]:
        memory_store.delete(key)
    answer = client.get(f"/v1/datasets/{finished}/croissant")
    assert answer.status_code == 404
    assert "before there were any" in answer.json()["detail"]
    assert client.get(f"/v1/datasets/{finished}/archive").status_code == 200


def test_c2pa_beside_a_sample_is_there_only_where_it_was_asked_for(client: TestClient, finished: str) -> None:
    answer = client.get(f"/v1/datasets/{finished}/samples/S0000001_0001/c2pa")
    assert answer.status_code == 404
    assert "detached" in answer.json()["detail"]
