"""The archive: a real tar, laid together from what is stored, of which any range can be read."""

import hashlib
import io
import json
import tarfile
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.dataset.keys import DatasetKeys
from app.dataset.products import DATA_CARD, MANIFEST, of_kind
from app.dataset.shard import SampleRow, ShardReport, StoredSample
from app.errors import Conflict, NotFound
from app.jobs.datasets.archive import END, Archive, lay_out_archive, read_segments
from app.jobs.datasets.products import ProductService
from app.jobs.records import read_plan, write_json

PREFIX_FILES = {
    "manifest.json": b'{"a": 1}' * 200,
    "comparisons.csv": b"r,p\n" * 128,
    "contact-sheet.png": b"\x89PNG",
    "report.json": b'{"r": 1}',
    "report.html": b"<!doctype html>" * 100,
}


def tar_of(files: dict[str, bytes]) -> tuple[bytes, dict[str, int]]:
    """An uncompressed tar that ends in two zero blocks, and where each file's bytes begin."""
    out, offsets = io.BytesIO(), {}
    for name, data in files.items():
        info = tarfile.TarInfo(name)
        info.size = len(data)
        out.write(info.tobuf(format=tarfile.USTAR_FORMAT))
        offsets[name] = out.tell()
        out.write(data + bytes(-len(data) % 512))
    out.write(END)
    return out.getvalue(), offsets


@pytest.fixture
def stored(memory_store: Any, submit: Any, summary_of: Any) -> tuple[DatasetKeys, dict[str, bytes]]:
    """A succeeded dataset of 10 samples in 3 shards, and all files that its archive must hold."""
    dataset = submit()
    at = DatasetKeys("acme", dataset)
    files = dict(PREFIX_FILES)
    samples = [(subject, sample) for subject in range(4) for sample in range(2)] + [(4, 0), (5, 0)]
    for shard in range(3):
        mine = {}
        for subject, sample in samples[4 * shard : 4 * shard + 4]:
            name = f"S{subject:07d}_{sample:04d}"
            # Lengths around the block size, one of them exactly a block.
            mine[f"samples/S{subject:07d}/{name}.png"] = hashlib.sha256(name.encode()).digest() * (16 + subject)
        tar, offsets = tar_of({f"{dataset}/{file}": data for file, data in mine.items()})
        rows = tuple(
            StoredSample(
                row=SampleRow(
                    id=file[-17:-4],
                    subject=file[8:16],
                    role="reference",
                    file=file,
                    width=1,
                    height=1,
                    bytes=len(data),
                    pixel_sha256="0" * 64,
                    file_sha256=hashlib.sha256(data).hexdigest(),
                    identity_attempt=0,
                    attempt=0,
                    attributes={},
                ),
                offset=offsets[f"{dataset}/{file}"],
            )
            for file, data in mine.items()
        )
        report = ShardReport(
            shard=shard, samples=rows, rejected=(), missing=(), tar_bytes=len(tar) - len(END), device="cpu"
        )
        memory_store.put(at.shard_samples(shard), tar)
        memory_store.put(at.shard_report(shard), report.model_dump_json().encode())
        files |= mine
    write_json(memory_store, at.summary, summary_of().as_json())
    memory_store.put(at.comparisons, PREFIX_FILES["comparisons.csv"])
    memory_store.put(at.contact_sheet, PREFIX_FILES["contact-sheet.png"])
    memory_store.put(at.report, PREFIX_FILES["report.json"])
    memory_store.put(at.report_page, PREFIX_FILES["report.html"])
    memory_store.put(at.manifest, PREFIX_FILES["manifest.json"])
    return at, files


def folder_of(at: DatasetKeys) -> str:
    return at.prefix.split("/")[-2]


def whole(store: Any, archive: Archive) -> bytes:
    return b"".join(read_segments(store, archive.segments, 0, archive.size))


def test_the_archive_is_a_tar_with_every_file(memory_store: Any, stored: Any) -> None:
    at, files = stored
    archive = lay_out_archive(memory_store, at, folder_of(at))
    data = whole(memory_store, archive)
    assert len(data) == archive.size
    assert archive.size % 512 == 0
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        read = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    assert read == {f"{folder_of(at)}/{name}": content for name, content in files.items()}
    assert [name.partition("/")[2] for name in read][: len(PREFIX_FILES)] == list(PREFIX_FILES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.data())
