"""StyleGAN1 out of other people's files: TensorFlow pickles and genforce's state dicts."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.generator.imported.checks import MOST_RESOLUTION, check_resolution
from workers.generator.imported.taking import Converted, Keywords, Taker, check_channels, refused_as
from workers.generator.reading.contents import NETWORKS, STATE_DICT, Contents
from workers.generator.reading.refusals import FileRefused, shown
from workers.generator.stylegan1.network import BLUR, Architecture

KIND = "stylegan1"

Arrays = dict[str, NDArray[np.float32]]

TRAINING = frozenset(
    {"truncation_psi", "truncation_cutoff", "truncation_psi_training", "dlatent_avg_beta", "style_mixing_prob"}
    | {"is_training", "is_validation", "is_template_graph", "structure", "force_clean_graph", "randomize_noise"}
    | {"fused_scale", "components", "mapping_func", "synthesis_func", "return_dlatents"}
)


def recognise(contents: Contents) -> bool:
    """Whether a file holds a StyleGAN1, by its function or its keys."""
    if contents.form == NETWORKS:
        return contents.settings.get("", {}).get("function") == "G_style"
    return contents.form == STATE_DICT and "synthesis.layer0.const" in contents.tensors


def convert(contents: Contents) -> Converted:
    """A StyleGAN1 in our own form; raises FileRefused."""
    return _tensorflow(contents) if contents.form == NETWORKS else _genforce(contents)


def _architecture(
    taker: Taker, widths: list[int], latent: int, resolution: int, channels: list[int], lod: str
) -> Architecture:
    level = float(taker.take(lod)) if lod in taker else 0.0
    try:
        return Architecture(
            latent=latent, mapping=tuple(widths), resolution=resolution, channels=tuple(channels), lod=level
        )
    except ValueError as exc:
        raise refused_as(exc, latent="latent_size") from exc


def _tensorflow(contents: Contents) -> Converted:
    settings = contents.settings
    if set(settings) != {"", "mapping", "synthesis"}:
        raise FileRefused("a StyleGAN1 has the components `mapping` and `synthesis`")
    for path, known in (("mapping", "G_mapping"), ("synthesis", "G_synthesis")):
        if settings[path]["function"] != known:
            raise FileRefused(f"`{path}` is built by another function than `{known}`")
    kwargs = Keywords(
        {**settings["mapping"]["kwargs"], **settings["synthesis"]["kwargs"], **settings[""]["kwargs"]}, TRAINING
    )
    kwargs.only("num_channels", 3)
    if labels := kwargs.get("label_size", 0):
        raise FileRefused(f"label_size {shown(labels)}: networks with labels in this form are not read")
    kwargs.only("label_size", 0)
    for name in (
        "normalize_latents",
        "use_wscale",
        "use_styles",
        "use_noise",
        "use_instance_norm",
        "const_input_layer",
    ):
        kwargs.only(name, True)
    kwargs.only("use_pixel_norm", False)
    kwargs.only("mapping_nonlinearity", "lrelu")
    kwargs.only("nonlinearity", "lrelu")
    kwargs.only("dtype", "float32")
    kwargs.only("blur_filter", [1, 2, 1])
    if kwargs.number("mapping_lrmul", 0.01) != 0.01:
        raise FileRefused("mapping_lrmul is not 0.01")
    for name in ("dlatent_size", "dlatent_broadcast", "mapping_layers", "mapping_fmaps"):
        kwargs.get(name)
    try:
        resolution = check_resolution("resolution", kwargs.get("resolution"))
    except ValueError as exc:
        raise FileRefused(str(exc)) from exc
    taker, steps = Taker(contents.tensors), (resolution // 4).bit_length()
    count = sum(bool(re.fullmatch(r"mapping/Dense\d+/weight", name)) for name in contents.tensors)
    widths = [(*taker.shape(f"mapping/Dense{number}/weight"), 0)[-1] or 0 for number in range(count)]
    widths = [taker.shape(f"mapping/Dense{number}/weight")[-1] for number in range(count)]
    first = taker.shape("mapping/Dense0/weight")
    latent = kwargs.get("latent_size", 512)
    if latent != first[0]:
        raise FileRefused(f"latent_size {latent} does not fit `mapping/Dense0/weight` {first}")
    sides = [f"{4 << step}x{4 << step}" for step in range(steps)]
    channels = [
        (*taker.shape(f"synthesis/{side}/{'Conv1' if step else 'Conv'}/weight"), 0)[3]
        for step, side in enumerate(sides)
    ]
    check_channels(
        channels, kwargs.number("fmap_base", 8192), kwargs.number("fmap_decay", 1.0), kwargs.number("fmap_max", 512)
    )
    kwargs.finish()
    architecture = _architecture(taker, widths, latent, resolution, channels, "synthesis/lod")
    if "lod" in taker:
        taker.take("lod")
    made: Arrays = {}
    inputs = [latent, *widths[:-1]]
    for number, (one, out) in enumerate(zip(inputs, widths, strict=True)):
        made[f"mapping.layers.{number}.weight"] = taker.take(f"mapping/Dense{number}/weight", one, out).T
        made[f"mapping.layers.{number}.bias"] = taker.take(f"mapping/Dense{number}/bias", out)
    made["w_average"] = taker.take("dlatent_avg", widths[-1])
    made["start"] = taker.take("synthesis/4x4/Const/const", 1, channels[0], 4, 4)[0]
    for step, out in enumerate(channels):
        side, pixels, ours = f"synthesis/{sides[step]}", 4 << step, f"stages.{step}"
        layers = ("Conv0_up", "Conv1") if step else ("Const", "Conv")
        if step:
            weight = taker.take(f"{side}/Conv0_up/weight", 3, 3, channels[step - 1], out)
            made[f"{ours}.grow"] = weight.transpose(3, 2, 0, 1)
        made[f"{ours}.refine"] = taker.take(f"{side}/{layers[1]}/weight", 3, 3, out, out).transpose(3, 2, 0, 1)
        for place, (epilogue, layer) in enumerate(zip(("first", "second"), layers, strict=True)):
            name, where = f"{ours}.{epilogue}", f"{side}/{layer}"
            made[f"{name}.bias"] = taker.take(f"{where}/bias", out)
            made[f"{name}.noise_strength"] = taker.take(f"{where}/Noise/weight", out)
            noise = taker.take(f"synthesis/noise{2 * step + place}", 1, 1, pixels, pixels)
            made[f"{name}.noise"] = noise[0, 0]
            made[f"{name}.style.weight"] = taker.take(f"{where}/StyleMod/weight", widths[-1], 2 * out).T
            made[f"{name}.style.bias"] = taker.take(f"{where}/StyleMod/bias", 2 * out)
        level = steps - 1 - step
        made[f"{ours}.paint"] = taker.take(f"synthesis/ToRGB_lod{level}/weight", 1, 1, out, 3).transpose(3, 2, 0, 1)
        made[f"{ours}.paint_bias"] = taker.take(f"synthesis/ToRGB_lod{level}/bias", 3)
    taker.finish()
    return Converted(kind=KIND, source="StyleGAN1, TensorFlow pickle", architecture=architecture, tensors=made)


def _genforce(contents: Contents) -> Converted:
    taker = Taker(contents.tensors)
    steps = sum(bool(re.fullmatch(r"synthesis\.output\d+\.weight", name)) for name in contents.tensors)
    if not 1 <= steps <= (MOST_RESOLUTION // 4).bit_length():
        raise FileRefused(f"{steps} layers paint; networks of 4 to {MOST_RESOLUTION} pixels are read")
    count = sum(bool(re.fullmatch(r"mapping\.dense\d+\.weight", name)) for name in contents.tensors)
    widths = [(*taker.shape(f"mapping.dense{number}.weight"), 0)[0] for number in range(count)]
    first = taker.shape("mapping.dense0.weight")
    latent = first[1] if len(first) == 2 else 0
    channels = [(*taker.shape(f"synthesis.layer{2 * step + 1}.weight"), 0)[0] for step in range(steps)]
    architecture = _architecture(taker, widths, latent, 4 << (steps - 1), channels, "synthesis.lod")
    made: Arrays = {}
    for number, (one, out) in enumerate(zip([latent, *widths[:-1]], widths, strict=True)):
        made[f"mapping.layers.{number}.weight"] = taker.take(f"mapping.dense{number}.weight", out, one)
        made[f"mapping.layers.{number}.bias"] = taker.take(f"mapping.dense{number}.bias", out)
    made["w_average"] = taker.take("truncation.w_avg", widths[-1])
    made["start"] = taker.take("synthesis.layer0.const", 1, channels[0], 4, 4)[0]
    blur = np.outer(BLUR, BLUR) / np.sum(BLUR) ** 2
    for step, out in enumerate(channels):
        ours, pixels = f"stages.{step}", 4 << step
        if step:
            layer = f"synthesis.layer{2 * step}"
            made[f"{ours}.grow"] = taker.take(f"{layer}.weight", out, channels[step - 1], 3, 3)
            if f"{layer}.blur.kernel" in taker:
                taker.take_like(f"{layer}.blur.kernel", np.broadcast_to(blur, (out, 1, 3, 3)))
        made[f"{ours}.refine"] = taker.take(f"synthesis.layer{2 * step + 1}.weight", out, out, 3, 3)
        for place, epilogue in enumerate(("first", "second")):
            layer, name = f"synthesis.layer{2 * step + place}", f"{ours}.{epilogue}"
            made[f"{name}.bias"] = taker.take(f"{layer}.bias", out)
            made[f"{name}.noise_strength"] = taker.take(f"{layer}.apply_noise.weight", out)
            made[f"{name}.noise"] = taker.take(f"{layer}.apply_noise.noise", 1, 1, pixels, pixels)[0, 0]
            made[f"{name}.style.weight"] = taker.take(f"{layer}.style.weight", 2 * out, widths[-1])
            made[f"{name}.style.bias"] = taker.take(f"{layer}.style.bias", 2 * out)
        made[f"{ours}.paint"] = taker.take(f"synthesis.output{step}.weight", 3, out, 1, 1)
        made[f"{ours}.paint_bias"] = taker.take(f"synthesis.output{step}.bias", 3)
    taker.finish()
    return Converted(kind=KIND, source="StyleGAN1, genforce state dict", architecture=architecture, tensors=made)


def architecture_of(values: Mapping[str, Any]) -> Architecture:
    """An architecture out of a card's values; raises TypeError or ValueError."""
    return Architecture(**{**values, "mapping": tuple(values["mapping"]), "channels": tuple(values["channels"])})
