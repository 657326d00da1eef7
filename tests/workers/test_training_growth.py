"""A run begins with what a model of other latents has learned; and no network hears what its heads do not show."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional

from app.errors import Corrupt, RequestRefused
from workers.generator import latents as lt
from workers.generator.landmarks import LANDMARKS
from workers.generator.parametric.composing import compose
from workers.generator.parametric.develop import decode, tone
from workers.generator.sdgan.network import GeneratorNetwork
from workers.generator.sdgan.told import told, told_size
from workers.generator.weights import save_model
from workers.training import checkpoint
from workers.training.corpus.portraits import first_samples
from workers.training.corpus.store import CorpusSpec, open_corpus, write_part
from workers.training.data import Batch, Corpus, Labels
from workers.training.export import provenance
from workers.training.growth import grow_from, grow_from_model, hearing_names
from workers.training.layout import renders_layout
from workers.training.loop import train
from workers.training.packing import PACKED
from workers.training.repulsion import same_worn
from workers.training.seen import before
from workers.training.sources import open_source
from workers.training.spec import TrainingSpec
from workers.training.streams import BATCHES, stream
from workers.training.stylegan2.pictures import GREY, shrunk
from workers.training.trainer import Trainer

RUN: dict[str, Any] = {"pairs": 2, "base": 4, "adversary_from": 1.0, "warm_up": 1}


class Drawn:
    """A source of the second layout without renders: what a batch holds is drawn from (seed, iteration)."""

    resolution, subjects, held_out_from = 16, 9, 8
    latents = lt.SECOND

    def layout(self, spec: TrainingSpec) -> Any:
        return renders_layout(spec, self.latents)

    def pairs(self, seed: int, iteration: int, pairs: int) -> Batch:
        rng = stream(seed, BATCHES, iteration)
        who = np.tile(rng.standard_normal((pairs, self.latents.identity), np.float32), (2, 1))
        how = rng.standard_normal((2 * pairs, self.latents.observation), np.float32)
        return Batch(
            images=torch.from_numpy(rng.random((2 * pairs, 4, 16, 16), np.float32)),
            labels=Labels(
                landmarks=torch.from_numpy(rng.random((2 * pairs, LANDMARKS, 2), np.float32)),
                landmarks_known=torch.ones(2 * pairs, dtype=torch.bool),
                identity=torch.from_numpy(who),
                observation=torch.from_numpy(how),
                flags=torch.from_numpy(told(who, how, self.latents)),
            ),
        )


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def first_model(tmp_path: Path) -> Path:
    """A model of the first layout."""
    torch.manual_seed(5)
    architecture = renders_layout(TrainingSpec(iterations=1, **RUN), lt.FIRST).architecture(
        TrainingSpec(iterations=1, **RUN), 16
    )
    card = {
        "name": "first",
        "version": "1",
        "kind": "sdgan",
        "description": "",
        "sizes": [[16, 16]],
        "latent": {"identity": lt.FIRST.identity, "observation": lt.FIRST.factors, "layout": 1},
        "licence": "",
        "provenance": "",
        "architecture": asdict(architecture),
    }
    network = GeneratorNetwork(architecture)
    torch.nn.init.normal_(network.mapping[0].bias)
    save_model(tmp_path / "first", card, network.state_dict())
    return tmp_path / "first"


class TestGrowthByNames:
    def test_what_both_layouts_name_means_what_it_meant(self, first_model: Path) -> None:
        from workers.generator.sdgan.generator import load_sdgan

        theirs = load_sdgan(first_model, "cpu").network
        trainer = Trainer(Drawn(), TrainingSpec(iterations=1, **RUN))
        grown = grow_from_model(trainer, first_model)
        old, new = hearing_names(lt.FIRST), hearing_names(lt.SECOND)
        both = [name for name in new if name in old]
        assert {"z_I sex", "z_I skin_tone", "z_O yaw", "z_O smile", "flag glasses"} <= set(both)
        seen = [name for name in both if not name.startswith("z_O backdrop")]
        values = dict(zip(seen, torch.randn(len(seen), 3, generator=torch.Generator().manual_seed(1)), strict=True))
        features = [torch.stack([values.get(name, torch.zeros(3)) for name in names], 1) for names in (old, new)]
        for network in trainer.networks:
            for stack in ("mapping", "geometry"):
                before_, after = getattr(theirs, stack)(features[0]), getattr(network, stack)(features[1])
                assert torch.allclose(before_, after, atol=1e-4)
                assert before_.std() > 0.01, "of all alike nothing would be proven"
            assert torch.equal(network.paint.weight, theirs.paint.weight)
        assert "mapping.0.weight" in grown.layers
        assert "blocks.0.first.weight" in grown.layers

    def test_other_latents_begin_without_effect_and_lost_ones_are_told(self, first_model: Path) -> None:
        trainer = Trainer(Drawn(), TrainingSpec(iterations=1, **RUN))
        grown = grow_from_model(trainer, first_model)
        new = hearing_names(lt.SECOND)
        weight = trainer.generator.mapping[0].weight
        silent = {name for name, column in zip(new, weight.T, strict=True) if not column.any()}
        assert set(grown.begun) <= silent
        assert {"z_I lid_opening", "z_I shape 110 of layout 2", "light 0", "z_O roll"} <= set(grown.begun)
        assert silent - set(grown.begun) == {"z_O backdrop_level", "z_O backdrop_hue", "z_O backdrop_vignette"}
        assert "z_I hair_colour" in grown.dropped
        assert "z_I shape 63 of layout 1" in grown.dropped
        assert f"{len(grown.begun)} latents and flags begin at zero; dropped are z_I hair_colour" in grown.told
        assert f"and {len(grown.dropped) - 8} more" in grown.told

    def test_a_run_learns_from_there(self, first_model: Path) -> None:
        trainer = Trainer(Drawn(), TrainingSpec(iterations=3, **RUN))
        grow_from_model(trainer, first_model)
        begun = trainer.generator.mapping[0].weight.detach().clone()
        for _ in range(2):
            trainer.step()
        moved = (trainer.generator.mapping[0].weight - begun).abs().amax(0) > 0
        unseen = [n.startswith("z_O") and not s for n, s in zip(hearing_names(lt.SECOND), _shown(), strict=True)]
        flat = (begun == 0).all(0)
        assert moved[flat & ~torch.tensor(unseen)].float().mean() > 0.9, "what began at zero is learned"
        assert not moved[torch.tensor(unseen)].any()

    def test_names_are_of_a_layout_each_once(self) -> None:
        for layout in (lt.FIRST, lt.SECOND):
            names = hearing_names(layout)
            assert len(names) == len(set(names))
        shapes = [{name for name in hearing_names(layout) if "shape" in name} for layout in (lt.FIRST, lt.SECOND)]
        assert shapes[0].isdisjoint(shapes[1])
        assert len(shapes[0]) == len(lt.FIRST.shape)

    def test_another_base_is_refused(self, first_model: Path) -> None:
        trainer = Trainer(Drawn(), TrainingSpec(iterations=1, **{**RUN, "base": 8}))
        with pytest.raises(RequestRefused, match=r"grow_from: .* a base or a resolution that this cannot grow from"):
            grow_from_model(trainer, first_model)


class TestGrowthFromARun:
    def test_a_run_goes_on_from_the_average_of_another_with_settings_of_its_own(self, tmp_path: Path) -> None:
        first = Trainer(Drawn(), TrainingSpec(iterations=2, seed=1, **RUN))
        first.step()
        first.step()
        (tmp_path / "run").mkdir()
        first.save(tmp_path / "run" / "checkpoint.safetensors")
        second = Trainer(Drawn(), TrainingSpec(iterations=9, seed=2, hold_landmarks=True, **RUN))
        grown = grow_from(second, tmp_path / "run")
        assert grown.told == ""
        for network in second.networks:
            for name, value in first.average.state_dict().items():
                assert torch.equal(network.state_dict()[name], value)
        assert second.iteration == 0
        assert not torch.equal(first.average.paint.weight, first.generator.paint.weight), "it is the average"

    def test_a_run_of_another_network_and_a_folder_of_neither_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "run").mkdir()
        Trainer(Drawn(), TrainingSpec(iterations=2, **RUN)).save(tmp_path / "run" / "checkpoint.safetensors")
        wider = Trainer(Drawn(), TrainingSpec(iterations=1, **{**RUN, "base": 8}))
        with pytest.raises(RequestRefused, match=r"grow_from: .* holds a run of another network \(blocks"):
            grow_from(wider, tmp_path / "run")
        (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"none")
        with pytest.raises(Corrupt, match="is not a checkpoint"):
            grow_from(wider, tmp_path / "run")


def _shown() -> list[bool]:
    layout = renders_layout(TrainingSpec(iterations=1, **RUN), lt.SECOND)
    flags = len(hearing_names(lt.SECOND)) - layout.identity - layout.observation
    return [True] * layout.identity + [bool(x) for x in layout.shown] + [True] * flags


class TestUnseen:
    def test_heads_hang_on_neither_backdrop_nor_camera(self) -> None:
        trainer = Trainer(Drawn(), TrainingSpec(iterations=2, **RUN))
        for _ in range(2):
            trainer.step()
        labels = Drawn().pairs(3, 0, 2).labels
        other = labels.observation.clone()
        start, stop = lt.SECOND.factors["background"]
        other[:, start:stop] += 3
        other[:, slice(*lt.SECOND.factors["capture"])] -= 3
        turned = labels.observation.clone()
        turned[:, 0] += 1
        with torch.no_grad():
            for network in trainer.networks:
                made, changed, moved = (
                    network(labels.identity, how, labels.flags) for how in (labels.observation, other, turned)
                )
                assert all(torch.equal(a, b) for a, b in zip(made, changed, strict=True))
                assert not torch.equal(made[0], moved[0])

    def test_a_checkpoint_of_before_forgets_them(self, tmp_path: Path) -> None:
        trainer = Trainer(Drawn(), TrainingSpec(iterations=2, **RUN))
        column = lt.SECOND.identity + lt.SECOND.dimensions["noise"]
        with torch.no_grad():
            trainer.average.mapping[0].weight[:, column] = 1
        trainer.save(tmp_path / "checkpoint.safetensors")
        trainer.load(tmp_path / "checkpoint.safetensors")
        assert not trainer.average.mapping[0].weight[:, column].any()


def test_pairs_that_differ_in_what_is_worn_are_not_drawn_together() -> None:
    for layout in (lt.FIRST, lt.SECOND):
        flags = torch.zeros(10, told_size(layout))
        flags[:, lt.FLAG_NAMES.index("crop")] = torch.arange(10) / 3  # another haircut is no matter
        flags[[1, 6], lt.FLAG_NAMES.index("glasses")] = 2
        flags[7, lt.FLAG_NAMES.index("glasses")] = 2
        expected = [True, True, False, True, True]
        if layout is lt.SECOND:
            flags[3, lt.FLAG_NAMES.index("headwear")] = 2
            flags[9, lt.FLAG_NAMES.index("mask")] = 2
            expected[3:] = [False, False]
        assert same_worn(flags).tolist() == expected


class TestBegunCorpora:
    def test_training_takes_the_parts_that_are_there_and_no_gap(self, tmp_path: Path) -> None:
        spec = CorpusSpec(subjects=7, samples_per_subject=2, size=16, subjects_per_part=2)
        for folder, parts, subjects in (("begun", (0, 1, 3), 7), ("small", (0, 1), 4)):
            open_corpus(tmp_path / folder, spec.model_copy(update={"subjects": subjects}))
            for number in parts:
                write_part(tmp_path / folder, number, _part(spec, number))
        with pytest.raises(Corrupt, match="is not finished: 1 of 4 parts are missing"):
            Corpus(tmp_path / "begun")
        begun, small = open_source(tmp_path / "begun", begun=True), Corpus(tmp_path / "small")
        assert begun.subjects == 4
        assert begun.card() == small.card()
        one, other = begun.pairs(1, 2, 3), small.pairs(1, 2, 3)
        assert torch.equal(one.images, other.images)
        write_part(tmp_path / "begun", 2, _part(spec, 2))
        whole = [Corpus(tmp_path / "begun", begun=begun) for begun in (True, False)]
        assert whole[0].card() == whole[1].card()
        assert whole[0].subjects == 7

    def test_a_corpus_without_a_first_part_and_photographs_are_refused(self, tmp_path: Path) -> None:
        open_corpus(tmp_path, CorpusSpec(subjects=7, samples_per_subject=2, size=16, subjects_per_part=2))
        with pytest.raises(Corrupt, match="has no first part yet"):
            Corpus(tmp_path, begun=True)
        (tmp_path / "own").mkdir()
        (tmp_path / "own" / PACKED).write_text("{}")
        with pytest.raises(RequestRefused, match=r"begun: .* holds photographs"):
            open_source(tmp_path / "own", begun=True)


def _part(spec: CorpusSpec, number: int) -> dict[str, Any]:
    subjects = np.repeat(np.array(spec.part(number), np.int32), 2)
    rng = np.random.default_rng(number)
    return {
        "head": rng.integers(0, 256, (len(subjects), 16, 16, 4), dtype=np.uint8),
        "landmarks": np.zeros((len(subjects), LANDMARKS, 2), np.float32),
        "identity": rng.standard_normal((len(subjects), lt.IDENTITY), np.float32),
        "observation": rng.standard_normal((len(subjects), lt.OBSERVATION), np.float32),
        "subject": subjects,
    }


class TestSaving:
    def test_a_slow_run_is_saved_before_its_iterations_say_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seconds = [0.0]
        monkeypatch.setattr(checkpoint, "monotonic", lambda: seconds[0])
        trainer = Trainer(Drawn(), TrainingSpec(iterations=5, **RUN))
        saved: list[int] = []

        def save(path: Path) -> None:
            saved.append(trainer.iteration)

        def step() -> dict[str, float]:
            trainer.iteration += 1
            seconds[0] += 250
            return {}

        monkeypatch.setattr(trainer, "save", save)
        monkeypatch.setattr(trainer, "step", step)
        monkeypatch.setattr(trainer, "held_out_error", lambda count: None)
        train(trainer, tmp_path, should_cancel=lambda: trainer.iteration >= 4)
        assert saved == [3, 4], "after 750 s, and when it was broken off"


class TestSeen:
    def test_tensors_are_developed_as_pictures_are(self) -> None:
        heads = torch.rand(3, 4, 5, 5, generator=torch.Generator().manual_seed(1))
        heads[:, :3] *= heads[:, 3:]
        encoded = (heads[:, :3] + 0.4 * (1 - heads[:, 3:])).permute(0, 2, 3, 1).numpy()
        seen = before(heads, 0.4, lt.SECOND).permute(0, 2, 3, 1).numpy()
        assert np.abs(seen - tone(decode(encoded))).max() < 1e-3
        assert np.abs(before(heads, 0.4, lt.FIRST).permute(0, 2, 3, 1).numpy() - encoded).max() < 1e-6
        assert np.abs(seen - encoded).mean() > 0.05, "developing changes what is seen"

    def test_slopes_have_a_bound_where_it_is_dark(self) -> None:
        heads = torch.zeros(1, 4, 2, 2, requires_grad=True)
        before(heads + 0, 0.0, lt.SECOND).sum().backward()
        assert torch.isfinite(heads.grad).all()

    def test_single_images_are_learned_as_they_are_seen(self) -> None:
        rng = np.random.default_rng(1)
        pixels = rng.integers(0, 256, (2, 8, 8, 4), dtype=np.uint8)
        pixels[..., 3] = 255
        for layout, expected in ((lt.SECOND, tone(decode(pixels[..., :3] / 255))), (lt.FIRST, pixels[..., :3] / 255)):
            found = shrunk(pixels, 8, layout).transpose(0, 2, 3, 1)
            assert np.abs(found / 255 - expected).max() < 0.003

    def test_portraits_of_a_corpus_are_what_its_renderer_would_show_at_rest(self, tmp_path: Path) -> None:
        spec = CorpusSpec(subjects=1, samples_per_subject=2, size=16)
        rng = np.random.default_rng(1)
        heads = rng.integers(0, 256, (2, 16, 16, 4), dtype=np.uint8)
        heads[..., :3] = np.minimum(heads[..., :3], heads[..., 3:])
        who = np.tile(rng.standard_normal((1, lt.IDENTITY)).astype(np.float32), (2, 1))
        how = rng.standard_normal((2, lt.OBSERVATION)).astype(np.float32)
        open_corpus(tmp_path, spec)
        columns = {"head": heads, "landmarks": np.zeros((2, LANDMARKS, 2), np.float32), "identity": who}
        write_part(tmp_path, 0, {**columns, "observation": how, "subject": np.zeros(2, np.int32)})
        ((subject, pixels),) = first_samples(tmp_path, np.array([0]))
        expected = compose(heads[:1] / np.float32(255), who[:1], np.zeros_like(how[:1]))[0]
        assert subject == 0
        assert np.abs(pixels / 255 - expected).max() < 0.003


def test_a_mean_over_squares_is_taken_of_what_is_seen() -> None:
    pixels = np.zeros((1, 4, 4, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[0, ::2, :, :3] = 200
    found = torch.from_numpy(shrunk(pixels, 2, lt.SECOND)).float()
    seen = before(torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255, GREY, lt.SECOND)
    assert (found - 255 * functional.avg_pool2d(seen, 2)).abs().max() <= 0.51


def test_a_model_of_scanned_shapes_credits_them() -> None:
    drawn, scanned = (provenance(about, 9, embedded=True) for about in ({}, {"heads": "ab" * 32}))
    assert "ICT-FaceKit, © 2020 USC" in scanned
    assert "ICT-FaceKit" not in drawn
    assert "the user's own photographs of 9 people" in provenance({"kind": "photographs"}, 9, embedded=False)
