"""What drawing 2 promises: shapes from statistics, light of places, a clean camera at rest, fields that are smooth."""

from typing import Any

import numpy as np
import pytest

from workers.generator import latents as lt
from workers.generator.parametric import chart, faces, lighting, strands
from workers.generator.parametric.appearance import skin_colour
from workers.generator.parametric.capture import capture
from workers.generator.parametric.composing import compose
from workers.generator.parametric.develop import decode, encode, tone
from workers.generator.parametric.geometry import load_head
from workers.generator.parametric.regions import load_regions
from workers.generator.parametric.scene import load_scene
from workers.generator.parametric.shape import shape_head

STILL = np.zeros(lt.OBSERVATION, np.float32)


def somebody(seed: int, **latents: float) -> np.ndarray:
    who = np.random.default_rng(seed).standard_normal(lt.IDENTITY).astype(np.float32)
    for name, value in latents.items():
        who[lt.CURRENT.who[name]] = value
    return who


def observed(**latents: float) -> np.ndarray:
    how = STILL.copy()
    for name, value in latents.items():
        how[lt.CURRENT.dimensions[name]] = value
    return how


class TestShape:
    """People's proportions."""

    def test_shapes_differ_by_millimetres_and_none_explodes(self) -> None:
        head, regions = load_head(), load_regions()
        seen = regions.on_head & (head.vertices[:, 2] > 1.0)
        rests = np.stack([shape_head(head, somebody(seed, sex=1, age=0), STILL)[0][seen] for seed in range(12)])
        rests -= rests.mean(1, keepdims=True)  # where a head is does not matter
        apart = np.sqrt(((rests - rests.mean(0)) ** 2).sum(2).mean()) * 100
        assert 2.5 < apart < 9, "millimetres"
        wild, _ = shape_head(head, 4 * somebody(3), STILL)
        assert np.isfinite(wild).all()

    def test_men_and_women_have_other_shapes(self) -> None:
        head = load_head()
        same = somebody(5)
        for name, value in (("sex", 1.0),):
            same[lt.CURRENT.who[name]] = value
        woman = same.copy()
        woman[lt.CURRENT.who["sex"]] = -1.0
        jaw = load_regions().beard() > 0.5
        wide = [np.ptp(shape_head(head, who, STILL)[0][jaw][:, 0]) for who in (same, woman)]
        assert wide[0] > wide[1]

    def test_no_face_is_quite_symmetric(self) -> None:
        head = load_head()
        rest, _ = shape_head(head, somebody(6), STILL)
        left, right = (rest[head.group_vertices(f"helper-{side}-eye")].mean(0) for side in "lr")
        assert np.abs(left - right * [-1, 1, 1]).max() > 1e-3


class TestBrows:
    """Single hairs where the latents put them."""

    def test_brows_are_as_high_thick_and_dense_as_asked(self) -> None:
        low, high = (strands.read_brow(somebody(7, brow_height=z)) for z in (-2, 2))
        assert high.height > low.height + 0.05
        thin, thick = (strands.read_brow(somebody(7, brow_thickness=z)) for z in (-2, 2))
        assert thick.thickness > 2 * thin.thickness
        sparse, dense = (self.hairs(brow_density=z) for z in (-2, 2))
        assert len(dense) > 2 * len(sparse)

    def test_hairs_lie_on_the_skin(self) -> None:
        """Buried in the forehead or hovering before it, they would not be seen as a brow."""
        regions = load_regions()
        still = shape_head(load_head(), somebody(8), STILL)[1]
        skin = regions.skin.surface.refine(still)
        from scipy.spatial import cKDTree

        roots = self.hairs(8)[:, 0]
        away, _ = cKDTree(skin).query(roots)
        assert np.quantile(away, 0.95) < 0.05

    @staticmethod
    def hairs(seed: int = 7, **latents: float) -> np.ndarray:
        who = somebody(seed, **latents)
        regions = load_regions()
        still = shape_head(load_head(), who, STILL)[1]
        from workers.generator.parametric.shape import vertex_normals

        return strands.brows(regions, who, still, vertex_normals(still, regions.skin.cage))


