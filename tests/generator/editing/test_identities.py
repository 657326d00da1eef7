"""What z_I means: a turn that keeps it N(0, 1), people moved apart alike whoever asks, files that may not lie."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.dataset.model import ModelCard
from app.dataset.planning import make_plan
from app.dataset.request import DatasetRequest
from app.errors import Corrupt
from workers.generator.base import APART_BLOCK
from workers.generator.draw import draw_identity
from workers.generator.editing.apart import mapping_of, moved_apart, predicted
from workers.generator.editing.identities import Apart, Identities, save_identities, turn_of
from workers.generator.imported import model_folder
from workers.generator.registry import FAMILIES
from workers.generator.stylegan2.network import Architecture, StyleGan2
from workers.pipeline.generate import attributes_of, draw_identities, generate_portraits

ARCHITECTURE = Architecture(latent=12, labels=0, embedding=0, mapping=(12, 10), resolution=8, channels=(4, 4))


def network() -> StyleGan2:
    made = StyleGan2(ARCHITECTURE)
    rng = np.random.default_rng(5)
    made.load_state_dict(
        {
            name: torch.tensor(rng.standard_normal(tuple(value.shape)) * (0.3 if name.endswith("bias") else 1)).float()
            for name, value in made.state_dict().items()
        }
    )
    return made.eval().requires_grad_(requires_grad=False)


def how(**update: Any) -> Apart:
    rng = np.random.default_rng(6)
    given = {"margin": 0.2, "steps": 10, "stride": 0.08, **update}
    z = torch.from_numpy(rng.standard_normal((500, 12)))
    w = mapping_of(network(), None, 0)(z).detach().numpy()
    likeness, middle = rng.standard_normal((5, 10)), w.mean(0)
    base = np.full(5, 0.3 * ((w - middle) @ likeness.T).std())
    return Apart(likeness=likeness, middle=middle, base=base, **given)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with an attribute and repulsion."""
    from dataclasses import asdict

    from workers.generator.editing.directions import Direction, factors_of, save_directions
    from workers.generator.weights import save_model

    made, where = network(), tmp_path / "mine"
    where.mkdir()
    one = Direction(name="a", factor="residual", space="W", normal=np.eye(10)[0], unit=0.5, limit=1.0)
    card = {
        "name": "mine",
        "version": "1.0",
        "kind": "stylegan2",
        "description": "",
        "sizes": [[8, 8]],
        "latent": {"identity": 12, "observation": factors_of([one], noise=True)},
        "licence": "CC0-1.0",
        "provenance": "random numbers",
        "architecture": asdict(ARCHITECTURE),
        "directions": save_directions(where, [one]),
        "truncation": {"psi": 1.0, "cutoff": None},
    }
    save_model(where, card, made.state_dict(), torch.float32)
    found = Identities(turn=turn_of([normal()]), apart=how())
    glasses = {"kind": "share", "latent": 0, "threshold": 0.5, "measured": {"held_out_accuracy": 0.9}}
    model_folder.replace_identities(where, found, {"glasses": glasses}, {"samples": 100})
    return where


def normal() -> np.ndarray:
    made = np.random.default_rng(7).standard_normal(12)
    return made / np.linalg.norm(made)


def plan_for(card: ModelCard, subjects: int, **fields: Any) -> Any:
    request = DatasetRequest.model_validate(
        {"name": "t", "subjects": subjects, "samples_per_subject": 2, "checks": {"unique": False}, **fields}
    )
    return make_plan(request, card, dataset="ds_t", seed=3, shard_size=8, max_comparisons=10**9)


def test_a_turn_begins_with_its_normals_and_is_orthogonal() -> None:
    rng = np.random.default_rng(1)
    normals = [one / np.linalg.norm(one) for one in rng.standard_normal((3, 20))]
    turn = turn_of(normals)
    np.testing.assert_allclose(turn @ turn.T, np.eye(20), atol=1e-12)
    np.testing.assert_allclose(turn[0], normals[0], atol=1e-12)
    assert turn[1] @ normals[1] > 0.8
    assert abs(turn[1] @ normals[0]) < 1e-12
    with pytest.raises(ValueError, match="span"):
        turn_of([normals[0], normals[0]])
    with pytest.raises(ValueError, match="not orthogonal"):
        Identities(turn=np.ones((3, 3)))


