"""StyleGAN2 out of other people's files: StyleGAN2-ADA-PyTorch (and StyleGAN3's copy of it), rosinality, TensorFlow."""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.imported.checks import MOST_RESOLUTION, check_resolution, check_whole, stages
from workers.generator.imported.persistent import check_modules, mapping_of, number_or_none
from workers.generator.imported.taking import Converted, Keywords, Taker, check_channels, refused_as
from workers.generator.reading.contents import NETWORKS, PERSISTENT, STATE_DICT, Contents
from workers.generator.reading.refusals import FileRefused, shown
from workers.generator.stylegan2.network import FORMS, Architecture

KIND = "stylegan2"

Arrays = dict[str, NDArray[np.float32]]

TAPS: list[float] = [1, 3, 3, 1]
CLASSES = frozenset(
    {"Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisBlock", "SynthesisLayer", "ToRGBLayer"}
    | {"FullyConnectedLayer", "Conv2dLayer"}
)
CONVERT = "legacy.py of StyleGAN2-ADA-PyTorch makes a pickle of it that is read"
PRECISION = frozenset({"num_fp16_res", "fp16_channels_last", "fused_modconv_default", "use_fp16"})
TRAINING = frozenset(
    {"truncation_psi", "truncation_cutoff", "truncation_psi_training", "dlatent_avg_beta", "style_mixing_prob"}
    | {"is_training", "is_validation", "is_template_graph", "force_clean_graph", "randomize_noise", "return_dlatents"}
    | {"components", "mapping_func", "synthesis_func", "fused_modconv", "conditioning"}
)


def recognise(contents: Contents) -> bool:
    """Whether a file holds a StyleGAN2, by its function, its keywords or its keys."""
    if contents.form == NETWORKS:
        return contents.settings.get("", {}).get("function") in ("G_main", "G")
    if contents.form == PERSISTENT:
        nested, flat = "synthesis_kwargs" in contents.settings, "conv_kernel" in contents.settings
        return (
            "synthesis.b4.const" in contents.tensors
            or nested
            or not (flat or any(name.startswith("synthesis.input.") for name in contents.tensors))
        )
    return contents.form == STATE_DICT and "input.input" in contents.tensors


def convert(contents: Contents) -> Converted:
    """A StyleGAN2 in our own form; raises FileRefused."""
    if contents.form == PERSISTENT:
        return _ada(contents)
    return _tensorflow(contents) if contents.form == NETWORKS else _rosinality(contents)


def _filter(taps: list[float], gain: float = 1.0) -> NDArray[np.float64]:
    kernel = np.outer(taps, taps)
    return kernel / kernel.sum() * gain


def _taps(value: Any) -> list[float]:
    if isinstance(value, dict):
        raise FileRefused(f"resample_filter has {value.get('length')} taps; at most 16 are known")
    if not isinstance(value, list) or not 1 <= len(value) <= 16:
        raise FileRefused("resample_filter is not a list of 1 to 16 numbers")
    if any(isinstance(tap, bool) or not isinstance(tap, (int, float)) for tap in value):
        raise FileRefused("resample_filter is not a list of numbers")
    return [float(tap) for tap in value]


