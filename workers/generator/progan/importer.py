"""ProGAN out of other people's files: TensorFlow and Theano pickles, genforce's and pytorch_GAN_zoo's state dicts.

Legend of names: ours → theirs. `start` is the step from z to 4 × 4, `grow` and `refine` the two convolutions of a
stage, `paint` what gives RGB.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.imported.checks import MOST_RESOLUTION, check_resolution
from workers.generator.imported.taking import Converted, Keywords, Taker, check_channels, refused_as
from workers.generator.progan.network import Architecture
from workers.generator.reading.contents import NETWORKS, STATE_DICT, Contents
from workers.generator.reading.refusals import FileRefused, shown

KIND = "progan"

Arrays = dict[str, NDArray[np.float32]]

IGNORED = frozenset(
    {"is_template_graph", "structure", "fused_scale", "mirror_augment", "tanh_at_end", "use_batchnorm", "dtype"}
)


def recognise(contents: Contents) -> bool:
    """Whether a file holds a ProGAN, by its function or its keys."""
    if contents.form == NETWORKS:
        return contents.settings.get("", {}).get("function") == "G_paper"
    if contents.form != STATE_DICT:
        return False
    return "layer0.weight" in contents.tensors or "formatLayer.module.weight" in contents.tensors


def convert(contents: Contents) -> Converted:
    """A ProGAN in our own form; raises FileRefused."""
    if contents.form == NETWORKS:
        return _theano(contents) if "param_values/0" in contents.tensors else _tensorflow(contents)
    return _genforce(contents) if "layer0.weight" in contents.tensors else _gan_zoo(contents)


def _steps(resolution: int) -> int:
    return (resolution // 4).bit_length()


def _lod(taker: Taker, name: str) -> float:
    return float(taker.take(name)) if name in taker else 0.0


def _architecture(latent: int, resolution: int, channels: list[int], fused: list[bool], lod: float) -> Architecture:
    try:
        return Architecture(latent=latent, resolution=resolution, channels=tuple(channels), fused=tuple(fused), lod=lod)
    except ValueError as exc:
        raise refused_as(exc, latent="latent_size") from exc


def _keywords(contents: Contents) -> tuple[Keywords, int, tuple[str, ...]]:
    kwargs = Keywords(contents.settings[""]["kwargs"], IGNORED)
    kwargs.only("num_channels", 3)
    kwargs.only("normalize_latents", True)
    for name in ("use_wscale", "use_pixelnorm", "use_leakyrelu"):
        kwargs.only(name, True)
    kwargs.only("use_batchnorm", False)
    kwargs.only("tanh_output", False)
    kwargs.only("tanh_at_end", None, False)
    if kwargs.number("pixelnorm_epsilon", 1e-8) != 1e-8:
        raise FileRefused("pixelnorm_epsilon is not 1e-8")
    kwargs.only("dtype", "float32", "float16")
    half = kwargs.get("dtype") == "float16"
    try:
        resolution = check_resolution("resolution", kwargs.get("resolution"))
    except ValueError as exc:
        raise FileRefused(str(exc)) from exc
    return kwargs, resolution, ("the file asks for float16; images are computed in float32",) if half else ()


def _fit(kwargs: Keywords, name: str, shape: tuple[int, ...], rows: int) -> int:
    """The latent's size, which must be the rows of the first weight, label included."""
    labels = kwargs.get("label_size", 0)
    latent = kwargs.get("latent_size")
    latent = rows if latent is None else latent
    for what, value in (("latent_size", latent), ("label_size", labels)):
        if type(value) is not int or value < 0:
            raise FileRefused(f"{what} is not a whole number")
    if labels and latent + labels != rows:
        raise FileRefused(f"label_size {labels} does not fit `{name}` {shape}")
    if latent + labels != rows:
        raise FileRefused(f"latent_size {latent} does not fit `{name}` {shape}")
    if labels:
        raise FileRefused(f"label_size {labels}: networks with labels in this form are not read")
    return int(latent)


