"""Our forward passes against the papers' equations, worked out slowly in double precision, one pixel sum at a time.

Nothing is shared with the networks but their weights: filters are zero insertion, padding and sums over shifted
copies; modulated convolutions make the weights of every sample.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from workers.generator.imported.layers import truncate
from workers.generator.progan.network import Architecture as ProGanArchitecture
from workers.generator.stylegan1.network import Architecture as StyleGan1Architecture
from workers.generator.stylegan2.network import Architecture as StyleGan2Architecture
from workers.generator.stylegan3.network import Architecture as StyleGan3Architecture
from workers.generator.stylegan3.network import plan

Array = np.ndarray
TOLERANCE = 1e-9


def correlate(x: Array, kernel: Array, pad: tuple[int, int]) -> Array:
    """x [I, H, W] with kernel [O, I, k, k] → [O, H', W']."""
    wide = np.pad(x, ((0, 0), pad, pad))
    size = kernel.shape[-1]
    height, width = wide.shape[1] - size + 1, wide.shape[2] - size + 1
    return sum(
        np.tensordot(kernel[:, :, row, column], wide[:, row : row + height, column : column + width], 1)
        for row in range(size)
        for column in range(size)
    )


def resample(
    x: Array, kernel: Array, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0), gain: float = 1
) -> Array:
    """Zeros between the pixels, padding (negative: cropping), the kernel turned around, every `down`-th pixel."""
    sparse = np.zeros((x.shape[0], x.shape[1] * up, x.shape[2] * up))
    sparse[:, ::up, ::up] = x
    low, high = pad
    sparse = np.pad(sparse, ((0, 0), (max(low, 0), max(high, 0)), (max(low, 0), max(high, 0))))
    sparse = sparse[:, max(-low, 0) : sparse.shape[1] - max(-high, 0), max(-low, 0) : sparse.shape[2] - max(-high, 0)]
    turned = kernel[::-1, ::-1] * gain
    made = np.stack([correlate(one[None], turned[None, None], (0, 0))[0] for one in sparse])
    return made[:, ::down, ::down]


def leaky(x: Array) -> Array:
    return np.where(x < 0, 0.2 * x, x)


def over_rms(x: Array, axis: int | None = 0) -> Array:
    return x / np.sqrt(np.mean(x**2, axis=axis, keepdims=axis is not None) + 1e-8)


def state_of(network: Any) -> dict[str, Array]:
    return {name: value.double().numpy() for name, value in network.state_dict().items()}


def mapped(s: dict[str, Array], z: Array, label: Array | None, weights: float, after: float) -> Array:
    x = over_rms(z)
    if label is not None:
        embedded = s["mapping.embed.weight"] @ label / np.sqrt(len(label)) + s["mapping.embed.bias"]
        x = np.concatenate([x, over_rms(embedded)])
    for number in range(sum(name.startswith("mapping.layers.") for name in s) // 2):
        weight = s[f"mapping.layers.{number}.weight"]
        x = weight @ x * (weights / np.sqrt(weight.shape[1]) * 0.01) + s[f"mapping.layers.{number}.bias"] * 0.01
        x = leaky(x) * after
    return x


def dense(s: dict[str, Array], name: str, w: Array) -> Array:
    weight = s[f"{name}.weight"]
    return weight @ w / np.sqrt(weight.shape[1]) + s[f"{name}.bias"]


def stylegan2(a: Any, s: dict[str, Array], ws: Array) -> Array:
    line = np.asarray(a.taps)
    fir = np.outer(line, line) / line.sum() ** 2
    taps = len(line)

    def bounded(x: Array, gain: float = 1.0) -> Array:
        return x if a.clamp is None else np.clip(x, -a.clamp * gain, a.clamp * gain)

    def layer(name: str, x: Array, w: Array, up: bool, gain: float = 1.0) -> Array:
        weight = s[f"{name}.weight"] * dense(s, f"{name}.affine", w)[None, :, None, None]
        weight = weight / np.sqrt((weight**2).sum((1, 2, 3), keepdims=True) + 1e-8)
        if up:
            pad = (1 + (taps + 1) // 2, 1 + (taps - 2) // 2)
            x = correlate(resample(x, fir, up=2, pad=pad, gain=4), weight[:, :, ::-1, ::-1], (0, 0))
        else:
            x = correlate(x, weight, (1, 1))
        x = x + s[f"{name}.noise"] * s[f"{name}.noise_strength"] + s[f"{name}.bias"][:, None, None]
        return bounded(leaky(x) * np.sqrt(2) * gain, gain)

    def paint(name: str, x: Array, w: Array) -> Array:
        weight = s[f"{name}.weight"]
        style = dense(s, f"{name}.affine", w) / np.sqrt(weight.shape[1])
        return bounded(correlate(x, weight * style[None, :, None, None], (0, 0)) + s[f"{name}.bias"][:, None, None])

    pad = ((taps + 1) // 2, (taps - 2) // 2)
    x, image, number = s["start"], None, 0
    for step in range(len(a.channels)):
        name, half = f"stages.{step}", np.sqrt(0.5) if a.form == "resnet" and step else 1.0
        if step:
            before, x = x, layer(f"{name}.grow", x, ws[number], True)
            number += 1
        x = layer(f"{name}.refine", x, ws[number], False, half)
        number += 1
        if step and a.form == "resnet":
            skip = s[f"{name}.skip"]
            skipped = correlate(before, skip * half / np.sqrt(skip.shape[1]), (0, 0))
            x = x + resample(skipped, fir, up=2, pad=pad, gain=4)
        if image is not None:
            image = resample(image, fir, up=2, pad=pad, gain=4)
        if f"{name}.paint.weight" in s:
            painted = paint(f"{name}.paint", x, ws[number])
            image = painted if image is None else image + painted
    assert image is not None
    return image


def stylegan3(a: Any, s: dict[str, Array], ws: Array) -> Array:
    start, plans = plan(a)
    turn = dense(s, "features.affine", ws[0])
    turn = turn / np.hypot(turn[0], turn[1])
    rotation = np.array([[turn[0], -turn[1], 0], [turn[1], turn[0], 0], [0, 0, 1]])
    whole = rotation @ np.array([[1, 0, -turn[2]], [0, 1, -turn[3]], [0, 0, 1]]) @ s["features.transform"]
    waves = s["features.frequencies"]
    phases = s["features.phases"] + waves @ whole[:2, 2]
    waves = waves @ whole[:2, :2]
    over = (np.linalg.norm(waves, axis=1) - start.bandwidth) / (start.rate / 2 - start.bandwidth)
    places = ((np.arange(start.size) + 0.5) / start.size * 2 - 1) * 0.5 * start.size / start.rate
    y, x = np.meshgrid(places, places, indexing="ij")
    values = np.sin(2 * np.pi * (x[..., None] * waves[:, 0] + y[..., None] * waves[:, 1] + phases))
    values = values * np.clip(1 - over, 0, 1) @ (s["features.weight"] / np.sqrt(start.channels)).T
    values = values.transpose(2, 0, 1)
    for number, p in enumerate(plans):
        name = f"stack.{number}"
        style, weight = dense(s, f"{name}.affine", ws[number + 1]), s[f"{name}.weight"]
        if p.paints:
            weight = weight * (style / np.sqrt(p.inputs))[None, :, None, None]
        else:
            weight = weight / np.sqrt((weight**2).mean((1, 2, 3), keepdims=True))
            weight = weight * (style / np.sqrt((style**2).mean()))[None, :, None, None]
            weight = weight / np.sqrt((weight**2).sum((1, 2, 3), keepdims=True) + 1e-8)
        values = correlate(values, weight / np.sqrt(s[f"{name}.magnitude"]), (p.kernel - 1,) * 2)
        values = values + s[f"{name}.bias"][:, None, None]
        up, down = s.get(f"{name}.up_filter", np.ones(1)), s.get(f"{name}.down_filter", np.ones(1))
        values = resample(values, np.outer(up, up), up=p.up, pad=p.padding, gain=p.up**2)
        values = values if p.paints else leaky(values) * np.sqrt(2)
        values = np.clip(values, -a.clamp, a.clamp)
        values = resample(values, down if down.ndim == 2 else np.outer(down, down), down=p.down)
        assert values.shape == (p.outputs, p.size, p.size)
    return values * 0.25


def shifted(weight: Array) -> Array:
    wide = np.pad(weight, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return wide[..., 1:, 1:] + wide[..., :-1, 1:] + wide[..., 1:, :-1] + wide[..., :-1, :-1]


def grown(x: Array, weight: Array, fused: bool) -> Array:
    if not fused:
        return correlate(x.repeat(2, 1).repeat(2, 2), weight, (1, 1))
    sparse = np.zeros((x.shape[0], 2 * x.shape[1] - 1, 2 * x.shape[2] - 1))
    sparse[:, ::2, ::2] = x
    return correlate(sparse, shifted(weight)[:, :, ::-1, ::-1], (2, 2))


def faded(images: list[Array], lod: float) -> Array:
    """Images, large to small, at a level of detail."""
    level, share = int(lod), lod - int(lod)

    def whole(number: int) -> Array:
        times = images[0].shape[1] // images[number].shape[1]
        return images[number].repeat(times, 1).repeat(times, 2)

    return whole(level) * (1 - share) + (whole(level + 1) * share if share else 0)


def he(weight: Array, gain: float = np.sqrt(2)) -> Array:
    return weight * gain / np.sqrt(np.prod(weight.shape[1:]))


def progan(a: Any, s: dict[str, Array], z: Array) -> Array:
    weight = s["start"] * np.sqrt(2) / 4 / np.sqrt(a.latent)
    x = over_rms(leaky(np.tensordot(weight, over_rms(z), (1, 0)) + s["start_bias"]))
    images = []
    for step in range(len(a.channels)):
        name = f"stages.{step}"
        if step:
            x = grown(x, he(s[f"{name}.grow"]), a.fused[step - 1])
            x = over_rms(leaky(x + s[f"{name}.grow_bias"][:, None, None]))
        x = correlate(x, he(s[f"{name}.refine"]), (1, 1))
        x = over_rms(leaky(x + s[f"{name}.refine_bias"][:, None, None]))
        images.insert(0, correlate(x, he(s[f"{name}.paint"], 1), (0, 0)) + s[f"{name}.paint_bias"][:, None, None])
    return faded(images, a.lod)


def stylegan1(a: Any, s: dict[str, Array], ws: Array) -> Array:
    blur = np.outer([1, 2, 1], [1, 2, 1]) / 16
    x, images = s["start"], []

    def epilogue(name: str, x: Array, w: Array) -> Array:
        x = x + s[f"{name}.noise"] * s[f"{name}.noise_strength"][:, None, None] + s[f"{name}.bias"][:, None, None]
        x = leaky(x)
        x = x - x.mean((1, 2), keepdims=True)
        x = x / np.sqrt((x**2).mean((1, 2), keepdims=True) + 1e-8)
        scale, shift = np.split(dense(s, f"{name}.style", w)[:, None, None], 2)
        return x * (scale + 1) + shift

    for step in range(len(a.channels)):
        name = f"stages.{step}"
        if step:
            x = grown(x, he(s[f"{name}.grow"]), 4 << step >= 128)
            x = resample(x, blur, pad=(1, 1))
        x = epilogue(f"{name}.first", x, ws[2 * step])
        x = epilogue(f"{name}.second", correlate(x, he(s[f"{name}.refine"]), (1, 1)), ws[2 * step + 1])
        images.insert(0, correlate(x, he(s[f"{name}.paint"], 1), (0, 0)) + s[f"{name}.paint_bias"][:, None, None])
    return faded(images, a.lod)


def two(**update: Any) -> StyleGan2Architecture:
    sizes = {"latent": 5, "labels": 0, "embedding": 0, "mapping": (7, 6), "resolution": 16, "channels": (4, 3, 2)}
    return StyleGan2Architecture(**{**sizes, **update})


def three(**update: Any) -> StyleGan3Architecture:
    sizes = {"latent": 5, "labels": 0, "embedding": 0, "mapping": (6, 6), "resolution": 16, "channel_base": 64}
    return StyleGan3Architecture(**{**sizes, "channel_max": 4, "layers": 4, **update})


CASES: dict[str, tuple[str, Any, Callable[..., Array]]] = {
    "stylegan2 skip": ("stylegan2", two(), stylegan2),
    "stylegan2 resnet": ("stylegan2", two(form="resnet", clamp=1.0), stylegan2),
    "stylegan2 orig": ("stylegan2", two(form="orig"), stylegan2),
    "stylegan2 with labels": ("stylegan2", two(labels=3, embedding=4, clamp=2.0), stylegan2),
    "stylegan2 with a filter of two": ("stylegan2", two(taps=(1.0, 2.0)), stylegan2),
    "stylegan2 with a filter of six": ("stylegan2", two(taps=(1.0, 2.0, 4.0, 3.0, 2.0, 1.0)), stylegan2),
    "stylegan3 t": ("stylegan3", three(), stylegan3),
    "stylegan3 r": ("stylegan3", three(kernel=1, radial=True, clamp=0.5), stylegan3),
    "stylegan3 with labels": ("stylegan3", three(labels=2, embedding=3, critical=1), stylegan3),
    "stylegan1": (
        "stylegan1",
        StyleGan1Architecture(latent=5, mapping=(7, 6), resolution=16, channels=(4, 3, 2)),
        stylegan1,
    ),
    "stylegan1 faded": (
        "stylegan1",
        StyleGan1Architecture(latent=5, mapping=(6,), resolution=16, channels=(4, 3, 2), lod=0.25),
        stylegan1,
    ),
    "stylegan1 of 128": (
        "stylegan1",
        StyleGan1Architecture(latent=3, mapping=(4,), resolution=128, channels=(2, 2, 2, 1, 1, 1)),
        stylegan1,
    ),
    "progan": ("progan", ProGanArchitecture(latent=5, resolution=16, channels=(4, 3, 3), fused=(False, False)), progan),
    "progan fused": (
        "progan",
        ProGanArchitecture(latent=5, resolution=16, channels=(4, 3, 3), fused=(True, True)),
        progan,
    ),
    "progan faded": (
        "progan",
        ProGanArchitecture(latent=5, resolution=16, channels=(4, 3, 3), fused=(True, False), lod=1.5),
        progan,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_network_is_its_papers_equations(drawn: Callable[[str, Any], Any], case: str) -> None:
    kind, a, slow = CASES[case]
    network, rng = drawn(kind, a).double(), np.random.default_rng(2)
    z = rng.standard_normal((2, a.latent))
    labels = np.eye(a.labels)[[0, 1]] if getattr(a, "labels", 0) else None
    state = state_of(network)
    with torch.inference_mode():
        w = network.map(torch.from_numpy(z), None if labels is None else torch.from_numpy(labels))
        whole = w[:, None] if kind == "progan" else truncate(w, network.average, network.layers, 0.7, 3)
        images = network.synthesize(whole)
    gains = (np.sqrt(2), 1.0) if kind == "stylegan1" else (1.0, np.sqrt(2))
    for number in range(2):
        if kind == "progan":
            expected = slow(a, state, z[number])
        else:
            own = mapped(state, z[number], None if labels is None else labels[number], *gains)
            np.testing.assert_allclose(w[number].numpy(), own, rtol=0, atol=TOLERANCE)
            ws = np.tile(own, (network.layers, 1))
            ws[:3] = state["w_average"] + 0.7 * (own - state["w_average"])
            np.testing.assert_allclose(whole[number].numpy(), ws, rtol=0, atol=TOLERANCE)
            expected = slow(a, state, ws)
        assert np.abs(expected).max() > 0.05
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(images[number].numpy() / scale, expected / scale, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kind", ["stylegan1", "stylegan2"])
def test_noise_is_ones_own_where_it_is_given(drawn: Callable[[str, Any], Any], kind: str) -> None:
    network = drawn(kind, CASES["stylegan2 skip" if kind == "stylegan2" else kind][1])
    with torch.inference_mode():
        w = truncate(network.map(torch.ones(1, 5)), network.average, network.layers)
        kept = network.synthesize(w, network.maps_kept())
        assert torch.equal(kept, network.synthesize(w))
        for number, side in enumerate(network.noise_sizes):
            maps = network.maps_kept()
            assert maps[number].shape == (1, 1, side, side)
            maps[number] = maps[number] + 1
            assert (network.synthesize(w, maps) - kept).abs().max() > 1e-3, number


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: two(resolution=9), "resolution 9 is not a power of two"),
        (lambda: two(resolution=2048), "resolution 2048 is over 1024"),
        (lambda: two(latent=10**9), "latent 1000000000 is not within"),
        (lambda: two(channels=(4, 3)), "channels are not 3 whole numbers"),
        (lambda: two(form="other"), "form 'other' is not known"),
        (lambda: two(clamp=-1.0), "clamp -1.0"),
        (lambda: two(taps=(1.0,) * 900), "taps"),
        (lambda: two(mapping=()), "mapping has 0 layers"),
        (lambda: three(kernel=5), "kernel 5"),
        (lambda: three(layers=10**6), "layers 1000000"),
        (lambda: three(first_cutoff=float("nan")), "cut-offs"),
        (lambda: three(last_stopband=0.0), "cut-offs"),
        (
            lambda: ProGanArchitecture(latent=5, resolution=8, channels=(4, 3), fused=(False,), lod=9.0),
            "lod 9.0 is outside",
        ),
    ],
)
def test_sizes_that_cannot_be_are_refused(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
