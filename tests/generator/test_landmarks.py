"""Landmarks lie on what they are named after, and the network is told of them as it should be."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from workers.generator import latents as lt
from workers.generator.landmarks import FEATURES, FIRST_MODELS, GLASSES, GROUPS, LANDMARKS, STROKES
from workers.generator.parametric.placement import landmarks
from workers.generator.parametric.scene import load_scene
from workers.generator.sdgan.network import FINE_SPOT, SPOT, Architecture, GeneratorNetwork, profiles, spots
from workers.training.growth import grow

SIZE = 256


def sizes(**other: Any) -> Architecture:
    return Architecture(
        **{
            "identity": lt.IDENTITY,
            "observation": lt.OBSERVATION,
            "flags": lt.CURRENT.flags,
            "landmarks": LANDMARKS,
            "strokes": len(STROKES),
            "resolution": 32,
            "base": 8,
            "width": 16,
            **other,
        }
    )


def latents(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(3)
    who = rng.standard_normal((count, lt.IDENTITY)).astype(np.float32)
    how = rng.standard_normal((count, lt.OBSERVATION)).astype(np.float32)
    return torch.from_numpy(who), torch.from_numpy(how), torch.from_numpy(lt.derived_flags(who, how))


def draw(glasses: float, seed: int = 6, yaw: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """A render's darkness, [SIZE, SIZE], and its landmarks in pixels."""
    scene = load_scene()
    who = np.random.default_rng(seed).standard_normal(lt.IDENTITY).astype(np.float32)
    who[[lt.GLASSES, lt.SKIN_TONE]] = glasses, -1.5
    for name in ("brow_density", "brow_thickness", "brow_depth", "hair_depth", "age", "lid_opening"):
        who[lt.CURRENT.who[name]] = -1.5 if name in ("brow_depth", "age") else 1.0
    how = np.zeros(lt.OBSERVATION, np.float32)
    how[lt.CURRENT.dimensions["yaw"]] = yaw
    drawn = scene.draw(who, how, SIZE, SIZE)
    return 1 - drawn.rgb.mean(2), landmarks(scene.head, scene.regions, who, how, drawn.placed) * SIZE