def _ada(contents: Contents) -> Converted:
    settings = dict(contents.settings)
    inner = settings.pop("synthesis_kwargs", None)
    nested = inner if isinstance(inner, dict) else {}
    root = Keywords({**settings, **nested}, PRECISION | {"class", "mapping_kwargs"})
    latent, labels, width, embedding, layers = mapping_of(root)
    root.only("img_channels", 3)
    root.only("activation", "lrelu")
    root.only("use_noise", True)
    form = root.get("architecture", "skip")
    if form not in FORMS:
        raise FileRefused(f"architecture `{form}` is not known ({', '.join(FORMS)})")
    clamp = number_or_none(root, "conv_clamp", 256 if inner is None else None)
    taps = _taps(root.get("resample_filter", TAPS))
    base, most = root.number("channel_base", 32768), root.number("channel_max", 512)
    try:
        resolution = check_resolution("img_resolution", root.get("img_resolution"))
    except ValueError as exc:
        raise FileRefused(str(exc)) from exc
    root.finish()
    check_modules(contents.beside, CLASSES)
    taker, sides = Taker(contents.tensors), stages(resolution)
    channels = [(*taker.shape(f"synthesis.b{side}.conv1.weight"), 0)[0] for side in sides]
    for side, there in zip(sides, channels, strict=True):
        if min(base // side, most) != there:
            raise FileRefused(
                f"channel_base {base} and channel_max {most}: channels do not fit the weights, which have {there} at "
                f"{side} pixels"
            )
    try:
        architecture = Architecture(
            latent=latent,
            labels=labels,
            embedding=embedding,
            mapping=layers,
            resolution=resolution,
            channels=tuple(channels),
            form=form,
            clamp=clamp,
            taps=tuple(taps),
        )
    except ValueError as exc:
        raise refused_as(exc, latent="z_dim", labels="c_dim", mapping="w_dim", clamp="conv_clamp") from exc
    made: Arrays = {}
    take_mapping(taker, architecture.latent, labels, embedding, layers, made)
    kernel = _filter(taps)
    made["start"] = taker.take("synthesis.b4.const", channels[0], 4, 4)
    for step, (side, out) in enumerate(zip(sides, channels, strict=True)):
        theirs, ours, one = f"synthesis.b{side}", f"stages.{step}", channels[max(step - 1, 0)]
        taker.take_like(f"{theirs}.resample_filter", kernel)
        pairs = (("conv0", "grow", one), ("conv1", "refine", out)) if step else (("conv1", "refine", out),)
        for layer, name, inputs in pairs:
            made[f"{ours}.{name}.weight"] = taker.take(f"{theirs}.{layer}.weight", out, inputs, 3, 3)
            made[f"{ours}.{name}.bias"] = taker.take(f"{theirs}.{layer}.bias", out)
            made[f"{ours}.{name}.noise_strength"] = taker.take(f"{theirs}.{layer}.noise_strength")
            made[f"{ours}.{name}.noise"] = taker.take(f"{theirs}.{layer}.noise_const", side, side)
            made[f"{ours}.{name}.affine.weight"] = taker.take(f"{theirs}.{layer}.affine.weight", inputs, width)
            made[f"{ours}.{name}.affine.bias"] = taker.take(f"{theirs}.{layer}.affine.bias", inputs)
            taker.take_like(f"{theirs}.{layer}.resample_filter", kernel)
        if form == "skip" or side == resolution:
            made[f"{ours}.paint.weight"] = taker.take(f"{theirs}.torgb.weight", 3, out, 1, 1)
            made[f"{ours}.paint.bias"] = taker.take(f"{theirs}.torgb.bias", 3)
            made[f"{ours}.paint.affine.weight"] = taker.take(f"{theirs}.torgb.affine.weight", out, width)
            made[f"{ours}.paint.affine.bias"] = taker.take(f"{theirs}.torgb.affine.bias", out)
        if step and form == "resnet":
            made[f"{ours}.skip"] = taker.take(f"{theirs}.skip.weight", out, one, 1, 1)
            taker.take_like(f"{theirs}.skip.resample_filter", kernel)
    taker.finish()
    half = settings.get("num_fp16_res", nested.get("num_fp16_res", 0))
    notes = ("its own code computes the finest layers in float16; here all is float32",) if half else ()
    return Converted(
        kind=KIND, source="StyleGAN2-ADA-PyTorch pickle", architecture=architecture, tensors=made, notes=notes
    )


def take_mapping(taker: Taker, latent: int, labels: int, embedding: int, layers: tuple[int, ...], made: Arrays) -> None:
    """The mapping network of NVIDIA's PyTorch files, StyleGAN2 and 3."""
    if labels:
        made["mapping.embed.weight"] = taker.take("mapping.embed.weight", embedding, labels)
        made["mapping.embed.bias"] = taker.take("mapping.embed.bias", embedding)
    for number, (one, out) in enumerate(zip((latent + embedding, *layers[:-1]), layers, strict=True)):
        made[f"mapping.layers.{number}.weight"] = taker.take(f"mapping.fc{number}.weight", out, one)
        made[f"mapping.layers.{number}.bias"] = taker.take(f"mapping.fc{number}.bias", out)
    made["w_average"] = taker.take("mapping.w_avg", layers[-1])


def _rosinality(contents: Contents) -> Converted:
    taker = Taker(contents.tensors)
    count = sum(bool(re.fullmatch(r"style\.\d+\.weight", name)) for name in contents.tensors)
    widths = [(*taker.shape(f"style.{number}.weight"), 0)[0] for number in range(1, count + 1)]
    if not widths:
        raise FileRefused("weights are missing: no `style.1.weight`")
    first = taker.shape("style.1.weight")
    latent, width = first[1] if len(first) == 2 else 0, widths[-1]
    painters = sum(bool(re.fullmatch(r"to_rgbs\.\d+\.bias", name)) for name in contents.tensors)
    if painters >= len(stages(MOST_RESOLUTION)):
        raise FileRefused(f"{painters + 1} layers paint; networks of up to {MOST_RESOLUTION} pixels are read")
    channels = [(*taker.shape("conv1.conv.weight"), 0, 0)[1]]
    channels += [(*taker.shape(f"convs.{2 * step + 1}.conv.weight"), 0, 0)[1] for step in range(painters)]
    resolution = 4 << painters
    size = contents.settings.get("size")
    if size is not None and size != resolution:
        raise FileRefused(f"the training's arguments say {size} pixels, and the weights {resolution}")
    try:
        architecture = Architecture(
            latent=latent,
            labels=0,
            embedding=0,
            mapping=tuple(widths),
            resolution=resolution,
            channels=tuple(channels),
        )
    except ValueError as exc:
        raise refused_as(exc) from exc
    made: Arrays = {}
    for number, (one, out) in enumerate(zip((latent, *widths[:-1]), widths, strict=True)):
        made[f"mapping.layers.{number}.weight"] = taker.take(f"style.{number + 1}.weight", out, one)
        made[f"mapping.layers.{number}.bias"] = taker.take(f"style.{number + 1}.bias", out)
    notes: tuple[str, ...] = ()
    if "latent_avg" in taker:
        made["w_average"] = taker.take("latent_avg", width)
    else:
        notes = ("the file has no latent_avg: the mean w is sampled here",)
    made["start"] = taker.take("input.input", 1, channels[0], 4, 4)[0]
    kernel = _filter(TAPS, 4.0)

    def layer(theirs: str, ours: str, inputs: int, out: int, side: int, number: int) -> None:
        # Their convolutions are scaled by 1/√inputs; demodulation takes it out again, but for its epsilon.
        weight = taker.take(f"{theirs}.conv.weight", 1, out, inputs, 3, 3)[0]
        made[f"{ours}.weight"] = weight * np.float32(1 / math.sqrt(9 * inputs))
        made[f"{ours}.bias"] = taker.take(f"{theirs}.activate.bias", out)
        made[f"{ours}.noise_strength"] = taker.take(f"{theirs}.noise.weight", 1)[0]
        made[f"{ours}.noise"] = taker.take(f"noises.noise_{number}", 1, 1, side, side)[0, 0]
        made[f"{ours}.affine.weight"] = taker.take(f"{theirs}.conv.modulation.weight", inputs, width)
        made[f"{ours}.affine.bias"] = taker.take(f"{theirs}.conv.modulation.bias", inputs)

    for step, out in enumerate(channels):
        side, ours, one = 4 << step, f"stages.{step}", channels[max(step - 1, 0)]
        if step:
            up = f"convs.{2 * step - 2}"
            layer(up, f"{ours}.grow", one, out, side, 2 * step - 1)
            taker.take_like(f"{up}.conv.blur.kernel", kernel)
            layer(f"convs.{2 * step - 1}", f"{ours}.refine", out, out, side, 2 * step)
        else:
            layer("conv1", f"{ours}.refine", out, out, side, 0)
        paint = f"to_rgbs.{step - 1}" if step else "to_rgb1"
        made[f"{ours}.paint.weight"] = taker.take(f"{paint}.conv.weight", 1, 3, out, 1, 1)[0]
        made[f"{ours}.paint.bias"] = taker.take(f"{paint}.bias", 1, 3, 1, 1).reshape(3)
        made[f"{ours}.paint.affine.weight"] = taker.take(f"{paint}.conv.modulation.weight", out, width)
        made[f"{ours}.paint.affine.bias"] = taker.take(f"{paint}.conv.modulation.bias", out)
        if step:
            taker.take_like(f"{paint}.upsample.kernel", kernel)
    taker.finish()
    return Converted(
        kind=KIND, source="StyleGAN2, rosinality checkpoint", architecture=architecture, tensors=made, notes=notes
    )


def _other_function(path: str, known: str, function: str) -> str:
    """Why a component of a TensorFlow network that `known` did not build is not read."""
    if function == "G_synthesis_stylegan_revised":
        return f"`{path}` is built by `{function}`: configurations A to D of StyleGAN2 are not read, E and F are"
    if function == "G_synthesis":
        return f"`{path}` is built by `{function}`: StyleGAN2-ADA's TensorFlow version is not read; {CONVERT}"
    return f"`{path}` is built by another function than `{known}`: `{shown(function)}` is not known"


def _tensorflow(contents: Contents) -> Converted:
    settings = contents.settings
    if set(settings) != {"", "mapping", "synthesis"}:
        raise FileRefused("a StyleGAN2 has the components `mapping` and `synthesis`")
    for path, known in (("mapping", "G_mapping"), ("synthesis", "G_synthesis_stylegan2")):
        if settings[path]["function"] != known:
            raise FileRefused(_other_function(path, known, settings[path]["function"]))
    merged = {**settings["mapping"]["kwargs"], **settings["synthesis"]["kwargs"], **settings[""]["kwargs"]}
    kwargs = Keywords(merged, TRAINING)
    kwargs.only("num_channels", 3)
    if labels := kwargs.get("label_size", 0):
        raise FileRefused(f"label_size {shown(labels)}: networks with labels are not read in this form; {CONVERT}")
    kwargs.only("label_size", 0)
    kwargs.only("normalize_latents", True)
    kwargs.only("mapping_nonlinearity", "lrelu")
    kwargs.only("nonlinearity", "lrelu")
    kwargs.only("dtype", "float32")
    kwargs.only("resample_kernel", TAPS)
    if kwargs.number("mapping_lrmul", 0.01) != 0.01:
        raise FileRefused("mapping_lrmul is not 0.01")
    for name in ("dlatent_size", "dlatent_broadcast", "mapping_layers", "mapping_fmaps"):
        kwargs.get(name)
    form = kwargs.get("architecture", "skip")
    if form not in FORMS:
        raise FileRefused(f"architecture is not known ({', '.join(FORMS)})")
    try:
        resolution = check_resolution("resolution", kwargs.get("resolution"))
        latent = check_whole("latent_size", kwargs.get("latent_size", 512), 1, 4096)
    except ValueError as exc:
        raise FileRefused(str(exc)) from exc
    taker, sides = Taker(contents.tensors), stages(resolution)
    count = sum(bool(re.fullmatch(r"mapping/Dense\d+/weight", name)) for name in contents.tensors)
    widths = [(*taker.shape(f"mapping/Dense{number}/weight"), 0, 0)[1] for number in range(count)]
    if not widths:
        raise FileRefused("weights are missing: no `mapping/Dense0/weight`")
    channels = [
        (*taker.shape(f"synthesis/{side}x{side}/{'Conv1' if side > 4 else 'Conv'}/weight"), 0, 0, 0, 0)[3]
        for side in sides
    ]
    check_channels(
        channels,
        kwargs.number("fmap_base", 16384),
        kwargs.number("fmap_decay", 1.0),
        kwargs.number("fmap_max", 512),
        kwargs.number("fmap_min", 1),
    )
    kwargs.finish()
    try:
        architecture = Architecture(
            latent=latent,
            labels=0,
            embedding=0,
            mapping=tuple(widths),
            resolution=resolution,
            channels=tuple(channels),
            form=form,
        )
    except ValueError as exc:
        raise refused_as(exc, latent="latent_size") from exc
    made: Arrays = {}
    for number, (one, out) in enumerate(zip((latent, *widths[:-1]), widths, strict=True)):
        made[f"mapping.layers.{number}.weight"] = taker.take(f"mapping/Dense{number}/weight", one, out).T
        made[f"mapping.layers.{number}.bias"] = taker.take(f"mapping/Dense{number}/bias", out)
    made["w_average"] = taker.take("dlatent_avg", widths[-1])
    if "lod" in taker:
        taker.take("lod")
    made["start"] = taker.take("synthesis/4x4/Const/const", 1, channels[0], 4, 4)[0]

    def affine(theirs: str, ours: str, out: int) -> None:
        made[f"{ours}.affine.weight"] = taker.take(f"{theirs}/mod_weight", widths[-1], out).T
        made[f"{ours}.affine.bias"] = taker.take(f"{theirs}/mod_bias", out) + 1

    for step, (side, out) in enumerate(zip(sides, channels, strict=True)):
        theirs, one = f"synthesis/{side}x{side}", channels[max(step - 1, 0)]
        layers = (("Conv0_up", "grow", one), ("Conv1", "refine", out)) if step else (("Conv", "refine", out),)
        for layer, name, inputs in layers:
            where, ours = f"{theirs}/{layer}", f"stages.{step}.{name}"
            weight = taker.take(f"{where}/weight", 3, 3, inputs, out).transpose(3, 2, 0, 1)
            made[f"{ours}.weight"] = (weight[:, :, ::-1, ::-1] if name == "grow" else weight) * np.float32(
                1 / math.sqrt(9 * inputs)
            )
            made[f"{ours}.bias"] = taker.take(f"{where}/bias", out)
            made[f"{ours}.noise_strength"] = taker.take(f"{where}/noise_strength")
            number = 2 * step - (1 if name == "grow" else 0)
            made[f"{ours}.noise"] = taker.take(f"synthesis/noise{number}", 1, 1, side, side)[0, 0]
            affine(where, ours, inputs)
        if form == "skip" or side == resolution:
            paint, ours = f"{theirs}/ToRGB", f"stages.{step}.paint"
            made[f"{ours}.weight"] = taker.take(f"{paint}/weight", 1, 1, out, 3).transpose(3, 2, 0, 1)
            made[f"{ours}.bias"] = taker.take(f"{paint}/bias", 3)
            affine(paint, ours, out)
        if step and form == "resnet":
            skip = taker.take(f"{theirs}/Skip/weight", 1, 1, one, out).transpose(3, 2, 0, 1)
            made[f"stages.{step}.skip"] = skip[:, :, ::-1, ::-1]
    taker.finish()
    return Converted(kind=KIND, source="StyleGAN2, TensorFlow pickle", architecture=architecture, tensors=made)


def architecture_of(values: Mapping[str, Any]) -> Architecture:
    """An architecture out of a card's values; raises TypeError or ValueError."""
    lists = {name: tuple(values[name]) for name in ("mapping", "channels", "taps")}
    return Architecture(**{**values, **lists})