def _tensorflow(contents: Contents) -> Converted:
    kwargs, resolution, notes = _keywords(contents)
    taker, steps = Taker(contents.tensors), _steps(resolution)
    first = "4x4/Dense/weight"
    shape = taker.shape(first)
    latent = _fit(kwargs, first, shape, shape[0] if shape else 0)
    channels = [_last(taker, f"{4 << step}x{4 << step}/{'Conv1' if step else 'Conv'}/weight") for step in range(steps)]
    fused = [f"{4 << step}x{4 << step}/Conv0_up/weight" in taker for step in range(1, steps)]
    check_channels(
        channels, kwargs.number("fmap_base", 8192), kwargs.number("fmap_decay", 1.0), kwargs.number("fmap_max", 512)
    )
    kwargs.finish()
    architecture = _architecture(latent, resolution, channels, fused, _lod(taker, "lod"))
    made: Arrays = {}
    c = channels[0]
    made["start"] = taker.take(first, latent, 16 * c).reshape(latent, c, 4, 4).transpose(1, 0, 2, 3)
    made["start_bias"] = np.repeat(taker.take("4x4/Dense/bias", c), 16).reshape(c, 4, 4)
    for step, out in enumerate(channels):
        side, ours = f"{4 << step}x{4 << step}", f"stages.{step}"
        one = channels[max(step - 1, 0)]
        if step and fused[step - 1]:
            made[f"{ours}.grow"] = taker.take(f"{side}/Conv0_up/weight", 3, 3, out, one).transpose(2, 3, 0, 1)
            made[f"{ours}.grow_bias"] = taker.take(f"{side}/Conv0_up/bias", out)
        elif step:
            made[f"{ours}.grow"] = taker.take(f"{side}/Conv0/weight", 3, 3, one, out).transpose(3, 2, 0, 1)
            made[f"{ours}.grow_bias"] = taker.take(f"{side}/Conv0/bias", out)
        refine = "Conv1" if step else "Conv"
        made[f"{ours}.refine"] = taker.take(f"{side}/{refine}/weight", 3, 3, out, out).transpose(3, 2, 0, 1)
        made[f"{ours}.refine_bias"] = taker.take(f"{side}/{refine}/bias", out)
        level = steps - 1 - step
        made[f"{ours}.paint"] = taker.take(f"ToRGB_lod{level}/weight", 1, 1, out, 3).transpose(3, 2, 0, 1)
        made[f"{ours}.paint_bias"] = taker.take(f"ToRGB_lod{level}/bias", 3)
    taker.finish()
    return Converted(
        kind=KIND, source="ProGAN, TensorFlow pickle", architecture=architecture, tensors=made, notes=notes
    )


def _last(taker: Taker, name: str) -> int:
    """How many channels come out of a TensorFlow kernel [k, k, in, out]."""
    shape = taker.shape(name)
    return shape[-1] if shape else 0


def _theano(contents: Contents) -> Converted:
    """Weights, each followed by its own scale and bias: the convolutions first, then what paints, large to small."""
    kwargs, resolution, notes = _keywords(contents)
    taker, steps = Taker(contents.tensors), _steps(resolution)
    values = sum(name.startswith("param_values/") for name in contents.tensors)
    if values != 9 * steps:
        raise FileRefused(f"`param_values` are {values}, and a network of {resolution} pixels has {9 * steps}")
    shape = taker.shape("param_values/0")
    latent = _fit(kwargs, "param_values/0", shape, shape[1] if len(shape) == 4 else 0)
    channels = [(*taker.shape(f"param_values/{6 * step + 3}"), 0)[0] for step in range(steps)]
    check_channels(
        channels, kwargs.number("fmap_base", 8192), kwargs.number("fmap_decay", 1.0), kwargs.number("fmap_max", 512)
    )
    kwargs.finish()
    architecture = _architecture(latent, resolution, channels, [False] * (steps - 1), _lod(taker, "lod"))

    def scaled(number: int, expected: float, *wanted: int) -> NDArray[np.float32]:
        weight = taker.take(f"param_values/{number}", *wanted)
        return weight * (taker.take(f"param_values/{number + 1}") / np.float32(expected))

    made: Arrays = {}
    c = channels[0]
    # Its first layer is a convolution of a single pixel with a border of three: the kernel comes out as it lies.
    made["start"] = scaled(0, math.sqrt(2) / 4 / math.sqrt(latent), c, latent, 4, 4)
    made["start_bias"] = np.repeat(taker.take("param_values/2", c), 16).reshape(c, 4, 4)
    for step, out in enumerate(channels):
        ours, one, number = f"stages.{step}", channels[max(step - 1, 0)], 6 * step
        if step:
            # Theano turns kernels by half a turn.
            made[f"{ours}.grow"] = scaled(number, math.sqrt(2 / (9 * one)), out, one, 3, 3)[:, :, ::-1, ::-1]
            made[f"{ours}.grow_bias"] = taker.take(f"param_values/{number + 2}", out)
        made[f"{ours}.refine"] = scaled(number + 3, math.sqrt(2 / (9 * out)), out, out, 3, 3)[:, :, ::-1, ::-1]
        made[f"{ours}.refine_bias"] = taker.take(f"param_values/{number + 5}", out)
        paint = 6 * steps + 3 * (steps - 1 - step)
        made[f"{ours}.paint"] = scaled(paint, 1 / math.sqrt(out), out, 3).T.reshape(3, out, 1, 1)
        made[f"{ours}.paint_bias"] = taker.take(f"param_values/{paint + 2}", 3)
    taker.finish()
    return Converted(kind=KIND, source="ProGAN, Theano pickle", architecture=architecture, tensors=made, notes=notes)