def at(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = points.astype(int).T
    return np.stack([image[y + dy, x + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]).max(0)


class TestPlaces:
    """On renders."""

    def test_every_group_is_there_once(self, renderer: Any) -> None:
        _, points = draw(2.0)
        assert points.shape == (LANDMARKS, 2)
        assert sorted(k for group in GROUPS.values() for k in group) == list(range(LANDMARKS))
        assert GROUPS["eyeballs"].stop == FIRST_MODELS
        assert max(FEATURES) < GLASSES.start
        assert all(k in range(LANDMARKS) for curves in STROKES for curve in curves for k in curve.points)

    @pytest.mark.parametrize("yaw", [-1.0, 0.0, 0.5])
    def test_rims_lie_on_the_glasses_and_nowhere_else(self, renderer: Any, yaw: float) -> None:
        worn, points = draw(2.0, yaw=yaw)
        bare, same = draw(-2.0, yaw=yaw)
        rims = list(GROUPS["rims"])
        # Glasses are known where none are worn; only their latent differs, and it moves nothing.
        assert np.allclose(points, same, atol=1e-3)
        assert (at(worn - bare, points[rims]) > 0.15).mean() > 0.8
        others = list(GROUPS["mouth"])
        assert (np.abs(at(worn - bare, points[others])) < 0.02).all()

    def test_brows_and_lids_lie_where_it_is_dark(self, renderer: Any) -> None:
        image, points = draw(-2.0)
        brows = list(GROUPS["brows"])
        above = points[brows] - [0, 0.06 * SIZE]
        assert (at(image, points[brows]) > at(image, above) + 0.1).mean() >= 0.8
        lids = list(GROUPS["upper-lids"])
        for half, iris in zip((lids[:8], lids[8:]), GROUPS["irises"], strict=True):
            assert np.linalg.norm(points[half] - points[iris], axis=1).max() < 0.1 * SIZE
            assert points[half, 1].mean() < points[iris, 1]

    def test_the_left_half_of_a_pair_comes_first(self, renderer: Any) -> None:
        _, points = draw(2.0, yaw=0.0)
        for name in ("upper-lids", "lower-lids", "brows", "irises", "rims", "eyeballs"):
            first, second = np.split(points[list(GROUPS[name])], 2)
            assert first[:, 0].min() > second[:, 0].max(), f"{name}: the subject's left is the image's right"


class TestSketch:
    """What the image network is told."""

    def test_spots_and_strokes_go_through_a_convolution(self) -> None:
        network = GeneratorNetwork(sizes())
        flags = torch.full((3, lt.CURRENT.flags), 2.0)
        places = torch.rand(3, LANDMARKS, 2)
        sketch = network.sketch(places, flags, 16)
        assert sketch.strokes is not None
        weight = torch.randn(5, LANDMARKS + len(STROKES), 1, 1)
        maps = torch.cat([spots(*profiles(places, 16, SPOT)), sketch.strokes], 1)
        expected = torch.nn.functional.conv2d(maps, weight)
        painted = sketch.painted(weight, 16)
        assert painted is not None
        assert torch.allclose(painted, expected, atol=1e-3)
        assert sketch.painted(weight, 8) is None

    @pytest.mark.parametrize(("resolution", "deviation"), [(64, SPOT), (128, FINE_SPOT)])
    def test_fine_spots_are_painted_at_half_the_resolution_and_lose_little(
        self, resolution: int, deviation: float
    ) -> None:
        network = GeneratorNetwork(sizes())
        places = torch.rand(2, LANDMARKS, 2)
        sketch = network.sketch(places, torch.full((2, lt.CURRENT.flags), 2.0), resolution)
        assert sketch.strokes is not None
        assert sketch.spots.shape[-1] == resolution // 2
        assert sketch.strokes.shape[-1] == resolution
        enlarged = torch.nn.functional.interpolate(sketch.spots, scale_factor=2, mode="bilinear")
        whole = spots(*profiles(places, resolution, deviation))
        assert (enlarged - whole).abs().mean() < 0.15 * whole.mean()  # at 32 it would be 0.4

    def test_glasses_are_told_of_where_they_are_worn(self) -> None:
        network = GeneratorNetwork(sizes())
        flags = torch.zeros(2, lt.CURRENT.flags)
        flags[1, lt.GLASSES_FLAG] = 2
        sketch = network.sketch(torch.rand(2, LANDMARKS, 2), flags, 32)
        assert sketch.strokes is not None
        assert sketch.strokes[0, -1].abs().max() == 0
        assert sketch.strokes[1, -1].max() > 0.5
        glasses = slice(GLASSES.start, GLASSES.stop)
        assert sketch.spots[0, glasses].abs().max() == 0
        assert sketch.spots[1, glasses].max() > 0
        assert sketch.spots[0, : GLASSES.start].max() > 0

    def test_a_stroke_is_a_line_through_its_landmarks(self) -> None:
        network = GeneratorNetwork(sizes())
        places = torch.full((1, LANDMARKS, 2), -1.0)
        mouth = list(STROKES[2][0].points)
        places[0, mouth, 0] = torch.linspace(0.2, 0.8, len(mouth))
        places[0, mouth, 1] = 0.5
        sketch = network.sketch(places, torch.zeros(1, lt.CURRENT.flags), 32)
        assert sketch.strokes is not None
        line = sketch.strokes[0, 2]
        assert line[15:17, 8:24].min() > 0.3
        assert line[:13].max() < 1e-3
        assert line[:, :4].max() < 1e-2

    def test_strokes_need_the_landmarks_they_join(self) -> None:
        with pytest.raises(ValueError, match="strokes over 48 landmarks"):
            sizes(landmarks=48)


class TestGrowing:
    """A larger network begins with a smaller one's picture."""

    def test_it_makes_the_smaller_ones_picture_enlarged(self) -> None:
        torch.manual_seed(1)
        small, large = GeneratorNetwork(sizes(resolution=32, strokes=0)), GeneratorNetwork(sizes(resolution=64))
        assert len(grow(large, small.state_dict())) == len(small.state_dict())
        who, how, flags = latents(2)
        flags[:, lt.GLASSES_FLAG] = 2  # without strokes, the small one is not told when there are none
        with torch.no_grad():
            little, places = small(who, how, flags)
            big, same = large(who, how, flags)
        assert torch.equal(places, same)
        expected = torch.nn.functional.interpolate(little, scale_factor=2, mode="bilinear", align_corners=False)
        assert torch.allclose(big, expected, atol=1e-5)

    def test_landmarks_that_were_added_begin_without_a_say(self) -> None:
        torch.manual_seed(1)
        small = GeneratorNetwork(sizes(landmarks=FIRST_MODELS, strokes=0))
        large = GeneratorNetwork(sizes())
        grow(large, small.state_dict())
        weight = dict(large.named_parameters())["blocks.2.place.weight"]
        assert weight[:, FIRST_MODELS:].abs().max() == 0
        assert torch.equal(weight[:, :FIRST_MODELS], dict(small.named_parameters())["blocks.2.place.weight"])
