"""StyleGAN3, T and R, out of the pickles of its own code."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.imported.checks import check_resolution
from workers.generator.imported.persistent import check_modules, mapping_of, number_or_none
from workers.generator.imported.taking import Converted, Keywords, Taker, refused_as
from workers.generator.reading.contents import PERSISTENT, Contents
from workers.generator.reading.refusals import FileRefused
from workers.generator.stylegan2.importer import take_mapping
from workers.generator.stylegan3.network import FILTER, OUTPUT_SCALE, Architecture, plan

KIND = "stylegan3"

CLASSES = frozenset(
    {"Generator", "MappingNetwork", "SynthesisNetwork", "SynthesisInput", "SynthesisLayer", "FullyConnectedLayer"}
)
IGNORED = frozenset({"class", "mapping_kwargs", "num_fp16_res", "magnitude_ema_beta", "use_fp16"})


def recognise(contents: Contents) -> bool:
    """Whether a file holds a StyleGAN3, by its keys or its keywords."""
    if contents.form != PERSISTENT:
        return False
    return "synthesis.input.weight" in contents.tensors or "conv_kernel" in contents.settings


def convert(contents: Contents) -> Converted:
    """A StyleGAN3 in our own form; raises FileRefused."""
    root = Keywords(contents.settings, IGNORED)
    latent, labels, width, embedding, layers = mapping_of(root)
    root.only("img_channels", 3)
    root.only("filter_size", FILTER)
    root.only("lrelu_upsampling", 2)
    if root.number("output_scale", OUTPUT_SCALE) != OUTPUT_SCALE:
        raise FileRefused(f"output_scale is not {OUTPUT_SCALE}")
    radial = root.get("use_radial_filters", False)
    if type(radial) is not bool:
        raise FileRefused("use_radial_filters is not a boolean")
    try:
        architecture = Architecture(
            latent=latent,
            labels=labels,
            embedding=embedding,
            mapping=layers,
            resolution=check_resolution("img_resolution", root.get("img_resolution"), 16),
            channel_base=root.get("channel_base", 32768),
            channel_max=root.get("channel_max", 512),
            layers=root.get("num_layers", 14),
            critical=root.get("num_critical", 2),
            kernel=root.get("conv_kernel", 3),
            radial=radial,
            first_cutoff=root.number("first_cutoff", 2.0),
            first_stopband=root.number("first_stopband", 2.0**2.1),
            last_stopband=root.number("last_stopband_rel", 2.0**0.3),
            margin=root.get("margin_size", 10),
            clamp=number_or_none(root, "conv_clamp", 256.0),
        )
        start, plans = plan(architecture)
    except ValueError as exc:
        names = {"layers": "num_layers", "critical": "num_critical", "kernel": "conv_kernel", "margin": "margin_size"}
        raise refused_as(exc, **names) from exc
    root.finish()
    check_modules(contents.beside, CLASSES)
    taker = Taker(contents.tensors)
    made: dict[str, NDArray[np.float32]] = {}
    take_mapping(taker, latent, labels, embedding, layers, made)
    theirs, c = "synthesis.input", start.channels
    made["features.affine.weight"] = taker.take(f"{theirs}.affine.weight", 4, width)
    made["features.affine.bias"] = taker.take(f"{theirs}.affine.bias", 4)
    made["features.weight"] = taker.take(f"{theirs}.weight", c, c)
    made["features.frequencies"] = taker.take(f"{theirs}.freqs", c, 2)
    made["features.phases"] = taker.take(f"{theirs}.phases", c)
    made["features.transform"] = taker.take(f"{theirs}.transform", 3, 3)
    for number, p in enumerate(plans):
        theirs, ours = f"synthesis.L{number}_{p.size}_{p.outputs}", f"stack.{number}"
        made[f"{ours}.affine.weight"] = taker.take(f"{theirs}.affine.weight", p.inputs, width)
        made[f"{ours}.affine.bias"] = taker.take(f"{theirs}.affine.bias", p.inputs)
        made[f"{ours}.weight"] = taker.take(f"{theirs}.weight", p.outputs, p.inputs, p.kernel, p.kernel)
        made[f"{ours}.bias"] = taker.take(f"{theirs}.bias", p.outputs)
        made[f"{ours}.magnitude"] = taker.take(f"{theirs}.magnitude_ema")
        if made[f"{ours}.magnitude"] <= 0:
            raise FileRefused(f"`{theirs}.magnitude_ema` is not above 0")
        if p.up_taps > 1:
            made[f"{ours}.up_filter"] = taker.take(f"{theirs}.up_filter", p.up_taps)
        if p.down_taps > 1:
            shape = (p.down_taps, p.down_taps) if p.radial else (p.down_taps,)
            made[f"{ours}.down_filter"] = taker.take(f"{theirs}.down_filter", *shape)
        for name, taps in (("up_filter", p.up_taps), ("down_filter", p.down_taps)):
            # A filter of one tap is one, and is left out of some files.
            if taps == 1 and f"{theirs}.{name}" in taker:
                taker.take_like(f"{theirs}.{name}", np.ones(taker.shape(f"{theirs}.{name}"), np.float32))
    taker.finish()
    half = contents.settings.get("num_fp16_res", 4)
    notes = ("its own code computes the finest layers in float16; here all is float32",) if half else ()
    return Converted(kind=KIND, source="StyleGAN3 pickle", architecture=architecture, tensors=made, notes=notes)


def architecture_of(values: Mapping[str, Any]) -> Architecture:
    """An architecture out of a card's values; raises TypeError or ValueError."""
    return Architecture(**{**values, "mapping": tuple(values["mapping"])})