def _genforce(contents: Contents) -> Converted:
    taker = Taker(contents.tensors)
    steps = sum(bool(re.fullmatch(r"output\d+\.weight", name)) for name in contents.tensors)
    resolution = 4 << max(steps - 1, 0)
    if not 1 <= steps <= _steps(MOST_RESOLUTION):
        raise FileRefused(f"{steps} layers paint; networks of 4 to {MOST_RESOLUTION} pixels are read")
    shape = taker.shape("layer0.weight")
    latent = shape[1] if len(shape) == 4 else 0
    channels = [(*taker.shape(f"layer{2 * step + 1}.weight"), 0)[0] for step in range(steps)]
    architecture = _architecture(latent, resolution, channels, [False] * (steps - 1), _lod(taker, "lod"))
    made: Arrays = {}
    c = channels[0]
    made["start"] = taker.take("layer0.weight", c, latent, 4, 4)[:, :, ::-1, ::-1]
    made["start_bias"] = np.repeat(taker.take("layer0.bias", c), 16).reshape(c, 4, 4)
    for step, out in enumerate(channels):
        ours, one = f"stages.{step}", channels[max(step - 1, 0)]
        if step:
            made[f"{ours}.grow"] = taker.take(f"layer{2 * step}.weight", out, one, 3, 3)
            made[f"{ours}.grow_bias"] = taker.take(f"layer{2 * step}.bias", out)
        made[f"{ours}.refine"] = taker.take(f"layer{2 * step + 1}.weight", out, out, 3, 3)
        made[f"{ours}.refine_bias"] = taker.take(f"layer{2 * step + 1}.bias", out)
        made[f"{ours}.paint"] = taker.take(f"output{step}.weight", 3, out, 1, 1)
        made[f"{ours}.paint_bias"] = taker.take(f"output{step}.bias", 3)
    taker.finish()
    return Converted(kind=KIND, source="ProGAN, genforce state dict", architecture=architecture, tensors=made)


def _gan_zoo(contents: Contents) -> Converted:
    """As pytorch_GAN_zoo scales: weights and biases times He's constant √(2 / inputs), in every layer."""
    taker, settings = Taker(contents.tensors), contents.settings
    for name, known in (("equalizedlR", True), ("perChannelNormalization", True), ("leakyReluLeak", 0.2)):
        if settings.get(name, known) != known:
            raise FileRefused(f"{name} `{shown(settings[name])}` is not known ({known})")
    steps = 1 + len({name.split(".")[1] for name in contents.tensors if name.startswith("scaleLayers.")})
    if steps > _steps(MOST_RESOLUTION):
        raise FileRefused(f"{steps} scales; networks of up to {MOST_RESOLUTION} pixels are read")
    alpha = settings.get("alpha", 0)
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 <= alpha <= 1:
        raise FileRefused(f"alpha `{shown(alpha)}` is outside of 0 to 1")
    shape = taker.shape("formatLayer.module.weight")
    latent = shape[1] if len(shape) == 2 else 0
    channels = [(*taker.shape("groupScale0.0.module.weight"), 0)[0]]
    channels += [(*taker.shape(f"scaleLayers.{step}.1.module.weight"), 0)[0] for step in range(steps - 1)]
    lod = float(alpha) if steps > 1 else 0.0
    architecture = _architecture(latent, 4 << (steps - 1), channels, [False] * (steps - 1), lod)
    made: Arrays = {}

    def bias(name: str, inputs: int, count: int) -> NDArray[np.float32]:
        return taker.take(f"{name}.module.bias", count) * np.float32(math.sqrt(2 / inputs))

    c = channels[0]
    made["start"] = 4 * taker.take("formatLayer.module.weight", 16 * c, latent).reshape(c, 4, 4, latent).transpose(
        0, 3, 1, 2
    )
    made["start_bias"] = bias("formatLayer", latent, 16 * c).reshape(c, 4, 4)
    for step, out in enumerate(channels):
        ours, one = f"stages.{step}", channels[max(step - 1, 0)]
        if step:
            grow = f"scaleLayers.{step - 1}.0"
            made[f"{ours}.grow"] = taker.take(f"{grow}.module.weight", out, one, 3, 3)
            made[f"{ours}.grow_bias"] = bias(grow, 9 * one, out)
        refine = f"scaleLayers.{step - 1}.1" if step else "groupScale0.0"
        made[f"{ours}.refine"] = taker.take(f"{refine}.module.weight", out, out, 3, 3)
        made[f"{ours}.refine_bias"] = bias(refine, 9 * out, out)
        paint = taker.take(f"toRGBLayers.{step}.module.weight", 3, out, 1, 1)
        made[f"{ours}.paint"] = paint * np.float32(math.sqrt(2))
        made[f"{ours}.paint_bias"] = bias(f"toRGBLayers.{step}", out, 3)
    taker.finish()
    return Converted(kind=KIND, source="ProGAN, pytorch_GAN_zoo checkpoint", architecture=architecture, tensors=made)


def architecture_of(values: Mapping[str, Any]) -> Architecture:
    """An architecture out of a card's values; raises TypeError or ValueError."""
    return Architecture(**{**values, "channels": tuple(values["channels"]), "fused": tuple(values["fused"])})
