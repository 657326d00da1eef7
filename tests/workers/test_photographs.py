"""A user's own photographs: packed, named where they cannot be used, trained on, exported, loaded again."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image

from app.config import WorkerSettings
from app.errors import Corrupt, RequestRefused
from workers.generator import latents as lt
from workers.generator.registry import load_generator
from workers.images import decode, to_pixels
from workers.matchers.detector import load_detector
from workers.photographs import Unusable, copies, printable, read_photograph
from workers.training.export import export
from workers.training.framing import FRAME
from workers.training.loop import train
from workers.training.measure import Measured
from workers.training.packing import pack_photographs, read_packed
from workers.training.photographs import Photographs
from workers.training.sources import is_labelled, open_source
from workers.training.spec import Loss, Method, TrainingSpec
from workers.training.trainer import Trainer

SUBJECTS, SAMPLES = 4, 3
RUN: dict[str, Any] = {"pairs": 2, "base": 4, "anchored": False}


@pytest.fixture(scope="module")
def pictures(renderer: Any) -> np.ndarray:
    """uint8 [SUBJECTS · SAMPLES, 128, 128, 3]: renders stand in for photographs."""
    rng = np.random.default_rng(4)
    who = np.repeat(rng.standard_normal((SUBJECTS, lt.IDENTITY)), SAMPLES, 0).astype(np.float32)
    how = (0.4 * rng.standard_normal((len(who), lt.OBSERVATION))).astype(np.float32)
    return to_pixels(renderer.generate(who, how, 128, 128))


@pytest.fixture
def folder(tmp_path: Path, pictures: np.ndarray) -> Path:
    for number, pixels in enumerate(pictures):
        subject = tmp_path / "mine" / f"person {number // SAMPLES}"
        subject.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(subject / f"{number % SAMPLES}.png")
    return tmp_path / "mine"


def pack(folder: Path, *, aligned: bool = True, **options: Any) -> Path:
    packed = folder.parent / "packed"
    pack_photographs(folder, packed, **{"size": 16, "detector": load_detector() if aligned else None, **options})
    return packed


class TestPacking:
    """From folders to parts."""

    def test_pictures_taken_as_they_are_come_back_smaller(self, folder: Path, pictures: np.ndarray) -> None:
        source = Photographs(pack(folder, aligned=False))
        assert source.images.shape == (12, 16, 16, 3)
        expected = pictures.astype(float).reshape(12, 16, 8, 16, 8, 3).mean((2, 4))
        assert np.abs(source.images - expected).max() <= 0.51
        assert read_packed(folder.parent / "packed").subjects == tuple(f"person {k}" for k in range(4))

    def test_faces_are_framed(self, folder: Path, pictures: np.ndarray, tmp_path: Path) -> None:
        shifted = np.full((300, 240, 3), 90, np.uint8)
        shifted[100:228, 30:158] = pictures[0]
        Image.fromarray(shifted).save(folder / "person 0" / "0.png")
        source = Photographs(pack(folder, size=128))
        for image in source.images[:3]:
            face = load_detector().detect(image)
            assert face is not None
            assert np.abs(face.points / 128 - FRAME).max() < 0.06

    def test_what_cannot_be_used_is_named_all_at_once(self, folder: Path) -> None:
        (folder / "person 1" / "0.png").write_bytes(b"no picture")
        whole = (folder / "person 2" / "1.png").read_bytes()
        (folder / "person 2" / "1.png").write_bytes(whole[: len(whole) // 2])
        Image.fromarray(np.zeros((128, 128, 3), np.uint8)).save(folder / "person 3" / "2.png")
        with pytest.raises(Unusable, match="3 of the pictures") as caught:
            pack(folder)
        for name in ("person 1/0.png", "person 2/1.png", "person 3/2.png: no face was found"):
            assert name in str(caught.value)
            assert name in (folder.parent / "packed" / "unusable.txt").read_text()
        with pytest.raises(Corrupt, match="packed to the end"):
            Photographs(folder.parent / "packed")
        (folder / "person 2" / "1.png").write_bytes(whole)
        packed = pack(folder, leave_out=True)
        assert read_packed(packed).left_out == ("person 1/0.png", "person 3/2.png")
        assert len(Photographs(packed).images) == 10

    def test_a_subject_with_one_picture_is_named_too(self, folder: Path) -> None:
        for number in (0, 1):
            (folder / "person 1" / f"{number}.png").unlink()
        with pytest.raises(Unusable, match="person 1: 1 usable pictures; a subject needs 2"):
            pack(folder, aligned=False)
        assert "person 1" not in read_packed(pack(folder, aligned=False, leave_out=True)).subjects

    def test_packing_goes_on_where_it_stopped(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("workers.training.packing.SUBJECTS_PER_PART", 2)

        def stop(done: int, total: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            pack(folder, aligned=False, on_progress=stop)
        first = folder.parent / "packed" / "part-000000.safetensors"
        before = first.stat().st_mtime_ns
        pack(folder, aligned=False)
        assert first.stat().st_mtime_ns == before
        Image.new("RGB", (64, 64), "red").save(folder / "person 0" / "0.png")
        source = Photographs(pack(folder, aligned=False))
        assert first.stat().st_mtime_ns != before, "another picture makes another part"
        assert (source.images[0] == [255, 0, 0]).all()

    def test_nothing_odd_ends_a_run_and_all_of_it_is_named(self, folder: Path) -> None:
        odd = folder / "person 0"
        (odd / "link.jpg").symlink_to("nowhere.jpg")
        os.mkfifo(odd / "pipe.png")
        (odd / "folder.png").mkdir()
        (odd / "phone.heic").write_bytes(b"....ftypheic")
        (odd / "notes.doc").write_bytes(b"no picture")
        (odd / os.fsdecode(b"n\xff.png")).write_bytes(b"none either")
        (odd / "new\nline.png").write_bytes(b"")
        frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
        frames[0].save(odd / "moving.gif", save_all=True, append_images=frames[1:])
        (odd / "again.png").write_bytes((odd / "0.png").read_bytes())
        Image.open(odd / "1.png").save(odd / "other.bmp")
        (folder / "gone").symlink_to("nowhere")
        (odd / "list.txt").write_text("passed over")
        packed = pack(folder, aligned=False, leave_out=True)
        listed = dict(line.split(": ", 1) for line in (packed / "unusable.txt").read_text().splitlines())
        assert listed == {
            "person 0/link.jpg": "is a link to nothing",
            "person 0/pipe.png": "is not a regular file",
            "person 0/folder.png": "is not a regular file",
            "person 0/phone.heic": "is in HEIC, which is not read; convert it to JPEG or PNG",
            "person 0/notes.doc": "is no picture in a format that is read",
            "person 0/n\\udcff.png": "is no picture in a format that is read",
            "person 0/new\\nline.png": "is no picture in a format that is read",
            "person 0/moving.gif": "holds 2 pictures; save the one that is meant",
            "person 0/again.png": "is a copy of person 0/0.png",
            "person 0/other.bmp": "shows the same pixels as another picture of its subject",
            "gone": "0 usable pictures; a subject needs 2",
        }
        assert len(Photographs(packed).images) == SUBJECTS * SAMPLES

    def test_the_same_picture_under_two_subjects_is_named(self, folder: Path) -> None:
        (folder / "person 3" / "9.png").write_bytes((folder / "person 1" / "0.png").read_bytes())
        with pytest.raises(Unusable, match=r"person 3/9\.png: is a copy of person 1/0\.png"):
            pack(folder, aligned=False)

    @pytest.mark.parametrize("aligned", [True, False])
    def test_a_picture_that_is_not_square_or_small_is_named(self, folder: Path, aligned: bool) -> None:
        Image.new("RGB", (64, 48)).save(folder / "person 0" / "0.png")
        Image.new("RGB", (8, 8)).save(folder / "person 0" / "1.png")
        reasons = "64×48 is not square.*8×8 is smaller" if not aligned else "no face was found.*no face was found"
        with pytest.raises(Unusable, match=reasons):
            pack(folder, aligned=aligned)

    def test_folders_that_are_none_of_subjects_are_refused(self, folder: Path, tmp_path: Path) -> None:
        Image.new("RGB", (64, 64)).save(folder / "loose.png")
        with pytest.raises(RequestRefused, match=r"1 pictures \(loose.png"):
            pack(folder)
        with pytest.raises(RequestRefused, match="is not a folder"):
            pack_photographs(tmp_path / "nowhere", tmp_path / "packed", size=16, detector=None)
        with pytest.raises(RequestRefused, match="48 is not a power of two"):
            pack_photographs(folder, tmp_path / "packed", size=48, detector=None)


class TestTraining:
    """Pairs by subject alone."""

    def test_pairs_are_of_one_subject_and_differ(self, folder: Path) -> None:
        packed = pack(folder, aligned=False)
        assert not is_labelled(packed)
        source = open_source(packed)
        assert isinstance(source, Photographs)
        known = {image.tobytes(): number // SAMPLES for number, image in enumerate(source.images)}
        seen = set()
        for iteration in range(20):
            batch = source.pairs(1, iteration, 2)
            images = (batch.images.permute(0, 2, 3, 1) * 255).round().byte().numpy()
            owners = [known.get(image.tobytes(), known.get(image[:, ::-1].tobytes())) for image in images]
            assert owners[0] == owners[2]
            assert owners[1] == owners[3]
            assert (images[0] != images[2]).any()
            seen |= set(owners)
        assert seen == {0, 1, 2}, "the last subject is held out"

    def test_methods_that_need_labels_are_refused(self, folder: Path) -> None:
        source = Photographs(pack(folder, aligned=False))
        with pytest.raises(RequestRefused, match="no labels to begin from"):
            Trainer(source, TrainingSpec(iterations=1, anchored_iterations=1, **RUN))
        with pytest.raises(RequestRefused, match="ivigan needs labels"):
            Trainer(source, TrainingSpec(iterations=1, method=Method.IVIGAN, **RUN))
        with pytest.raises(RequestRefused, match="no labels to learn latents from"):
            Trainer(source, TrainingSpec(iterations=1, **{**RUN, "anchored": True}))

    @pytest.mark.parametrize("loss", list(Loss))
    def test_a_broken_run_ends_on_the_same_weights(self, folder: Path, tmp_path: Path, loss: Loss) -> None:
        source = Photographs(pack(folder, aligned=False))
        spec = TrainingSpec(iterations=5, loss=loss, discriminator_steps=2, r1_interval=2, **RUN)
        straight = Trainer(source, spec)
        train(straight, tmp_path / "straight")
        broken = Trainer(source, spec)
        train(broken, tmp_path / "broken", should_cancel=lambda: broken.iteration >= 2)
        broken = Trainer(source, spec)
        train(broken, tmp_path / "broken")
        for ours, theirs in ((straight.average, broken.average), (straight.judge.network, broken.judge.network)):
            there = theirs.state_dict()
            assert all(torch.equal(value, there[name]) for name, value in ours.state_dict().items())

    def test_the_generator_comes_to_look_like_the_photographs(self, folder: Path, tmp_path: Path) -> None:
        source = Photographs(pack(folder, aligned=False))
        spec = TrainingSpec(
            seed=1, iterations=120, learning_rate=5e-3, discriminator_rate=2e-3, average_halflife_images=40, **RUN
        )
        trainer = Trainer(source, spec)
        wanted = source.images.mean((0, 1, 2)) / 255

        def off() -> float:
            made = trainer.average(*(t for t in trainer._latents(1, 16, source.pairs(0, 0, 2))))[0]
            return float((made.mean((0, 2, 3)) - torch.from_numpy(wanted)).abs().mean())

        before = off()
        for _ in range(spec.iterations):
            trainer.step()
        assert off() < 0.5 * before

    def test_an_exported_model_says_whose_photographs_it_is_of(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = Photographs(pack(folder, aligned=False))
        trainer = Trainer(source, TrainingSpec(iterations=2, **RUN))
        train(trainer, tmp_path / "run")
        figures = Measured(face_found_sigma_1=0.0, samples=2, unique_threshold=None, identities=3, non_mated_mean=None)
        monkeypatch.setattr("workers.training.export.measure", lambda *_, on_progress: figures)
        card = export(trainer, tmp_path / "models" / "ours", name="ours", version="1")
        assert "user's own photographs" in card.provenance
        assert card.licence == "the user's own"
        assert card.latent.observation == {"observation": (0, 64)}
        assert card.attributes == {}
        assert card.checks.unique is None
        assert "person" not in card.model_dump_json(), "subjects' names stay with the user"
        model = load_generator("ours", WorkerSettings(models_dir=str(tmp_path / "models"), device="cpu"))
        who, how = np.ones((3, 64), np.float32), np.linspace(-1, 1, 192, dtype=np.float32).reshape(3, 64)
        images = model.generate(who, how, 16, 16)
        assert images.shape == (3, 16, 16, 3)
        assert to_pixels(images).std() > 1
        assert decode((tmp_path / "run" / "sheet-0000002.png").read_bytes()).shape == (96, 96, 3)


class TestReading:
    """A picture as a person would see it."""

    @pytest.mark.parametrize("turned", range(1, 9))
    def test_it_is_turned_as_the_camera_says(self, tmp_path: Path, turned: int) -> None:
        upright = np.zeros((40, 60, 3), np.uint8)
        upright[:20, :30] = 255
        turns = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
        image = Image.fromarray(upright)
        if (back := turns[turned]) is not None:
            image = image.transpose(Image.Transpose(back))
        exif = Image.Exif()
        exif[0x0112] = turned
        image.save(tmp_path / "x.png", exif=exif)
        assert np.array_equal(read_photograph(tmp_path / "x.png"), upright)

    def test_sixteen_bits_are_scaled(self, tmp_path: Path) -> None:
        ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
        Image.fromarray(ramp).save(tmp_path / "x.png")
        assert np.abs(read_photograph(tmp_path / "x.png")[..., 0] - ramp / 257).max() <= 0.5

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK"])
    def test_every_mode_becomes_rgb(self, tmp_path: Path, mode: str) -> None:
        Image.new("RGB", (8, 8), "white").convert(mode).save(tmp_path / "x.tif")
        assert (read_photograph(tmp_path / "x.tif") == 255).all()

    def test_what_is_transparent_is_shown_over_white(self, tmp_path: Path) -> None:
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "x.png")
        assert (read_photograph(tmp_path / "x.png") == 255).all()

    @pytest.mark.parametrize("size", [(20_000, 20_000), (10_001, 10_000)])
    def test_a_picture_that_claims_too_many_pixels_is_refused_before_it_is_decoded(
        self, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        Image.new("1", size).save(tmp_path / "x.png")
        with pytest.raises(Unusable, match=r"has too many pixels; at most 100,000,000 are read"):
            read_photograph(tmp_path / "x.png")

    def test_copies_are_found_by_their_bytes(self, tmp_path: Path) -> None:
        for name, data in (("a", b"one"), ("b", b"two"), ("c", b"one"), ("d", b"longer")):
            (tmp_path / name).write_bytes(data)
        assert copies(sorted(tmp_path.iterdir())) == {tmp_path / "c": tmp_path / "a"}

    def test_names_are_shown_in_one_line(self) -> None:
        assert printable("é\n\udcff\x1b[31m") == "é\\n\\udcff\\x1b[31m"
