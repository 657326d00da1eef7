"""A user's own photographs: packed, named where they cannot be used, trained on, exported, loaded again."""

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
from workers.training.export import export
from workers.training.framing import FRAME
from workers.training.loop import train
from workers.training.measure import Measured
from workers.training.packing import Unusable, pack_photographs, read_packed
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


def pack(folder: Path, **options: Any) -> Path:
    packed = folder.parent / "packed"
    pack_photographs(folder, packed, **{"size": 16, **options})
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
            pack_photographs(tmp_path / "nowhere", tmp_path / "packed", size=16)
        with pytest.raises(RequestRefused, match="48 is not a power of two"):
            pack_photographs(folder, tmp_path / "packed", size=48)


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
        monkeypatch.setattr("workers.training.export.measure", lambda generator, on_progress: figures)
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