def test_every_range_is_a_slice_of_the_whole(memory_store: Any, stored: Any, data: st.DataObject) -> None:
    archive = lay_out_archive(memory_store, stored[0], folder_of(stored[0]))
    complete = whole(memory_store, archive)
    edges = [0]
    for segment in archive.segments:
        edges.append(edges[-1] + segment.length)
    near_an_edge = st.builds(lambda edge, off: edge + off, st.sampled_from(edges), st.integers(-2, 2))
    position = st.one_of(st.integers(0, archive.size), near_an_edge).map(lambda at: min(max(at, 0), archive.size))
    start, stop = sorted((data.draw(position), data.draw(position)))
    assert b"".join(read_segments(memory_store, archive.segments, start, stop)) == complete[start:stop]


def test_laying_out_reads_no_samples_and_a_range_only_what_it_covers(memory_store: Any, stored: Any) -> None:
    memory_store.reads = 0
    archive = lay_out_archive(memory_store, stored[0], folder_of(stored[0]))
    assert memory_store.reads == 0
    last = archive.size - len(END)
    assert len(b"".join(read_segments(memory_store, archive.segments, last - 10, last + 10))) == 20
    assert memory_store.reads == 1


def test_products_of_a_dataset(memory_store: Any, stored: Any) -> None:
    at, files = stored
    products = ProductService(memory_store)
    dataset = at.prefix.split("/")[-2]
    for name, product in (
        *(
            (product.file, products.product("acme", dataset, product))
            for product in of_kind("images")
            if not product.late
        ),
        ("samples/S0000003/S0000003_0001.png", products.sample("acme", dataset, "S0000003_0001")),
        ("samples/S0000005/S0000005_0000.png", products.sample("acme", dataset, "S0000005_0000")),
    ):
        assert b"".join(products.read(product, 0, product.size)) == files[name]
        assert b"".join(products.read(product, 3, 9)) == files[name][3:9]
        assert '"' not in product.etag
    archive = products.archive("acme", dataset)
    assert b"".join(products.read(archive, 0, archive.size)) == whole(
        memory_store, lay_out_archive(memory_store, at, dataset)
    )


def test_a_set_of_before_has_no_top_folder(memory_store: Any, stored: Any) -> None:
    at, _ = stored
    dataset = folder_of(at)
    plan = read_plan(memory_store, "acme", dataset)
    assert plan.folder == dataset
    old = {name: value for name, value in plan.model_dump(mode="json").items() if name != "folder"}
    memory_store.put(at.plan, json.dumps(old).encode())
    archive = ProductService(memory_store).archive("acme", dataset)
    data = b"".join(ProductService(memory_store).read(archive, 0, 100))
    assert data.rstrip(b"\0").decode() == "manifest.json"


@pytest.mark.parametrize("name", ["S0000003_0002", "S0000004_0001", "S0000006_0000", "nonsense"])
def test_no_product_for_a_sample_that_is_not_planned(memory_store: Any, stored: Any, name: str) -> None:
    dataset = stored[0].prefix.split("/")[-2]
    with pytest.raises(NotFound, match="has no sample"):
        ProductService(memory_store).sample("acme", dataset, name)


def test_a_sample_can_be_had_as_soon_as_its_shard_is_done(memory_store: Any, stored: Any) -> None:
    at, files = stored
    dataset = at.prefix.split("/")[-2]
    memory_store.delete(at.manifest)
    memory_store.delete(at.shard_report(2))
    products = ProductService(memory_store)
    done = products.sample("acme", dataset, "S0000000_0001")
    assert b"".join(products.read(done, 0, done.size)) == files["samples/S0000000/S0000000_0001.png"]
    with pytest.raises(NotFound, match="not made yet"):
        products.sample("acme", dataset, "S0000005_0000")
    with pytest.raises(Conflict, match="is running; it has a manifest only once it has succeeded"):
        products.product("acme", dataset, MANIFEST)


def test_sets_of_old_have_no_documents(memory_store: Any, stored: Any) -> None:
    with pytest.raises(NotFound, match="has no data card: it was made before there were any"):
        ProductService(memory_store).product("acme", stored[0].prefix.split("/")[-2], DATA_CARD)


def test_products_of_another_tenant_are_not_there(memory_store: Any, stored: Any) -> None:
    dataset = stored[0].prefix.split("/")[-2]
    products = ProductService(memory_store)
    for product in of_kind("images"):
        with pytest.raises(NotFound):
            products.product("other", dataset, product)
    with pytest.raises(NotFound):
        products.archive("other", dataset)
    with pytest.raises(NotFound):
        products.sample("other", dataset, "S0000000_0000")


def test_a_dataset_that_is_being_deleted_has_no_products(memory_store: Any, stored: Any) -> None:
    at = stored[0]
    memory_store.put(at.cancelled, b"{}")
    with pytest.raises(Conflict, match="is cancelled"):
        ProductService(memory_store).product("acme", at.prefix.split("/")[-2], MANIFEST)
