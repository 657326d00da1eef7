"""Corpus, losses, and a run that ends on the same weights however often it is broken off."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors import SafetensorError

from app.errors import Corrupt, RequestRefused
from workers.generator import latents as lt
from workers.generator.registry import SHIPPED, model_card
from workers.generator.sdgan.generator import load_sdgan
from workers.generator.weights import save_model
from workers.images import decode
from workers.matchers.detector import load_detector
from workers.matchers.sface import load_sface
from workers.training import loop
from workers.training.corpus import render
from workers.training.corpus.store import (
    DRAWN_BY,
    CorpusSpec,
    corpus_digest,
    missing_parts,
    open_corpus,
    part_path,
    read_part,
    read_spec,
    write_part,
)
from workers.training.data import Corpus
from workers.training.export import export
from workers.training.files import DiskFull
from workers.training.glasses import GlassesSeen, glasses_seen, learn_glasses
from workers.training.growth import grow_from_model
from workers.training.loop import open_run, train
from workers.training.losses import (
    critic_generator_loss,
    critic_loss,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    identity_loss,
    pyramid_distance,
    r1_penalty,
    triplet_loss,
)
from workers.training.measure import Measured, measure
from workers.training.spec import Loss, Method, TrainingSpec
from workers.training.trainer import Diverged, Trainer

SPEC = CorpusSpec(seed=5, subjects=5, samples_per_subject=2, size=16, subjects_per_part=2)
RUN = {"pairs": 2, "base": 4, "adversary_from": 0.25, "r1_interval": 2}


@pytest.fixture(scope="module")
def corpus_folder(tmp_path_factory: pytest.TempPathFactory, renderer: Any) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    open_corpus(folder, SPEC)
    for number in range(SPEC.parts):
        render.render_part(folder, SPEC, number)
    return folder


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return Corpus(corpus_folder, held_out_share=0.2)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


class TestCorpus:
    """The folder of renders."""

    def test_every_render_has_its_labels(self, corpus_folder: Path) -> None:
        parts = [read_part(corpus_folder, number) for number in range(3)]
        assert [len(part["subject"]) for part in parts] == [4, 4, 2]
        assert np.concatenate([part["subject"] for part in parts]).tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        first = parts[0]
        assert first["head"].shape == (4, 16, 16, 4)
        assert (first["identity"][0] == first["identity"][1]).all()
        assert (first["identity"][0] != first["identity"][2]).any()
        assert (first["observation"][0] != first["observation"][1]).any()
        assert (first["head"][..., :3].max(-1) <= first["head"][..., 3].astype(int) + 1).all(), "premultiplied"

    def test_it_is_deterministic(self, corpus_folder: Path, tmp_path: Path) -> None:
        open_corpus(tmp_path, SPEC)
        for number in (2, 0, 1):
            render.render_part(tmp_path, SPEC, number)
        assert corpus_digest(tmp_path) == corpus_digest(corpus_folder)

    def test_rendering_goes_on_where_it_stopped_and_leaves_no_part_out(
        self, corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_corpus(tmp_path, SPEC)
        kept = part_path(tmp_path, 1)
        kept.write_bytes(part_path(corpus_folder, 1).read_bytes())
        before = kept.stat().st_mtime_ns
        told: list[tuple[int, int]] = []
        render.render_corpus(tmp_path, SPEC, processes=1, on_progress=lambda *progress: told.append(progress))
        assert missing_parts(tmp_path, SPEC) == []
        assert kept.stat().st_mtime_ns == before
        assert told == [(1, 3), (2, 3), (3, 3)]
        assert corpus_digest(tmp_path) == corpus_digest(corpus_folder)

    def test_another_corpus_in_the_folder_is_refused(self, corpus_folder: Path) -> None:
        with pytest.raises(RequestRefused, match="holds another corpus"):
            open_corpus(corpus_folder, SPEC.model_copy(update={"seed": 6}))

    def test_a_corpus_of_another_version_of_the_renderer_is_not_gone_on_with(self, tmp_path: Path) -> None:
        spec = SPEC.model_copy(update={"drawing": render.drawing_version("opengl")})
        open_corpus(tmp_path, spec)
        open_corpus(tmp_path, spec)
        for other in ({"drawing": render.drawing_version("cycles")}, {"drawing": None}, {"drawing": None, "code": "9"}):
            with pytest.raises(RequestRefused, match="another version of the renderer"):
                open_corpus(tmp_path, spec.model_copy(update=other))

    @pytest.mark.parametrize(("code", "drawing"), DRAWN_BY.items())
    def test_a_corpus_begun_before_drawings_had_versions_is_gone_on_with(
        self, tmp_path: Path, code: str, drawing: str
    ) -> None:
        before = SPEC.model_copy(update={"code": code})
        open_corpus(tmp_path, before)
        open_corpus(tmp_path, SPEC.model_copy(update={"drawing": drawing}))
        assert read_spec(tmp_path) == before
        with pytest.raises(RequestRefused, match="another version of the renderer"):
            open_corpus(tmp_path, SPEC.model_copy(update={"drawing": "parametric 2"}))

    def test_it_has_the_latents_that_the_renderer_draws_and_an_old_one_keeps_the_first(self, tmp_path: Path) -> None:
        assert SPEC.layout == lt.CURRENT.version == lt.layout_of(model_card(SHIPPED / "parametric")).version
        open_corpus(tmp_path / "new", SPEC)
        assert read_spec(tmp_path / "new") == SPEC
        old = SPEC.model_copy(update={"layout": lt.FIRST.version})
        open_corpus(tmp_path / "old", old)
        assert "layout" not in json.loads((tmp_path / "old" / "corpus.json").read_text())
        assert read_spec(tmp_path / "old") == old
        with pytest.raises(RequestRefused, match="layout 1 cannot be rendered"):
            render.render_corpus(tmp_path / "old", old, processes=1)

    @pytest.mark.parametrize("written", ["[]", "{", '{"subjects": 0}', '{"subjects": 1, "sise": 16}'])
    def test_what_is_no_corpus_is_named(self, tmp_path: Path, written: str) -> None:
        (tmp_path / "corpus.json").write_text(written)
        with pytest.raises(Corrupt, match=r"corpus\.json cannot be read"):
            read_spec(tmp_path)

    def test_an_unfinished_or_broken_corpus_is_named(self, corpus_folder: Path, tmp_path: Path) -> None:
        open_corpus(tmp_path, SPEC)
        with pytest.raises(Corrupt, match="3 of 3 parts are missing"):
            Corpus(tmp_path)
        for number in range(3):
            part_path(tmp_path, number).write_bytes(part_path(corpus_folder, number).read_bytes())
        part_path(tmp_path, 1).write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
        with pytest.raises(Corrupt, match="part-000001"):
            Corpus(tmp_path)
        with pytest.raises(Corrupt, match="not a corpus"):
            Corpus(tmp_path / "nothing")

    def test_a_failed_render_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        class Broken:
            def draw(self, *_: Any) -> Any:
                raise ValueError("out of paint")

        monkeypatch.setattr(render, "load_scene", Broken)
        with pytest.raises(render.RenderFailed, match="part 1, subject 2, sample 0: out of paint"):
            render.render_part(tmp_path, SPEC, 1)
        assert not part_path(tmp_path, 1).exists()


class TestBatches:
    """Pairs out of the corpus."""

    def test_pairs_are_mated_and_differ(self, corpus: Corpus) -> None:
        batch = corpus.pairs(1, 0, 3)
        assert torch.equal(batch.labels.identity[:3], batch.labels.identity[3:])
        assert not torch.equal(batch.labels.observation[:3], batch.labels.observation[3:])

    def test_held_out_subjects_are_never_trained_on(self, corpus: Corpus) -> None:
        held_out = {tuple(row.tolist()) for row in corpus.held_out(100).labels.identity}
        assert len(held_out) == 1
        for iteration in range(50):
            assert not held_out & {tuple(row.tolist()) for row in corpus.pairs(1, iteration, 4).labels.identity}

    @pytest.mark.parametrize("layout", lt.LAYOUTS.values())
    def test_images_are_flipped_with_their_labels_and_only_where_faces_are_symmetric(
        self, tmp_path: Path, layout: lt.Layout
    ) -> None:
        spec = SPEC.model_copy(update={"layout": layout.version, "subjects_per_part": SPEC.subjects})
        open_corpus(tmp_path, spec)
        rng = np.random.default_rng(3)
        columns = {
            "head": rng.integers(0, 256, (10, 16, 16, 4), np.uint8),
            "landmarks": rng.random((10, 3, 2), np.float32),
            "identity": np.repeat(rng.standard_normal((5, layout.identity), np.float32), 2, 0),
            "observation": rng.standard_normal((10, layout.observation), np.float32),
            "subject": np.repeat(np.arange(5, dtype=np.int32), 2),
        }
        write_part(tmp_path, 0, columns)
        corpus = Corpus(tmp_path, held_out_share=0.2)
        flipped = plain = 0
        for iteration in range(20):
            batch = corpus.pairs(2, iteration, 2)
            for number in range(4):
                head = (batch.images[number] * 255).round().byte().permute(1, 2, 0).numpy()
                is_flipped = not bool(batch.labels.landmarks_known[number])
                original = head[:, ::-1] if is_flipped else head
                (index,) = (k for k, h in enumerate(corpus.columns["head"]) if (h == original).all())
                signs = layout.mirror if is_flipped else np.ones(layout.observation)
                assert np.allclose(batch.labels.observation[number], corpus.columns["observation"][index] * signs)
                flipped, plain = flipped + is_flipped, plain + (not is_flipped)
        assert plain > 10
        assert flipped > 10 if layout is lt.FIRST else flipped == 0

    def test_a_batch_depends_on_seed_and_iteration_alone(self, corpus: Corpus) -> None:
        first, again, other = corpus.pairs(1, 7, 2), corpus.pairs(1, 7, 2), corpus.pairs(1, 8, 2)
        assert torch.equal(first.images, again.images)
        assert not torch.equal(first.labels.observation, other.labels.observation)


class TestLosses:
    """Against cases worked by hand."""

    def test_the_pyramid_is_zero_for_equals_and_sees_detail(self) -> None:
        image, one = torch.rand(2, 4, 16, 16), torch.ones(2, 1, 16, 16)
        assert pyramid_distance(image, image, one) == 0
        # A constant offset d has no bands: d once as a whole, once in the coarsest.
        assert pyramid_distance(image + 0.25, image, one).item() == pytest.approx(0.5, abs=1e-6)
        checker = 0.25 * (1 - 2 * ((torch.arange(16)[:, None] + torch.arange(16)) % 2))
        # A checkerboard of amplitude a lives in the finest band alone: a as a whole, a in that band.
        assert pyramid_distance(image + checker, image, one).item() == pytest.approx(0.5, abs=1e-6)

    def test_the_weight_counts(self) -> None:
        image, weight = torch.zeros(1, 4, 16, 16), torch.ones(1, 1, 16, 16)
        spot = image.clone()
        spot[..., :8, :] = 1
        weight[..., :8, :] = 3
        heavier = pyramid_distance(spot, image, weight)
        assert heavier > pyramid_distance(spot, image, weight.flip(2))

    def test_r1_is_the_squared_gradient_over_all_axes_but_the_batch(self) -> None:
        real = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]], [[[0.5, 0.0]], [[0.0, 2.0]]]], requires_grad=True)
        logits = (real**2).sum((1, 2, 3))  # gradient 2x; |2x|² = 4 · (1 + 4 + 9 + 1) and 4 · (0.25 + 4)
        assert r1_penalty(logits, real).item() == pytest.approx((60 + 17) / 2)

    def test_adversarial_losses_at_known_logits(self) -> None:
        zero, one = torch.zeros(3), torch.full((3,), 1.0)
        assert generator_loss(zero).item() == pytest.approx(np.log(2))
        assert discriminator_loss(one, -one).item() == pytest.approx(2 * np.log1p(np.exp(-1)))
        assert critic_loss(3 * one, -one).item() == pytest.approx(-4)
        assert critic_generator_loss(torch.tensor([1.0, 4.0])).item() == pytest.approx(-2.5)

    def test_the_gradient_penalty_takes_the_norm_over_all_axes_but_the_batch(self) -> None:
        real = torch.tensor([[[[3.0, 0.0]], [[0.0, 4.0]]], [[[1.0, 1.0]], [[1.0, 1.0]]]])
        fake = torch.zeros_like(real)
        # The critic ½|x|² has the gradient x: at share 1 the norms are 5 and 2, at share ½ half of that.
        half_square = lambda x: 0.5 * (x**2).sum((1, 2, 3))  # noqa: E731
        assert gradient_penalty(half_square, real, fake, torch.ones(2)).item() == pytest.approx((16 + 1) / 2)
        assert gradient_penalty(half_square, real, fake, torch.tensor([1.0, 0.5])).item() == pytest.approx(16 / 2)
        assert gradient_penalty(half_square, fake, real, torch.tensor([0.5, 1.0])).item() == pytest.approx(
            (1.5**2 + 1) / 2
        )

    def test_the_gradient_penalty_trains_the_critic(self) -> None:
        slope = torch.tensor(3.0, requires_grad=True)
        images = torch.rand(2, 1, 2, 2)
        # The critic s · Σx has the norm 2 |s| over four pixels: (6 − 1)², with the derivative 2 · 5 · 2.
        penalty = gradient_penalty(lambda x: slope * x.sum((1, 2, 3)), images, 1 - images, torch.rand(2))
        assert penalty.item() == pytest.approx(25)
        penalty.backward()
        assert slope.grad.item() == pytest.approx(20)

    def test_a_triplet_counts_what_is_missing_to_the_margin(self) -> None:
        anchor = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
        positive = torch.tensor([[0.8, 0.6], [1.0, 0.0]])
        negative = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
        assert triplet_loss(anchor, positive, negative, 0.5).item() == pytest.approx((0.5 + 0.6 - 0.8) / 2)
        assert identity_loss(anchor, positive).item() == pytest.approx(0.1)


class TestEmbedding:
    """SFace as a part of a loss."""

    def test_it_says_what_the_matcher_says(self) -> None:
        pytest.importorskip("onnx")
        from workers.matchers.sface import load_sface
        from workers.training.embedding import load_embedding

        chips = np.random.default_rng(1).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
        theirs = np.stack([load_sface().template(chip) for chip in chips])
        ours = load_embedding().embed(torch.from_numpy(chips).permute(0, 3, 1, 2).float() / 255)
        assert np.abs(theirs - ours.numpy()).max() < 1e-5

    def test_it_cuts_the_face_out_where_the_matcher_would(self, renderer: Any) -> None:
        pytest.importorskip("onnx")
        from workers.images import to_pixels
        from workers.matchers.sface import load_sface
        from workers.training.embedding import load_embedding

        who = np.random.default_rng(2).standard_normal((3, lt.IDENTITY)).astype(np.float32)
        pixels = to_pixels(renderer.generate(who, np.zeros((3, lt.OBSERVATION), np.float32), 128, 128))
        theirs = np.stack([load_sface().extract(image) for image in pixels])
        ours = load_embedding()(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255).numpy()
        cosines = ours @ theirs.T
        assert cosines.diagonal().min() > 0.85
        assert (cosines.argmax(1) == np.arange(3)).all()


def weights(trainer: Trainer) -> dict[str, Any]:
    return {**trainer.generator.state_dict(), **{f"mean {k}": v for k, v in trainer.average.state_dict().items()}}


class TestRuns:
    """The loop."""

    def test_a_run_that_was_broken_off_ends_on_the_same_weights(self, corpus: Corpus, tmp_path: Path) -> None:
        spec = TrainingSpec(seed=3, iterations=8, **RUN)
        straight = Trainer(corpus, spec)
        assert train(straight, tmp_path / "straight")
        for stop in (3, 6, 8):
            broken = Trainer(corpus, spec)
            train(broken, tmp_path / "broken", should_cancel=lambda: broken.iteration >= stop)  # noqa: B023
        assert broken.iteration == straight.iteration == 8
        assert all(torch.equal(value, weights(broken)[name]) for name, value in weights(straight).items())
        reopened = open_run(corpus, tmp_path / "broken")
        assert all(torch.equal(value, weights(reopened)[name]) for name, value in weights(straight).items())

    @pytest.mark.parametrize(
        "options",
        [
            {"loss": Loss.WGAN_GP, "discriminator_steps": 2},
            {"placing_iterations": 3},
            {"anchored": False},
            {"anchored": False, "method": Method.IVIGAN, "loss": Loss.WGAN_GP},
            {"anchored": False, "method": Method.IVIGAN, "anchored_iterations": 3},
            {"anchored": False, "method": Method.SDGAN_TRIPLET, "embedding_interval": 2},
        ],
        ids=["wgan-gp", "landmarks first", "no labels", "ivigan", "begun from labels", "triplet"],
    )
    def test_so_does_every_method(self, corpus: Corpus, tmp_path: Path, options: dict[str, Any]) -> None:
        if options.get("method") is Method.SDGAN_TRIPLET:
            pytest.importorskip("onnx")
        spec = TrainingSpec(seed=4, iterations=6, **{**RUN, **options})
        straight = Trainer(corpus, spec)
        assert train(straight, tmp_path / "straight")
        broken = Trainer(corpus, spec)
        begun = weights(broken)
        train(broken, tmp_path / "broken", should_cancel=lambda: broken.iteration >= 4)
        broken = Trainer(corpus, spec)
        train(broken, tmp_path / "broken")
        assert all(torch.equal(value, weights(broken)[name]) for name, value in weights(straight).items())
        judges = (straight.judge.network.state_dict(), broken.judge.network.state_dict())
        assert all(torch.equal(judges[0][name], judges[1][name]) for name in judges[0])
        assert not torch.equal(begun["paint.weight"], weights(straight)["paint.weight"])

    def test_landmarks_are_learned_first_and_then_held(self, corpus: Corpus) -> None:
        spec = TrainingSpec(seed=3, iterations=62, placing_iterations=60, **{**RUN, "adversary_from": 1.0})
        trainer = Trainer(corpus, spec)
        told = [trainer.step() for _ in range(60)]
        assert told[-1]["landmarks"] < 0.3 * told[0]["landmarks"]
        assert set(told[-1]) == {"landmarks"}
        trainer.step()
        placed = [value.clone() for value in trainer.generator.geometry.parameters()]
        assert "pyramid" in trainer.step()
        for network in (trainer.generator, trainer.average):
            assert all(torch.equal(a, b) for a, b in zip(placed, network.geometry.parameters(), strict=True))

    def test_a_run_grows_from_a_model_and_may_keep_its_landmarks(self, corpus: Corpus, tmp_path: Path) -> None:
        first = Trainer(corpus, TrainingSpec(seed=3, iterations=2, **RUN))
        first.step()
        card = {
            "name": "first",
            "version": "1",
            "kind": "sdgan",
            "description": "",
            "sizes": [[16, 16]],
            "latent": {"identity": lt.IDENTITY, "observation": lt.FACTORS, "layout": lt.CURRENT.version},
            "licence": "",
            "provenance": "",
            "architecture": asdict(first.architecture),
        }
        save_model(tmp_path / "first", card, first.average.state_dict())
        grown = Trainer(corpus, TrainingSpec(seed=4, iterations=3, hold_landmarks=True, **RUN))
        grow_from_model(grown, tmp_path / "first")
        begun = {name: value.clone() for name, value in grown.generator.state_dict().items()}
        theirs = first.average.state_dict()
        assert all(torch.equal(value, theirs[name].half().float()) for name, value in begun.items())
        train(grown, tmp_path / "run")
        for network in (grown.generator, grown.average):
            now = network.state_dict()
            assert all(torch.equal(now[name], begun[name]) for name in begun if name.startswith(("geometry", "landm")))
            assert not torch.equal(now["paint.weight"], begun["paint.weight"])
        other = Trainer(corpus, TrainingSpec(iterations=1, **{**RUN, "base": 8}))
        with pytest.raises(RequestRefused, match="cannot grow from"):
            grow_from_model(other, tmp_path / "first")

    def test_ivigan_draws_nothing_for_a_factor_that_is_absent(self, corpus: Corpus) -> None:
        trainer = Trainer(corpus, TrainingSpec(iterations=1, anchored=False, method=Method.IVIGAN, **RUN))
        batch = corpus.pairs(0, 0, 2)
        identity, observation, flags = trainer._latents(0, 2, batch)
        assert torch.equal(identity[:2], identity[2:])
        assert flags.shape == (4, 0)
        present = trainer.layout.weak_labels(batch.labels.observation.numpy())
        assert 0 < present.mean() < 1, "labels that are all alike would prove nothing"
        for name, column in zip(trainer.layout.weak_factors, present.T, strict=True):
            part = observation[:, slice(*trainer.layout.factors[name])]
            assert ((part != 0).all(1).numpy() == (column > 0)).all()
        first, second = torch.from_numpy(present).chunk(2)
        assert torch.equal(trainer._weak(batch), torch.cat([first, second], 1))

    @pytest.mark.parametrize("method", [Method.SDGAN, Method.IVIGAN])
    def test_latents_that_a_run_begins_from_tell_of_the_pictures(self, corpus: Corpus, method: Method) -> None:
        layout = corpus.layout(TrainingSpec(iterations=1, anchored=False, method=method, **RUN))
        labels = corpus.latents
        rng = np.random.default_rng(7)
        told = rng.standard_normal((400, labels.observation)).astype(np.float32)
        own = layout.begun_from(told, np.random.default_rng(1))
        assert own.shape == (400, layout.observation)
        assert not own[:, slice(*layout.factors["background"])].any()
        again = layout.begun_from(told[::-1], np.random.default_rng(1))[::-1]
        pose = labels.factor(told, "pose")
        ivi = method is Method.IVIGAN
        present = np.sqrt(np.square(pose).mean(1)) > 0.6 if ivi else np.ones(400, bool)
        part = layout.factors["pose" if ivi else "residual"]
        theirs, twice = own[present, slice(*part)], again[present, slice(*part)]
        # They are read off linearly, and by the same rule in every batch.
        weights, *_ = np.linalg.lstsq(theirs, pose[present], rcond=None)
        assert np.abs(theirs @ weights - pose[present]).max() < 1e-4
        assert np.abs(twice @ weights - pose[present]).max() < 1e-4
        assert not own[~present, slice(*part)].any()
        assert theirs.std() == pytest.approx(1, abs=0.12)

    def test_a_run_begins_from_labels_and_goes_on_without(self, corpus: Corpus) -> None:
        spec = TrainingSpec(
            iterations=42,
            anchored=False,
            method=Method.IVIGAN,
            anchored_iterations=40,
            **{**RUN, "learning_rate": 4e-3},
        )
        trainer = Trainer(corpus, spec)
        told = [trainer.step() for _ in range(41)]
        assert set(told[39]) == {"pyramid"}
        assert np.mean([one["pyramid"] for one in told[35:40]]) < 0.7 * told[0]["pyramid"]
        assert set(told[40]) == {"fooled", "judge"}

    def test_made_pairs_share_an_identity_and_nothing_else(self, corpus: Corpus) -> None:
        trainer = Trainer(corpus, TrainingSpec(iterations=1, anchored=False, **RUN))
        identity, observation, _ = trainer._latents(5, 3, corpus.pairs(0, 0, 2))
        assert torch.equal(identity[:3], identity[3:])
        assert len({tuple(row.tolist()) for row in identity}) == 3
        assert len({tuple(row.tolist()) for row in observation}) == 6

    def test_a_triplet_pulls_the_made_identities_apart(self, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
        """Beside a run of the same batch whose triplet is told and does not count."""
        pytest.importorskip("onnx")
        first = corpus.pairs(3, 0, 3)
        monkeypatch.setattr(corpus, "pairs", lambda *_: first)
        told = []
        for weight in (1.0, 0.0):
            spec = TrainingSpec(
                seed=3,
                iterations=40,
                method=Method.SDGAN_TRIPLET,
                triplet_weight=weight,
                embedding_interval=1,
                learning_rate=5e-3,
                **{**RUN, "pairs": 3, "adversary_from": 1.0},
            )
            trainer = Trainer(corpus, spec)
            told.append([trainer.step()["triplet"] for _ in range(8)])
            assert not any(value.requires_grad for value in trainer._embedding.parameters())
        assert told[0][0] == told[1][0]
        assert np.mean(told[0][3:]) < 0.7 * np.mean(told[1][3:])

    def test_a_loss_that_is_no_number_stops_the_run(self, corpus: Corpus, tmp_path: Path) -> None:
        trainer = Trainer(corpus, TrainingSpec(iterations=4, **RUN))
        train(trainer, tmp_path, should_cancel=lambda: trainer.iteration >= 2)
        before = (tmp_path / loop.CHECKPOINT).read_bytes()
        with torch.no_grad():
            trainer.generator.paint.bias[0] = float("nan")
        monkey = trainer.load
        trainer.load = lambda path: None  # type: ignore[method-assign]  # keep the broken weights
        with pytest.raises(Diverged, match="'pyramid' is nan at iteration 3"):
            train(trainer, tmp_path)
        assert (tmp_path / loop.CHECKPOINT).read_bytes() == before
        trainer.load = monkey  # type: ignore[method-assign]
        assert train(trainer, tmp_path), "it goes on from the checkpoint"

    def test_a_full_disk_is_named_and_loses_nothing(
        self, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(tensors: Any, path: Path, metadata: Any) -> None:
            path.write_bytes(b"half")
            # What safetensors says on a full disk, word for word.
            raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

        trainer = Trainer(corpus, TrainingSpec(iterations=3, **RUN))
        train(trainer, tmp_path, should_cancel=lambda: trainer.iteration >= 1)
        before = (tmp_path / loop.CHECKPOINT).read_bytes()
        with monkeypatch.context() as patched:
            patched.setattr("workers.training.checkpoint.save_file", full)
            with pytest.raises(DiskFull, match=r"no room is left for .*checkpoint\.safetensors"):
                train(trainer, tmp_path)
        assert not list(tmp_path.glob("*.tmp"))
        assert (tmp_path / loop.CHECKPOINT).read_bytes() == before
        assert train(Trainer(corpus, trainer.spec), tmp_path)

    def test_the_log_forgets_what_will_come_again(self, corpus: Corpus, tmp_path: Path) -> None:
        spec = TrainingSpec(iterations=4, **RUN)
        first = Trainer(corpus, spec)
        train(first, tmp_path, checkpoint_every=1, should_cancel=lambda: first.iteration >= 2)
        kept = (tmp_path / loop.CHECKPOINT).read_bytes()
        train(Trainer(corpus, spec), tmp_path, checkpoint_every=1)
        (tmp_path / loop.CHECKPOINT).write_bytes(kept)  # as if it had been killed at 2 with the log ahead
        train(Trainer(corpus, spec), tmp_path, checkpoint_every=1)
        rows = (tmp_path / "log.csv").read_text().splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == ["1", "2", "3", "4"]

    def test_a_sheet_is_drawn(self, corpus: Corpus, tmp_path: Path) -> None:
        train(Trainer(corpus, TrainingSpec(iterations=2, **RUN)), tmp_path)
        sheet = decode((tmp_path / "sheet-0000002.png").read_bytes())
        assert sheet.shape == (6 * 16, 6 * 16, 3)
        assert sheet.std() > 1

    def test_it_learns(self, corpus: Corpus, tmp_path: Path) -> None:
        spec = TrainingSpec(seed=3, iterations=60, learning_rate=5e-3, **{**RUN, "adversary_from": 1.0})
        trainer = Trainer(corpus, spec)
        losses: list[float] = []
        train(trainer, tmp_path, on_progress=lambda done, total, told: losses.append(told["pyramid"]))
        assert np.mean(losses[-10:]) < 0.7 * np.mean(losses[:5])
        rows = (tmp_path / "log.csv").read_text().splitlines()
        assert rows[0].startswith("iteration,pyramid")
        assert rows[-1].startswith("60,")

    def test_the_discriminator_joins_when_it_should(self, corpus: Corpus, tmp_path: Path) -> None:
        trainer = Trainer(corpus, TrainingSpec(seed=3, iterations=4, **{**RUN, "adversary_from": 0.5}))
        before = [value.clone() for value in trainer.judge.network.parameters()]
        kinds = [set(trainer.step()) for _ in range(2)]
        assert all("judge" not in kind for kind in kinds)
        assert all(torch.equal(a, b) for a, b in zip(before, trainer.judge.network.parameters(), strict=True))
        assert "judge" in trainer.step()
        assert not all(torch.equal(a, b) for a, b in zip(before, trainer.judge.network.parameters(), strict=True))

    def test_the_matcher_is_asked_when_it_should(self, corpus: Corpus) -> None:
        pytest.importorskip("onnx")
        late = {**RUN, "adversary_from": 1.0, "identity_weight": 0.1, "identity_from": 0.5, "embedding_interval": 1}
        trainer = Trainer(corpus, TrainingSpec(seed=3, iterations=4, **late))
        assert ["identity" in trainer.step() for _ in range(4)] == [False, False, True, True]

    def test_other_settings_do_not_go_on_with_a_run(self, corpus: Corpus, tmp_path: Path) -> None:
        train(Trainer(corpus, TrainingSpec(iterations=1, **RUN)), tmp_path)
        with pytest.raises(RequestRefused, match="other settings"):
            train(Trainer(corpus, TrainingSpec(iterations=2, **RUN)), tmp_path)

    def test_a_broken_checkpoint_is_named(self, corpus: Corpus, tmp_path: Path) -> None:
        trainer = Trainer(corpus, TrainingSpec(iterations=1, **RUN))
        train(trainer, tmp_path)
        path = tmp_path / loop.CHECKPOINT
        path.write_bytes(path.read_bytes()[:1000])
        with pytest.raises(Corrupt, match="not a checkpoint"):
            trainer.load(path)

    @pytest.mark.parametrize("share", [0.95, 0.5], ids=["glasses shown", "glasses not shown"])
    def test_an_exported_model_is_the_averaged_generator(
        self, corpus: Corpus, corpus_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
    ) -> None:
        seen = GlassesSeen(
            held_out_renders=1.0, generated=share, asked_and_seen=share, not_asked_and_not_seen=share, samples=4
        )
        monkeypatch.setattr("workers.training.export.glasses_seen", lambda *arguments, on_progress: seen)
        trainer = Trainer(corpus, TrainingSpec(seed=3, iterations=3, **RUN))
        train(trainer, tmp_path / "run")
        figures = Measured(
            face_found_sigma_1=0.5, samples=2, unique_threshold=0.61234, identities=3, non_mated_mean=0.2
        )
        monkeypatch.setattr("workers.training.export.measure", lambda *_, on_progress: figures)
        card = export(trainer, tmp_path / "tiny", name="tiny", version="0.1.0")
        assert card.checks.unique is not None
        assert card.checks.unique.threshold == 0.6123
        assert set(card.attributes) == {"sex", "age", "skin_tone"} | ({"glasses"} if seen.enough else set())
        assert card.measured["glasses"]["generated"] == (0.95 if seen.enough else 0.5)  # type: ignore[attr-defined]
        assert card.training["corpus"]["sha256"] == corpus_digest(corpus_folder)  # type: ignore[attr-defined]
        model = load_sdgan(tmp_path / "tiny", "cpu")
        assert model.card == card
        mean = trainer.average.state_dict()
        loaded = model._network.state_dict()
        assert all(torch.equal(loaded[name], value.half().float()) for name, value in mean.items())
        assert model.generate(*(np.zeros((1, n), np.float32) for n in (lt.IDENTITY, lt.OBSERVATION)), 16, 16).any()


def test_measuring_finds_the_threshold_that_at_most_the_share_reaches(renderer: Any) -> None:
    small = renderer.card.model_copy(update={"sizes": ((64, 64),)})

    class Small:
        card = small

        def generate(self, *arguments: Any) -> Any:
            return renderer.generate(*arguments)

    figures = measure(Small(), load_sface(), load_detector(), identities=24, samples=16)  # type: ignore[arg-type]
    assert figures.face_found_sigma_1 >= 0.9
    # 276 pairs: a share of 1e-4 is less than one pair, so the threshold lies above them all.
    assert figures.non_mated_mean < figures.unique_threshold <= 1


class Bare:
    """A generator that never shows glasses, and one that always does what it is asked."""

    def __init__(self, renderer: Any, *, honest: bool) -> None:
        self.card = renderer.card.model_copy(update={"sizes": ((64, 64),)})
        self._renderer = renderer
        self._honest = honest

    def generate(self, identity: np.ndarray, *others: Any) -> np.ndarray:
        if not self._honest:
            identity = identity.copy()
            identity[:, lt.GLASSES] = -1
        return self._renderer.generate(identity, *others)


def test_glasses_are_seen_where_they_are_shown_and_not_where_they_are_not(renderer: Any, tmp_path: Path) -> None:
    spec = CorpusSpec(seed=8, subjects=60, samples_per_subject=2, size=64, subjects_per_part=60)
    open_corpus(tmp_path, spec)
    render.render_part(tmp_path, spec, 0)
    corpus = Corpus(tmp_path, held_out_share=0.1)
    look = partial(glasses_seen, corpus=corpus, samples=32, classifier=learn_glasses(corpus, steps=50))
    shown = look(Bare(renderer, honest=True))  # type: ignore[arg-type]
    bare = look(Bare(renderer, honest=False))  # type: ignore[arg-type]
    # At σ = 1 a camera blurs many; at 64 pixels so quick a learner does not see them all.
    assert shown.generated > 0.65
    assert shown.asked_and_seen > bare.asked_and_seen + 0.2
    assert bare.asked_and_seen < 0.3
    assert not bare.enough