def test_people_are_moved_apart_and_stay_themselves_otherwise() -> None:
    drawn = np.stack([draw_identity(1, number, 0, 12) for number in range(64)])
    to_w = mapping_of(network(), None, 0)
    apart = moved_apart(drawn, turn_of([normal()]), 1, how(), to_w)
    assert np.array_equal(apart[:, 0], drawn[:, 0]), "an attribute's latent stays"
    np.testing.assert_allclose(np.linalg.norm(apart, axis=1), np.linalg.norm(drawn, axis=1), rtol=1e-5)

    def crowded(z: np.ndarray) -> float:
        turned = torch.from_numpy(z.astype(np.float64) @ turn_of([normal()]))
        templates = predicted(to_w(turned), how()).detach().numpy()
        pairs = (templates @ templates.T)[np.triu_indices(len(z), 1)]
        return float(np.square(np.maximum(pairs - how().margin, 0)).mean())

    assert crowded(apart) < 0.9 * crowded(drawn)
    still = moved_apart(drawn, None, 0, how(margin=0.999, steps=1), to_w)
    np.testing.assert_allclose(still, drawn, atol=1e-5)


def test_a_subject_is_the_same_whoever_asks_and_in_whatever_set(folder: Path) -> None:
    generator = FAMILIES["stylegan2"].load(folder, "cpu")
    assert generator.repels
    few, many = (plan_for(generator.card, subjects) for subjects in (3, 300))
    whole = draw_identities(many, generator, range(300), [0] * 300)
    afresh = FAMILIES["stylegan2"].load(folder, "cpu")
    np.testing.assert_array_equal(draw_identities(few, afresh, [2, 0], [0, 0]), whole[[2, 0]])
    np.testing.assert_array_equal(draw_identities(many, afresh, [299, 256, 2], [0] * 3), whole[[299, 256, 2]])
    assert not np.array_equal(draw_identities(many, afresh, [2], [1]), whole[[2]])
    assert not np.array_equal(whole[0], draw_identity(3, 0, 0, 12)), "it was moved"
    portraits = generate_portraits(many, generator, [5, 270], [0, 0])
    np.testing.assert_array_equal(generate_portraits(many, afresh, [270], [0])[0], portraits[1])
    assert len(generator._apart) <= 4
    assert APART_BLOCK == 256


def test_attributes_are_met_in_count(folder: Path) -> None:
    """Exactly as many subjects lie on the asked side of the plane, in the network's own z too."""
    generator = FAMILIES["stylegan2"].load(folder, "cpu")
    plan = plan_for(generator.card, 40, attributes={"glasses": 0.3})
    z = draw_identities(plan, generator, range(40), [0] * 40)
    assert sum(bool(attributes_of(generator.card, one)["glasses"]) for one in z) == 12
    turned = z.astype(np.float64) @ turn_of([normal()])
    assert int((turned @ normal() >= 0.5).sum()) == 12


def test_identities_that_lie_are_refused(folder: Path) -> None:
    path = folder / "card.json"
    card = json.loads(path.read_text())
    for change, words in (
        ({"file": "../x"}, "a file of their own"),
        ({"sha256": "0" * 64}, "not the file that the card"),
        ({"apart": {"margin": 0.2, "steps": 10**9, "stride": 0.1}}, "are not possible"),
        ({"apart": {"margin": 0.2}}, "steps"),
    ):
        path.write_text(json.dumps({**card, "identities": {**card["identities"], **change}}))
        with pytest.raises(Corrupt, match=words):
            FAMILIES["stylegan2"].load(folder, "cpu")
    other = save_identities(folder, Identities(turn=np.eye(7)), {})
    path.write_text(json.dumps({**card, "identities": other}))
    with pytest.raises(Corrupt, match="turn has 7 dimensions; this model's z has 12"):
        FAMILIES["stylegan2"].load(folder, "cpu")


def test_a_model_gets_its_meaning_in_one_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = FAMILIES["stylegan2"].load(folder, "cpu").card

    def broken(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(model_folder, "write_card", broken)
        with pytest.raises(OSError, match="No space"):
            model_folder.replace_identities(folder, Identities(apart=how(margin=0.1)), {}, {})
    assert FAMILIES["stylegan2"].load(folder, "cpu").card == before
    after = model_folder.replace_identities(folder, Identities(apart=how(margin=0.1)), {}, {})
    assert (before.version, after.version) == ("1.1", "1.2")
    assert len(list(folder.glob("identities-*"))) == 1
    assert FAMILIES["stylegan2"].load(folder, "cpu").repels
