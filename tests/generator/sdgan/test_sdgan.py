"""The learned generator: the same pixels in every batch, and nothing believed that a file says."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file

from app.errors import Corrupt
from workers.digests import file_sha256
from workers.generator import latents as lt
from workers.generator.cards import read_card, write_card
from workers.generator.parametric.appearance import shirt_colour, skin_colour, skin_tone
from workers.generator.parametric.lighting import read_light
from workers.generator.sdgan.generator import as_seen, load_sdgan
from workers.generator.sdgan.network import SPOT, Architecture, GeneratorNetwork, profiles, spots
from workers.generator.sdgan.told import COLOURED, LIGHT, colours_told, told, told_names, told_size
from workers.generator.weights import save_model
from workers.images import to_pixels

SMALL = Architecture(
    identity=lt.IDENTITY,
    observation=lt.OBSERVATION,
    flags=told_size(lt.CURRENT),
    landmarks=6,
    resolution=16,
    base=8,
    width=16,
)


def card(architecture: Architecture = SMALL) -> dict[str, Any]:
    return {
        "name": "small",
        "version": "1",
        "kind": "sdgan",
        "description": "For tests",
        "sizes": [[architecture.resolution] * 2],
        "latent": {"identity": lt.IDENTITY, "observation": lt.FACTORS, "layout": lt.CURRENT.version},
        "attributes": lt.attributes(),
        "licence": "none",
        "provenance": "none",
        "architecture": asdict(architecture),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(3)
    save_model(tmp_path / "small", card(), GeneratorNetwork(SMALL).state_dict())
    return tmp_path / "small"


def draw(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.standard_normal((count, lt.IDENTITY), np.float32),
        rng.standard_normal((count, lt.OBSERVATION), np.float32),
    )


def rewrite(folder: Path, tensors: dict[str, Any]) -> None:
    """Put other weights in place, and a card that fits their digest."""
    path = folder / "weights.safetensors"
    save_file(tensors, path)
    seal(folder)


def seal(folder: Path) -> None:
    weights = {"file": "weights.safetensors", "sha256": file_sha256(folder / "weights.safetensors")}
    write_card(folder, type(read_card(folder)).model_validate({**read_card(folder).model_dump(), "weights": weights}))


def test_a_sample_is_the_same_in_every_batch_and_place(folder: Path) -> None:
    generator = load_sdgan(folder, "cpu")
    who, how = draw(64)
    whole = generator.generate(who, how, 16, 16)
    one_by_one = np.concatenate([generator.generate(who[k : k + 1], how[k : k + 1], 16, 16) for k in range(64)])
    backwards = generator.generate(who[::-1].copy(), how[::-1].copy(), 16, 16)[::-1]
    assert (to_pixels(whole) == to_pixels(one_by_one)).all()
    assert (to_pixels(whole) == to_pixels(backwards)).all()
    assert to_pixels(whole).std() > 1, "a blank picture would prove nothing"


def test_images_are_floats_in_range(folder: Path) -> None:
    images = load_sdgan(folder, "cpu").generate(*draw(3), 16, 16)
    assert images.shape == (3, 16, 16, 3)
    assert images.dtype == np.float32
    assert -1 <= images.min() < images.max() <= 1


def test_no_latents_give_no_images(folder: Path) -> None:
    assert load_sdgan(folder, "cpu").generate(*draw(0), 16, 16).shape == (0, 16, 16, 3)


def test_another_size_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="does not make 32×32"):
        load_sdgan(folder, "cpu").generate(*draw(1), 32, 32)


def test_half_the_size_is_the_mean_over_squares(tmp_path: Path) -> None:
    torch.manual_seed(3)
    first = replace(SMALL, identity=lt.FIRST.identity, observation=lt.FIRST.observation, flags=lt.FIRST.flags)
    latent = {"identity": lt.FIRST.identity, "observation": lt.FIRST.factors, "layout": 1}
    both = {**card(first), "sizes": [[16, 16], [8, 8]], "latent": latent, "attributes": lt.attributes(lt.FIRST)}
    save_model(tmp_path / "small", both, GeneratorNetwork(first).state_dict())
    generator = load_sdgan(tmp_path / "small", "cpu")
    rng = np.random.default_rng(1)
    who = rng.standard_normal((3, lt.FIRST.identity), np.float32)
    how = rng.standard_normal((3, lt.FIRST.observation), np.float32)
    how[:, slice(*lt.FIRST.factors["background"])] = (
        0  # whose corners are clipped; a camera's curve is not linear either
    )
    large, small = generator.generate(who, how, 16, 16), generator.generate(who, how, 8, 8)
    assert small.shape == (3, 8, 8, 3)
    expected = large.reshape(3, 8, 2, 8, 2, 3).mean((2, 4))
    whole = (np.abs(large) < 1).reshape(3, 8, 2, 8, 2, 3).all((2, 4))  # what was clipped before its mean differs
    assert whole.mean() > 0.2
    assert np.abs(small - expected)[whole].max() < 0.02
    assert to_pixels(small).std() > 1


@pytest.mark.parametrize("sizes", [[[16, 8]], [[32, 32]], [[16, 16], [12, 12]]])
def test_sizes_that_the_network_cannot_make_are_refused(tmp_path: Path, sizes: Any) -> None:
    save_model(tmp_path / "small", {**card(), "sizes": sizes}, GeneratorNetwork(SMALL).state_dict())
    with pytest.raises(Corrupt, match="no whole fraction of 16"):
        load_sdgan(tmp_path / "small", "cpu")


def test_spots_lie_where_their_landmarks_are() -> None:
    places = torch.tensor([[[0.25, 0.75], [0.53125, 0.09375]]])  # x, y
    drawn = spots(*profiles(places, 16, SPOT))
    assert drawn.shape == (1, 2, 16, 16)
    assert divmod(int(drawn[0, 1].argmax()), 16) == (1, 8)
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    first = drawn[0, 0]
    assert float((first * (columns + 0.5) / 16).sum() / first.sum()) == pytest.approx(0.25, abs=1e-3)
    assert float((first * (rows + 0.5) / 16).sum() / first.sum()) == pytest.approx(0.75, abs=1e-3)


def test_weights_come_back_as_they_were_saved(folder: Path) -> None:
    torch.manual_seed(3)
    expected = GeneratorNetwork(SMALL).state_dict()
    loaded = load_sdgan(folder, "cpu")._network.state_dict()
    assert all(torch.equal(loaded[name], value.half().float()) for name, value in expected.items())


def test_weights_that_are_not_the_cards_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(Corrupt, match="the digests differ"):
        load_sdgan(folder, "cpu")


@pytest.mark.parametrize("keep", [0, 4, 100, -7])
def test_a_file_cut_short_is_refused_even_with_a_fitting_card(folder: Path, keep: int) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    seal(folder)
    with pytest.raises(Corrupt, match="not a readable safetensors file"):
        load_sdgan(folder, "cpu")


def test_a_pickle_is_never_opened(folder: Path, tmp_path: Path) -> None:
    struck = tmp_path / "struck"

    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (struck,))

    for data in (pickle.dumps(Trap()), b"PK\x03\x04" + pickle.dumps(Trap())):
        (folder / "weights.safetensors").write_bytes(data)
        seal(folder)
        with pytest.raises(Corrupt):
            load_sdgan(folder, "cpu")
    torch.save({"trap": Trap()}, folder / "weights.safetensors")
    seal(folder)
    with pytest.raises(Corrupt):
        load_sdgan(folder, "cpu")
    assert not struck.exists()


def test_shapes_names_and_values_are_checked(folder: Path) -> None:
    good = {name: value.half() for name, value in GeneratorNetwork(SMALL).state_dict().items()}
    rewrite(folder, {**good, "paint.bias": torch.zeros(5).half()})
    with pytest.raises(Corrupt, match=r"paint\.bias is \(5,\) and the card's architecture wants \(4,\)"):
        load_sdgan(folder, "cpu")
    rewrite(folder, {name: value for name, value in good.items() if name != "paint.bias"})
    with pytest.raises(Corrupt, match=r"lacks paint\.bias"):
        load_sdgan(folder, "cpu")
    rewrite(folder, {**good, "more": torch.zeros(1)})
    with pytest.raises(Corrupt, match="holds more"):
        load_sdgan(folder, "cpu")
    rewrite(folder, {**good, "paint.bias": torch.tensor([0.0, float("nan"), 0.0, 0.0]).half()})
    with pytest.raises(Corrupt, match=r"paint\.bias holds values that are not finite"):
        load_sdgan(folder, "cpu")


def test_weights_outside_the_models_folder_are_refused(folder: Path) -> None:
    text = json.loads((folder / "card.json").read_text())
    for file in ("../small/weights.safetensors", "/etc/passwd"):
        text["weights"]["file"] = file
        (folder / "card.json").write_text(json.dumps(text))
        with pytest.raises(Corrupt, match="outside its folder"):
            load_sdgan(folder, "cpu")


@pytest.mark.parametrize(
    ("field", "value"), [("base", 10**9), ("width", 10**9), ("resolution", 48), ("landmarks", -1), ("base", "x")]
)
def test_an_absurd_architecture_is_refused_before_anything_is_allocated(folder: Path, field: str, value: Any) -> None:
    text = json.loads((folder / "card.json").read_text())
    text["architecture"][field] = value
    (folder / "card.json").write_text(json.dumps(text))
    with pytest.raises(Corrupt, match="architecture"):
        load_sdgan(folder, "cpu")


def test_a_card_that_is_none_is_named_with_its_field(folder: Path) -> None:
    (folder / "card.json").write_text('{"name": "small"}')
    with pytest.raises(Corrupt, match=r"card\.json is not a model card: version"):
        load_sdgan(folder, "cpu")
    (folder / "card.json").unlink()
    with pytest.raises(Corrupt, match=r"card\.json cannot be read"):
        load_sdgan(folder, "cpu")


def test_a_network_is_told_the_light_and_colours_that_the_renderer_would_draw_with() -> None:
    who, how = draw(3)
    found = told(who, how, lt.SECOND)
    assert found.shape == (3, told_size(lt.SECOND))
    assert found.dtype == np.float32
    assert (found[:, : lt.SECOND.flags] == lt.derived_flags(who, how, lt.SECOND)).all()
    for row, one, other in zip(found, who, how, strict=True):
        light, colours = np.split(row[lt.SECOND.flags :], [LIGHT])
        assert (light == read_light(other, skin_tone(one)).numbers).all()
        drawn = np.concatenate([skin_colour(one), shirt_colour(other)])
        told_of = colours[[name.split()[2] in ("skin", "shirt") for name in told_names(lt.SECOND)[-len(colours) :]]]
        np.testing.assert_allclose(((told_of + 1) / 2) ** 2.2, drawn, atol=1e-6)
    assert len(told_names(lt.SECOND)) == len(set(told_names(lt.SECOND))) == told_size(lt.SECOND)
    first = told(who[:, : lt.FIRST.identity], how[:, : lt.FIRST.observation], lt.FIRST)
    assert first.shape == (3, lt.FIRST.flags) == (3, len(told_names(lt.FIRST)))
    assert told(who[:0], how[:0], lt.SECOND).shape == (0, told_size(lt.SECOND))


def test_colours_that_it_was_told_are_mixed_by_shares_that_begin_at_nothing() -> None:
    torch.manual_seed(5)
    network = GeneratorNetwork(replace(SMALL, mixed=colours_told(lt.SECOND)))
    who, how = draw(2)
    seen = [torch.from_numpy(part) for part in (who, how, told(who, how, lt.SECOND))]
    assert network.mix is not None
    assert network.mix.bias is not None
    with torch.no_grad():
        before, _ = network(*seen)
        network.mix.bias[COLOURED.index("shirt")] = 0.5
        after, _ = network(*seen)
    added = (after - before).numpy()
    for picture, day in zip(added, how, strict=True):
        shirt = np.clip(shirt_colour(day), 0, 1) ** (1 / 2.2)
        np.testing.assert_allclose(picture[:3], np.broadcast_to(0.5 * shirt[:, None, None], (3, 16, 16)), atol=1e-5)
    assert (added[:, 3] == 0).all()  # where there is a head is not told


def test_what_the_camera_and_the_backdrop_do_comes_after_the_network(folder: Path) -> None:
    generator = load_sdgan(folder, "cpu")
    who, calm = draw(1)
    calm[:] = 0
    shots = np.repeat(calm, 3, 0)
    shots[1, lt.SECOND.dimensions["exposure"]] = -3
    shots[2, lt.SECOND.dimensions["blur"]] = 3
    heads = np.random.default_rng(2).random((1, 128, 128, 4), np.float32)
    heads[..., :3] *= heads[..., 3:]
    clean, dark, soft = as_seen(
        np.repeat(heads, 3, 0), np.repeat(who, 3, 0), shots, lt.SECOND, lt.SECOND.factors["background"]
    )
    assert dark.mean() < clean.mean() - 0.05
    assert np.abs(np.diff(soft, axis=1)).mean() < 0.6 * np.abs(np.diff(clean, axis=1)).mean()
    made = generator.generate(np.repeat(who, 3, 0), shots, 16, 16)
    assert not np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])