class TestLight:
    """Light out of panoramas."""

    def test_at_rest_it_is_even_and_from_the_front(self) -> None:
        light = lighting.read_light(STILL)
        assert abs(light.direction[0]) < 0.05
        colour = light.harmonics[0] / light.harmonics[0].mean()
        assert colour == pytest.approx(np.ones(3), abs=0.08)

    def test_harmonics_are_those_of_the_panorama(self) -> None:
        """Against the integral itself: light that white paper reflects, over the hemisphere."""
        light = lighting.read_light(observed(place_x=1.0, place_y=0.4))
        places = lighting.load_places()
        for normal in (np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 0.0])):
            cosine = np.maximum(places.directions @ normal, 0)
            white = (np.ones((32, 64)) * cosine * places.solid).sum() / np.pi
            assert white == pytest.approx(1, abs=0.02)
        assert light.numbers.shape == (33,)
        assert np.isfinite(light.numbers).all()

    def test_it_changes_smoothly(self) -> None:
        before = lighting.read_light(observed(place_x=0.5, key_azimuth=0.3)).numbers
        after = lighting.read_light(observed(place_x=0.501, key_azimuth=0.301)).numbers
        assert np.abs(after - before).max() < 0.02

    def test_dark_skin_is_exposed_for(self) -> None:
        light, dark = (lighting.read_light(STILL, tone) for tone in (0.1, 0.9))
        assert dark.key.mean() > 1.8 * light.key.mean()
        pale, deep = (tone(skin_colour(somebody(1, skin_tone=z)) * s.sky) for z, s in ((-1.3, light), (1.3, dark)))
        assert 0.15 < deep.mean() < pale.mean() < 0.95


class TestCapture:
    """A camera that does what it is asked, and nothing at rest."""

    picture = encode(np.random.default_rng(2).uniform(0.1, 0.9, (128, 96, 3)).astype(np.float32))

    def test_at_rest_it_only_develops(self) -> None:
        assert capture(self.picture, STILL) == pytest.approx(tone(decode(self.picture)))

    @pytest.mark.parametrize("name", lt.CURRENT.how["capture"])
    def test_every_dimension_shows_and_more_shows_more(self, name: str) -> None:
        clean = capture(self.picture, STILL)
        some, more = (np.abs(capture(self.picture, observed(**{name: z})) - clean).mean() for z in (1.0, 3.0))
        assert 0.001 < some < more

    def test_noise_is_of_the_sample_alone(self) -> None:
        first, again = (capture(self.picture, observed(noise=2.0)) for _ in range(2))
        other = capture(self.picture, observed(noise=2.0, smile=0.1))
        assert (first == again).all()
        assert (first != other).any()

    def test_a_flat_picture_survives_compression(self) -> None:
        flat = encode(np.full((40, 56, 3), 0.3, np.float32))
        out = capture(flat, observed(compression=2.0))
        assert np.ptp(out, axis=(0, 1)).max() < 1e-6
        assert out.mean() == pytest.approx(float(tone(np.float32(0.3))), abs=0.02)


class TestChart:
    """Skin of one's own."""

    @staticmethod
    def drawn(who: np.ndarray) -> chart.Chart:
        return chart.draw_chart(load_regions().skin, who, STILL, melanin=0.3, brow_shade=np.float32(0))

    def test_it_changes_smoothly_with_every_latent(self) -> None:
        who = somebody(9)
        nudged = self.drawn((who + 0.001).astype(np.float32)).colour.astype(int)
        assert np.abs(nudged - self.drawn(who).colour).max() <= 3

    def test_the_old_have_furrows(self) -> None:
        young, old = (self.drawn(somebody(9, age=z)).relief.astype(np.float32) for z in (-2.0, 2.0))
        assert np.abs(old[..., :2]).mean() > 1.3 * np.abs(young[..., :2]).mean()

    def test_it_is_looked_up_as_shaders_do(self) -> None:
        made = self.drawn(somebody(9))
        x, y = chart.places(load_regions().skin)
        row, column = 120, 192
        point = np.array([[x[row, column], y[row, column], 1.6]])
        factors, _ = chart.looked_up(made, point)
        assert factors[0] == pytest.approx(made.colour[row, column, :3] / 127.5, abs=0.03)


def test_a_learned_head_is_composed_like_a_drawn_one(renderer: Any) -> None:
    who, how = somebody(10), observed(noise=1.0, place_x=0.8, backdrop_blur=1.0)
    drawn = load_scene().draw(who, how, 64, 64)
    head = np.concatenate([drawn.head, drawn.alpha[..., None]], -1)
    assert (compose(head[None], who[None], how[None])[0] == drawn.rgb).all()


def test_accessories_are_worn_as_labelled(renderer: Any) -> None:
    who, how = somebody(11, headwear=2.0, glasses=-1.0), observed(mask_on=4.0)
    assert lt.wears_headwear(who, how)
    assert lt.wears_mask(how)
    worn = load_scene().draw(who, how, 64, 64).rgb
    bare = load_scene().draw(who, observed(headwear_off=2.0), 64, 64).rgb
    difference = np.abs(worn - bare).mean(2)
    assert difference[40:50, 24:40].mean() > 0.05, "the mask"
    assert difference[2:12, 24:40].mean() > 0.03, "the cap"
    assert faces.hair_style(who) >= 0
