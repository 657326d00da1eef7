"""Layouts: latents have names, a card says which layout its model has, and one of before goes on beside a new one."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.dataset.model import ModelCard
from app.errors import Corrupt
from workers.generator import latents as lt
from workers.generator.registry import SHIPPED, model_card
from workers.generator.shown import shown

SECOND = replace(
    lt.FIRST,
    version=2,
    identity=96,
    who={**lt.FIRST.who, "lid_fold": 64},
    how={"capture": ("blur", "noise"), **lt.FIRST.how},
)
"""More identity, and a factor that stands before all others: every number of an observation changes."""


@pytest.fixture
def two_layouts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lt, "LAYOUTS", {1: lt.FIRST, 2: SECOND})


def card(layout: lt.Layout, said: int | None, **changes: Any) -> ModelCard:
    latent = {"identity": layout.identity, "observation": layout.factors, "layout": said}
    return ModelCard.model_validate(
        {
            "name": "m",
            "version": "1",
            "kind": "sdgan",
            "description": "",
            "sizes": [[16, 16]],
            "latent": {**latent, **changes},
            "licence": "none",
            "provenance": "none",
        }
    )


def draw(layout: lt.Layout, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return (
        rng.standard_normal((count, layout.identity), np.float32),
        rng.standard_normal((count, layout.observation), np.float32),
    )


@pytest.mark.parametrize("layout", lt.LAYOUTS.values())
def test_every_dimension_has_one_name(layout: lt.Layout) -> None:
    names = [name for names in layout.how.values() for name in names]
    assert len(set(names)) == len(names) == layout.observation
    assert (layout.mirrored or set()) <= set(names)
    assert len(set(layout.who.values())) == len(layout.who)
    assert {*layout.who.values(), *layout.shape} == set(range(layout.identity))


def test_the_first_layout_is_what_its_models_were_trained_on() -> None:
    assert (lt.FIRST.identity, lt.FIRST.observation, lt.FIRST.flags) == (64, 28, 17)
    assert lt.FIRST.factors == {
        "pose": (0, 2),
        "expression": (2, 8),
        "illumination": (8, 16),
        "accessories": (16, 17),
        "age_offset": (17, 18),
        "background": (18, 24),
        "residual": (24, 28),
    }
    assert np.flatnonzero(lt.FIRST.mirror == -1).tolist() == [0, 8, 18, 24]
    found = {name: one["latent"] for name, one in lt.attributes(lt.FIRST).items()}
    assert found == {"sex": 0, "age": 1, "skin_tone": 2, "glasses": 3}
    who, how = draw(lt.FIRST)
    assert lt.derived_flags(who, how, lt.FIRST).shape == (200, 17)
    assert lt.pose_of(how, lt.FIRST).yaw == pytest.approx(50 * np.tanh(0.3 * how[:, 0]), rel=1e-6)
    assert lt.pose_of(how, lt.FIRST).pitch == pytest.approx(22 * np.tanh(6.5 / 22 * how[:, 1]), rel=1e-6)


class TestWhichLayout:
    """What a card says of its latents, and what that means."""

    def test_a_card_of_before_has_the_first_layout(self) -> None:
        assert lt.layout_of(card(lt.FIRST, None)) is lt.FIRST
        assert lt.layout_of(card(lt.FIRST, 1)) is lt.FIRST

    @pytest.mark.parametrize("name", ["parametric", "sdgan"])
    def test_shipped_cards_say_theirs(self, name: str) -> None:
        found = model_card(SHIPPED / name)
        assert found.latent.layout is not None
        assert lt.layout_of(found) is lt.LAYOUTS[found.latent.layout]

    @pytest.mark.parametrize("changes", [{"identity": 63}, {"observation": {"pose": [0, 28]}}])
    def test_latents_of_others_have_none(self, changes: dict[str, Any]) -> None:
        assert lt.layout_of(card(lt.FIRST, None, **changes)) is None
        assert lt.asked_pose(card(lt.FIRST, None, **changes), np.zeros(28)) is None
        with pytest.raises(Corrupt, match="says that it has latents of layout 1, and lists others"):
            lt.layout_of(card(lt.FIRST, 1, **changes))

    def test_a_layout_of_a_later_version_is_named(self) -> None:
        with pytest.raises(Corrupt, match="latents of layout 9; this version knows 1"):
            lt.layout_of(card(lt.FIRST, 9))


@pytest.mark.usefixtures("two_layouts")
class TestTwoLayouts:
    """A layout that puts everything elsewhere, beside the first."""

    def test_what_was_asked_for_is_read_by_the_models_own_layout(self) -> None:
        _, how = draw(SECOND)
        moved = how[:, 2:]
        asked, before = lt.asked_pose(card(SECOND, 2), how), lt.asked_pose(card(lt.FIRST, None), moved)
        assert asked is not None
        assert before is not None
        assert (asked.yaw == before.yaw).all()
        assert (asked.pitch == before.pitch).all()

    def test_flags_attributes_and_mirrors_go_by_name(self) -> None:
        who, how = draw(SECOND)
        assert (lt.derived_flags(who, how, SECOND) == lt.derived_flags(who[:, :64], how[:, 2:], lt.FIRST)).all()
        assert SECOND.mirror[2:].tolist() == lt.FIRST.mirror.tolist()
        assert SECOND.mirror[:2].tolist() == [1, 1]
        assert (SECOND.factor(how, "background") == how[:, 20:26]).all()
        assert SECOND.factors["capture"] == (0, 2)

    def test_networks_of_both_layouts_load_and_are_told_by_their_own(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch")
        from workers.generator.sdgan.generator import load_sdgan
        from workers.generator.sdgan.network import Architecture, GeneratorNetwork
        from workers.generator.weights import save_model

        def load(layout: lt.Layout, said: int | None) -> Any:
            architecture = Architecture(
                identity=layout.identity,
                observation=layout.observation,
                flags=layout.flags,
                landmarks=0,
                resolution=16,
                base=8,
                width=16,
            )
            network = GeneratorNetwork(architecture)
            torch.manual_seed(1)
            first = network.mapping[0].weight
            for value in network.parameters():
                if value is not first:
                    torch.nn.init.normal_(value, std=0.5)
            with torch.no_grad():  # the flags alone decide
                first.zero_()
                first[:, -layout.flags :] = torch.linspace(-1, 1, 16 * layout.flags).view(16, -1)
                first *= first.shape[1] ** 0.5  # the layer divides by as much
            about = card(layout, said).model_dump(mode="json") | {"architecture": asdict(architecture)}
            save_model(tmp_path / "m", about, network.state_dict())
            return load_sdgan(tmp_path / "m", "cpu")

        who, how = draw(SECOND, 5)
        how[:, 20:26] = 0
        later = load(SECOND, 2).generate(who, how, 16, 16)
        before = load(lt.FIRST, None).generate(who[:, :64], how[:, 2:], 16, 16)
        strangers = np.abs(later - np.roll(before, 1, axis=0)).mean()
        assert np.abs(later - before).mean() < 0.01 * strangers


def test_what_an_image_shows_is_of_the_image_and_not_of_the_subject() -> None:
    card = ModelCard.model_validate(
        {
            "name": "own",
            "version": "1",
            "kind": "own",
            "description": "",
            "sizes": [[64, 64]],
            "latent": {"identity": lt.IDENTITY, "observation": lt.FACTORS, "layout": lt.CURRENT.version},
            "attributes": lt.attributes(),
            "licence": "none",
            "provenance": "none",
        }
    )
    who, how = np.zeros(lt.IDENTITY), np.zeros(lt.OBSERVATION)
    who[lt.GLASSES] = 2.0
    calm = shown(card, who, how)
    assert calm is not None
    assert abs(calm.light_side or 0.0) < 1
    assert calm.model_dump(exclude={"light_side"}) == {
        "glasses": True,
        "headwear": False,
        "mask": False,
        "age": 44.5,
        "yaw": 0.0,
        "pitch": 0.0,
        "smile": 0.0,
        "mouth_open": 0.0,
    }
    for name, value in (("glasses_off", 1.5), ("age_offset", -1.0), ("yaw", 1.0), ("smile", -3.0), ("jaw", -3.0)):
        how[lt.CURRENT.dimensions[name]] = value
    how[lt.CURRENT.dimensions["key_azimuth"]] = 0.5
    other = shown(card, who, how)
    assert other is not None
    assert other.glasses is False, "the wearer took them off"
    who[lt.CURRENT.who["headwear"]], how[lt.CURRENT.dimensions["mask_on"]] = 2.0, 3.5
    covered = shown(card, who, how)
    assert covered is not None
    assert (covered.headwear, covered.mask) == (True, True)
    how[lt.CURRENT.dimensions["headwear_off"]] = 1.5
    bare = shown(card, who, how)
    assert bare is not None
    assert bare.headwear is False
    assert other.age == pytest.approx(44.5 - 12 * np.tanh(5 / 12), abs=0.05)
    assert other.yaw == pytest.approx(50 * np.tanh(15 / 50), abs=0.05)
    assert other.smile == pytest.approx(np.tanh(-3 / 2.2), abs=0.005)
    assert other.mouth_open == 0.0, "a mouth cannot be more than closed"
    assert 10 < other.light_side < 40, "the place that lights it was turned to the subject's left"


def test_of_a_model_with_other_latents_nothing_is_said() -> None:
    card = ModelCard.model_validate(
        {
            "name": "other",
            "version": "1",
            "kind": "other",
            "description": "",
            "sizes": [[64, 64]],
            "latent": {"identity": 3, "observation": {"pose": [0, 2]}},
            "licence": "none",
            "provenance": "none",
        }
    )
    assert shown(card, np.zeros(3), np.zeros(2)) is None
