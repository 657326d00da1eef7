"""C2PA by the specification's own library, in the file and beside it; the watermark; and marks through a whole set."""

import io
import json
import multiprocessing
import shutil
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import pytest
from PIL import Image

from app.cli.main import run
from app.client.cache import Cache
from app.client.errors import UsageProblem, VerificationFailed
from app.client.fetch import Expected, Fetch
from app.client.manifest import Manifest
from app.client.marks import look_for_marks
from app.client.readers import FileReader
from app.client.sources import PlainArchive
from app.client.verify import verify
from app.config import C2paSettings, Settings
from app.dataset.keys import DatasetKeys
from app.dataset.layout import Layout
from app.dataset.plan import PlannedMarking
from app.dataset.shard import ShardReport
from app.errors import Misconfigured
from app.jobs.datasets.archive import lay_out_archive, read_segments
from workers.images import Mark, decode, encode, pixel_sha256, pixel_sha256_of_file, read_mark, to_pixels
from workers.matchers.detector import load_detector
from workers.pipeline.lay_out import lay_out
from workers.pipeline.run import run_shard
from workers.pipeline.store import ShardTar
from workers.provenance.certificate import Credentials, load_credentials
from workers.provenance.marker import Marker, Sealed, make_marker, marking_card
from workers.provenance.signing import Checker, Signer
from workers.provenance.watermark import THRESHOLD, detect, key_id

AT = DatasetKeys("acme", "ds_test")
KEY = "a secret of the tests, long enough"
MARK = Mark(
    dataset="ds_test",
    sample="S0000000_0000",
    model="sketch 1.0.0",
    model_digest="d" * 64,
    source_type="trainedAlgorithmicMedia",
)

MakeSet = Callable[..., tuple[Path, Any]]


@pytest.fixture
def picture(sketch: Any) -> Any:
    return to_pixels(sketch.generate(np.ones((1, 3)), np.ones((1, 4)), 64, 48))[0]


@pytest.mark.parametrize(("media_type", "quality"), [("image/png", None), ("image/jpeg", 90)])
def test_a_manifest_in_the_file_says_what_the_sample_is(
    picture: Any, credentials: Credentials, authority: str, media_type: str, quality: int | None
) -> None:
    plain = encode(picture, MARK, quality=quality)
    signed = Signer(credentials).embed(plain, media_type, MARK)
    found = Checker(authority).check(signed, media_type)
    assert found.state == "trusted"
    assert found.source_type.endswith("/digitalsourcetype/trainedAlgorithmicMedia")
    assert (found.dataset, found.sample) == ("ds_test", "S0000000_0000")
    assert found.signer == "Facsimile signer"
    assert Checker().check(signed, media_type).state == "valid", "unchanged, though its signer is not known"
    assert pixel_sha256(decode(signed)) == pixel_sha256(decode(plain))
    assert read_mark(signed) == read_mark(plain)


def test_a_reader_that_knows_nothing_of_us_finds_the_action(picture: Any, credentials: Credentials) -> None:
    signed = Signer(credentials).embed(encode(picture, MARK, quality=None), "image/png", MARK)
    store = json.loads(c2pa.Reader("image/png", io.BytesIO(signed)).json())
    assertions = store["manifests"][store["active_manifest"]]["assertions"]
    (actions,) = (item["data"]["actions"] for item in assertions if item["label"].startswith("c2pa.actions"))
    assert actions[0]["action"] == "c2pa.created"
    assert actions[0]["softwareAgent"] == {"name": "Facsimile, model sketch 1.0.0", "version": "d" * 64}


def test_a_change_of_one_byte_is_seen_in_the_file_and_beside_it(picture: Any, credentials: Credentials) -> None:
    plain = encode(picture, MARK, quality=None)
    signer, checker = Signer(credentials), Checker()
    beside = signer.detach(plain, "image/png", MARK)
    assert checker.check(plain, "image/png", beside).state == "valid"
    for data, manifest in ((signer.embed(plain, "image/png", MARK), None), (plain, beside)):
        changed = bytearray(data)
        changed[-30] ^= 1
        found = checker.check(bytes(changed), "image/png", manifest)
        assert found.state == "invalid"
        assert found.reasons
    assert checker.check(plain, "image/png").state == "absent"


def test_manifest_beside_another_sample_is_invalid(picture: Any, credentials: Credentials) -> None:
    plain = encode(picture, MARK, quality=None)
    beside = Signer(credentials).detach(plain, "image/png", MARK)
    other = encode(255 - picture, MARK, quality=None)
    assert Checker().check(other, "image/png", beside).state == "invalid"


