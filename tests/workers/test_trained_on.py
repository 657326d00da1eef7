"""Templates of a training corpus: written beside a card, read back, and refused where they are not what it says."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.dataset.model import ModelCard
from app.errors import Corrupt, RequestRefused
from workers.appraisal.training_templates import choose, template_corpus, trained_on
from workers.generator.cards import read_card, write_card
from workers.generator.registry import SHIPPED
from workers.generator.trained_on import TemplatesOf, TrainedOn, joined, load_trained_on, save_trained_on
from workers.matchers.dlib_resnet import DlibResNet
from workers.matchers.sface import SFace
from workers.training.corpus.store import COLUMNS, CorpusSpec, corpus_digest, open_corpus, write_part


def found() -> dict[str, TrainedOn]:
    rng = np.random.default_rng(0)
    tables = [
        TemplatesOf(templates=rng.normal(size=(count, 8)).astype(np.float32), subjects=np.arange(first, first + count))
        for first, count in ((0, 5), (5, 3))
    ]
    return {"reader": TrainedOn(matcher_digest="a" * 64, training=tables[0], held_out=tables[1])}


@pytest.fixture
def card(tmp_path: Path, paint: Any) -> ModelCard:
    about = save_trained_on(tmp_path, found(), identities=95, corpus="c" * 64)
    return ModelCard.model_validate(paint.card.model_dump() | {"training_templates": about})


def test_what_was_written_is_read(card: ModelCard, tmp_path: Path) -> None:
    about = card.training_templates
    assert about is not None
    assert (about.identities, about.templates, about.held_out, about.corpus_sha256) == (95, 5, 3, "c" * 64)
    (read,) = load_trained_on(tmp_path, card).values()
    asked = found()["reader"]
    assert read.matcher_digest == asked.matcher_digest
    for side in ("training", "held_out"):
        assert np.abs(getattr(read, side).templates - getattr(asked, side).templates).max() < 2e-3
        assert getattr(read, side).templates.dtype == np.float32
        assert getattr(read, side).subjects.tolist() == getattr(asked, side).subjects.tolist()


def test_the_same_templates_give_the_same_file_and_another_model_they_do_not_make(
    card: ModelCard, tmp_path: Path, paint: Any
) -> None:
    before = (tmp_path / "training-templates.safetensors").read_bytes()
    save_trained_on(tmp_path, found(), identities=95, corpus="c" * 64)
    assert (tmp_path / "training-templates.safetensors").read_bytes() == before
    assert card.digest == paint.card.digest


def test_the_shipped_model_brings_templates_by_both_judges() -> None:
    folder = SHIPPED / "sdgan"
    shipped = load_trained_on(folder, read_card(folder))
    assert {name: one.matcher_digest for name, one in shipped.items()} == {
        SFace.name: SFace.digest,
        DlibResNet.name: DlibResNet.digest,
    }
    for one in shipped.values():
        assert len(one.training.subjects) > 1_000
        assert not set(one.training.subjects.tolist()) & set(one.held_out.subjects.tolist())


def test_a_card_without_templates_has_none(paint: Any, tmp_path: Path) -> None:
    assert load_trained_on(tmp_path, paint.card) == {}


@pytest.mark.parametrize("harm", ["gone", "other", "cut", "outside"])
def test_another_file_is_refused(card: ModelCard, tmp_path: Path, harm: str) -> None:
    path = tmp_path / "training-templates.safetensors"
    if harm == "gone":
        path.unlink()
    elif harm == "other":
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    elif harm == "cut":
        path.write_bytes(b"")
    else:
        about = card.training_templates.model_copy(update={"file": "../x.safetensors"})  # type: ignore[union-attr]
        card = card.model_copy(update={"training_templates": about})
    with pytest.raises(Corrupt):
        load_trained_on(tmp_path, card)


def test_identities_are_spread_over_those_trained_on_and_the_held_out_are_apart() -> None:
    chosen = choose(200, training=10, held_out=4)
    assert trained_on(200) == 190
    assert chosen[:10].tolist() == [0, 21, 42, 63, 84, 105, 126, 147, 168, 189]
    assert chosen[10:].tolist() == [190, 191, 192, 193]
    assert len(choose(20, training=500, held_out=500)) == 20


def test_every_portrait_is_templated_on_its_side(blocks: Any, reader: Any) -> None:
    identity = np.random.default_rng(1).normal(size=(6, 6)).astype(np.float32)
    observation = np.zeros((6, 6), np.float32)
    observation[2, 0] = 3
    reader.blind_beyond = 1.0
    pixels = ((blocks.generate(identity, observation, 32, 32) + 1) * 127.5).astype(np.uint8)
    found_of = template_corpus(zip(range(6), pixels, strict=True), [reader], trained=4)
    assert found_of["reader"].training.subjects.tolist() == [0, 1, 3]
    assert found_of["reader"].held_out.subjects.tolist() == [4, 5]
    assert np.abs(found_of["reader"].training.templates[0] - identity[0]).max() < 0.1


def test_templates_of_the_model_that_it_grew_from_follow_with_numbers_of_their_own() -> None:
    own, before = found()["reader"], found()["reader"]
    both = joined({"reader": own}, {"reader": before})["reader"]
    assert both.training.subjects.tolist() == [0, 1, 2, 3, 4, 8, 9, 10, 11, 12]
    assert both.held_out.subjects.tolist() == [5, 6, 7, 13, 14, 15]
    assert (both.training.templates == np.concatenate([own.training.templates, before.training.templates])).all()
    again = joined({"reader": both}, {"reader": before})["reader"]
    subjects = np.concatenate([again.training.subjects, again.held_out.subjects])
    assert len(set(subjects.tolist())) == len(subjects) == 24
    other = TrainedOn(matcher_digest="b" * 64, training=before.training, held_out=before.held_out)
    with pytest.raises(Corrupt, match="reader aaaaaaaa and reader bbbbbbbb"):
        joined({"reader": own}, {"reader": other})


def test_the_command_keeps_what_the_model_before_was_trained_on(
    card: ModelCard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from typer.testing import CliRunner

    from workers.commands.train import train

    corpus, mine, bare = (tmp_path / name for name in ("corpus", "mine", "bare"))
    open_corpus(corpus, CorpusSpec(subjects=20, samples_per_subject=2, size=16, subjects_per_part=20))
    write_part(corpus, 0, {name: np.zeros(40, np.float32) for name in COLUMNS})
    for folder, own in ((tmp_path, card), (mine, card), (bare, card.model_copy(update={"training_templates": None}))):
        folder.mkdir(exist_ok=True)
        write_card(folder, own)
    monkeypatch.setattr("workers.generator.registry.model_folders", lambda settings: {"mine": mine})
    monkeypatch.setattr("workers.matchers.registry.load_matcher", lambda name, settings: name)
    made = lambda portraits, judges, *, trained, on_progress: found()  # noqa: E731
    monkeypatch.setattr("workers.appraisal.training_templates.template_corpus", made)

    def run(before: Path) -> Any:
        arguments = ("templates", "mine", "--corpus", corpus, "--grown-from", before)
        return CliRunner().invoke(train, [str(part) for part in arguments], catch_exceptions=False)

    with pytest.raises(RequestRefused, match="bare has no templates of what it was trained on"):
        run(bare)
    assert "10 of 114 identities" in run(tmp_path).output
    about = read_card(mine).training_templates
    assert about is not None
    assert about.corpus_sha256 == f"{corpus_digest(corpus)}+{'c' * 64}"
    (read,) = load_trained_on(mine, read_card(mine)).values()
    assert (len(read.training.subjects), len(read.held_out.subjects)) == (10, 6)