@pytest.mark.parametrize("form", [True, "detached"])
@pytest.mark.parametrize("image", [{"format": "png"}, {"format": "jpeg"}])
def test_every_sample_of_a_set_is_valid(make_set: MakeSet, authority: str, form: Any, image: Any) -> None:
    folder, _ = make_set(c2pa=form, image=image)
    manifest = Manifest(folder / "manifest.json")
    trusted = folder.parent / "ca.pem"
    trusted.write_text(authority)
    found = look_for_marks(folder, manifest, c2pa=True, watermark=False, trusted=trusted)
    assert found.c2pa == Counter(trusted=7)
    found.demand()
    assert verify(folder, manifest, pixel_sha256_of_file).wrong == []
    assert manifest.summary.synthetic.c2pa == ("embedded" if form is True else "detached")
    assert len(list(folder.glob("samples/*/*.c2pa"))) == (0 if form is True else 7)


def test_beside_leaves_files_and_pixels_as_they_are_within_leaves_pixels(make_set: MakeSet, memory_store: Any) -> None:
    digests = {}
    for form in (False, True, "detached"):
        folder, _ = make_set(c2pa=form)
        digests[form] = Manifest(folder / "manifest.json").digests
        shutil.rmtree(folder)
        memory_store.objects.clear()
    assert digests["detached"] == digests[False]
    assert digests[True]["pixels"] == digests[False]["pixels"]
    assert digests[True]["files"] != digests[False]["files"]


def test_verify_names_a_manifest_that_is_missing_or_another(make_set: MakeSet) -> None:
    folder, _ = make_set(c2pa="detached")
    first, second, *_ = sorted(folder.glob("samples/*/*.c2pa"))
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"\1")
    found = verify(folder, Manifest(folder / "manifest.json"), pixel_sha256_of_file)
    assert [why for _, why in found.wrong] == [
        f"the C2PA manifest beside it, {first.name}, is missing",
        f"the C2PA manifest beside it, {second.name}, has another digest",
    ]
    with pytest.raises(VerificationFailed, match="2 marks"):
        look_for_marks(folder, Manifest(folder / "manifest.json"), c2pa=True, watermark=False).demand()


def test_two_workers_at_one_shard_leave_a_report_that_fits_the_tar(
    make_set: MakeSet, memory_store: Any, settings: Settings, sketch: Any
) -> None:
    for form in (True, "detached"):
        memory_store.objects.clear()
        _, plan = make_set(c2pa=form)
        first = ShardReport.model_validate_json(memory_store.get(AT.shard_report(0)))
        with ShardTar(plan.folder) as tar:
            again = run_shard(
                plan,
                0,
                generator=sketch,
                choice=None,
                detector=load_detector(),
                tar=tar,
                batch_size=3,
                encoder_threads=1,
                marker=make_marker(plan.marking, settings),
            )
            kept = tar.put_once(memory_store, AT.shard_samples(0), again)
        assert again != first, "signatures have chance in them"
        assert kept == first
        with tarfile.open(fileobj=io.BytesIO(memory_store.get(AT.shard_samples(0)))) as stored:
            assert len(stored.getnames()) == (4 if form is True else 8)


def test_threads_of_a_forked_worker_sign(picture: Any, credentials: Credentials, settings: Settings) -> None:
    """A worker's parent publishes what it can sign with, then forks; its children sign, several threads each."""
    assert marking_card(settings).c2pa is not None
    plain = encode(picture, MARK, quality=None)
    with ProcessPoolExecutor(2, multiprocessing.get_context("fork")) as children:
        signed = list(children.map(_sign_in_threads, [plain] * 2, [settings] * 2))
    checker = Checker()
    states = [checker.check(data, "image/png").state for some in signed for data in some]
    assert states == ["valid"] * 32


def _sign_in_threads(plain: bytes, settings: Settings) -> list[bytes]:
    marker = make_marker(PlannedMarking(c2pa="embedded"), settings)
    with ThreadPoolExecutor(4) as pool:
        return [sealed.data for sealed in pool.map(lambda _: marker.seal(plain, "image/png", MARK), range(16))]


def test_a_watermarked_set_carries_it_in_every_sample_and_says_so(
    make_set: MakeSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, plan = make_set(watermark=True)
    manifest = Manifest(folder / "manifest.json")
    assert manifest.summary.synthetic.watermark == key_id(KEY) == plan.marking.watermark
    assert verify(folder, manifest, pixel_sha256_of_file).wrong == []
    monkeypatch.setenv("FACSIMILE_WORKER__WATERMARK_KEY", KEY)
    found = look_for_marks(folder, manifest, c2pa=False, watermark=True)
    found.demand()
    assert found.z is not None
    assert min(found.z) >= THRESHOLD
    monkeypatch.setenv("FACSIMILE_WORKER__WATERMARK_KEY", "another secret of some length")
    named = f"another key: the manifest names {key_id(KEY)}, .* is {key_id('another secret of some length')}"
    with pytest.raises(UsageProblem, match=named):
        look_for_marks(folder, manifest, c2pa=False, watermark=True)


def test_a_sample_that_lost_its_watermark_is_named(make_set: MakeSet, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = make_set(watermark=True)
    manifest = Manifest(folder / "manifest.json")
    monkeypatch.setenv("FACSIMILE_WORKER__WATERMARK_KEY", KEY)
    lost = next(manifest.samples()).file
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(folder / lost)
    with pytest.raises(VerificationFailed, match=f"{lost}: its watermark was not found") as caught:
        look_for_marks(folder, manifest, c2pa=False, watermark=True).demand()
    assert caught.value.wrong == [lost]


def test_a_worker_with_another_watermark_key_refuses_the_plan(settings: Settings) -> None:
    with pytest.raises(Misconfigured, match="same FACSIMILE_WORKER__WATERMARK_KEY"):
        make_marker(PlannedMarking(watermark=key_id("another")), settings)
    with pytest.raises(Misconfigured, match="cannot sign"):
        Marker(PlannedMarking(c2pa="embedded")).seal(b"", "image/png", MARK)


def test_what_is_on_offer_says_why_there_is_no_c2pa() -> None:
    card = marking_card(Settings.model_validate({"environment": "development"}))
    assert card.c2pa is None
    assert "FACSIMILE_WORKER__C2PA__CERTIFICATE" in card.c2pa_missing
    assert card.watermark is not None, "development has a key that everybody knows"


def test_a_certificate_is_made_once_and_only_its_owner_reads_the_key(tmp_path: Path) -> None:
    chosen = C2paSettings(self_made=str(tmp_path / "new"))
    first, second = load_credentials(chosen), load_credentials(chosen)
    assert first == second
    assert first.card.self_made
    assert (tmp_path / "new/self-made/key.pem").stat().st_mode & 0o077 == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["self-made"]


def test_a_users_own_certificate_signs(tmp_path: Path, c2pa_settings: C2paSettings, picture: Any) -> None:
    made = Path(c2pa_settings.self_made or "", "self-made")
    own = C2paSettings(certificate=str(made / "certificate.pem"), key=str(made / "key.pem"))
    credentials = load_credentials(own)
    assert not credentials.card.self_made
    sealed = Marker(PlannedMarking(c2pa="detached"), signer=Signer(credentials)).seal(
        encode(picture, MARK, quality=None), "image/png", MARK
    )
    assert isinstance(sealed, Sealed)
    assert sealed.manifest
    other = load_credentials(C2paSettings(self_made=str(tmp_path)))
    (tmp_path / "key.pem").write_text(other.key)
    with pytest.raises(Misconfigured, match="not the key of the first certificate"):
        load_credentials(C2paSettings(certificate=str(made / "certificate.pem"), key=str(tmp_path / "key.pem")))
    with pytest.raises(Misconfigured, match="cannot be read"):
        load_credentials(C2paSettings(certificate=str(tmp_path / "none.pem"), key=str(tmp_path / "key.pem")))
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(Misconfigured, match="no unencrypted PEM"):
        load_credentials(C2paSettings(certificate=str(made / "certificate.pem"), key=str(tmp_path / "key.pem")))


def test_watermark_detection_needs_the_key(picture: Any) -> None:
    marked = Marker(PlannedMarking(watermark=key_id(KEY)), key=KEY).pixels(picture)
    assert detect(marked, KEY) >= THRESHOLD > detect(marked, "another")


def test_a_pull_brings_the_manifests_that_lie_beside(make_set: MakeSet, memory_store: Any, tmp_path: Path) -> None:
    _, plan = make_set(c2pa="detached")
    archive = lay_out_archive(memory_store, AT, plan.folder)
    path = tmp_path / "set.tar"
    path.write_bytes(b"".join(read_segments(memory_store, archive.segments, 0, archive.size)))
    folder = tmp_path / "pulled"
    got = Fetch(PlainArchive(FileReader(path)), folder, Cache(tmp_path / "cache"), Expected()).run()
    assert got.tally.fetched == 14, "by ranges: seven samples, seven manifests"
    manifest = Manifest(folder / "manifest.json")
    assert verify(folder, manifest, pixel_sha256_of_file).wrong == []
    look_for_marks(folder, manifest, c2pa=True, watermark=False).demand()


def test_the_zip_holds_what_lies_beside_and_the_documents(make_set: MakeSet, memory_store: Any) -> None:
    folder, plan = make_set(c2pa="detached")
    memory_store.put(AT.request, b"{}")
    lay_out(memory_store, AT, plan, Layout.ZIP, detector=load_detector())
    with zipfile.ZipFile(io.BytesIO(memory_store.get(AT.layout(Layout.ZIP)))) as made:
        assert made.testzip() is None
        assert sorted(made.namelist()) == sorted(
            path.relative_to(folder.parent).as_posix() for path in folder.rglob("*") if path.is_file()
        )
        assert all(made.read(name) == (folder.parent / name).read_bytes() for name in made.namelist())


def test_verify_on_the_command_line_looks_for_marks(make_set: MakeSet, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = make_set(c2pa=True)
    assert run(["verify", str(folder), "--c2pa"]) == 0
    assert "C2PA: 7 valid" in capsys.readouterr().err
    assert run(["verify", str(folder), "--watermark"]) == 2
    assert "made without a watermark" in capsys.readouterr().err
