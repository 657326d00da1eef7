"""Every generator of the fixtures gives its own code's images, and every hostile or broken file is refused in words."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from workers.generator.imported.importer import convert
from workers.generator.imported.layers import truncate
from workers.generator.imported.network import no_noise
from workers.generator.reading.apart import read_apart
from workers.generator.reading.contents import read_contents
from workers.generator.reading.refusals import FileRefused

TOLERANCE = 5e-5

STYLES = [
    ("stylegan2-ada.pkl", "stylegan2-ada"),
    ("stylegan2-ada-numpy1.pkl", "stylegan2-ada"),
    ("stylegan2-ada-conditional.pkl", "stylegan2-ada-conditional"),
    ("stylegan2-tf.pkl", "stylegan2-ada"),
    ("stylegan2-rosinality.pt", "stylegan2-rosinality"),
    ("stylegan2-rosinality-converted.pt", "stylegan2-rosinality"),
    ("stylegan2-rosinality-legacy.pt", "stylegan2-rosinality"),
    ("stylegan3-t.pkl", "stylegan3-t"),
    ("stylegan3-r.pkl", "stylegan3-r"),
    ("stylegan1.pth", "stylegan1"),
    ("stylegan1-tf.pkl", "stylegan1"),
    ("stylegan1-128.pth", "stylegan1-128"),
]


@pytest.mark.parametrize(("file", "reference"), STYLES)
def test_a_style_based_generator_gives_its_own_codes_images(
    fixtures: Path, converted: Callable[..., Any], build: Callable[[Any], Any], file: str, reference: str
) -> None:
    network, known = build(converted(fixtures / file)), np.load(fixtures / f"{reference}.npz")
    label = torch.from_numpy(known["c"]) if "c" in known and known["c"].shape[1] else None
    average = torch.from_numpy(known["truncation_latent"]) if "truncation_latent" in known else network.average
    psi = float(known["truncation_psi"])

    def near(found: Any, key: str) -> None:
        if key in known:
            np.testing.assert_allclose(found.numpy(), known[key], rtol=0, atol=TOLERANCE, err_msg=key)

    with torch.inference_mode():
        w = network.map(torch.from_numpy(known["z"]), label)
        plain, drawn = truncate(w, average, network.layers), truncate(w, average, network.layers, psi)
        near(w if known["w"].ndim == 2 else plain, "w")
        near(drawn, "w_truncated")
        near(network.synthesize(drawn), "img")
        near(network.synthesize(plain), "img_untruncated")
        near(network.synthesize(truncate(w, average, network.layers, psi, 4)), "img_truncation_cutoff_4")
        if network.noise_sizes:
            near(network.synthesize(drawn, no_noise(network, w.device)), "img_noise_none")


@pytest.mark.parametrize(
    ("file", "reference"),
    [
        ("progan.pth", "progan"),
        ("progan-legacy.pth", "progan"),
        ("progan-tf.pkl", "progan"),
        ("progan-tf-python3.pkl", "progan"),
        ("progan-theano.pkl", "progan"),
        ("progan-fused-tf.pkl", "progan-fused-tf"),
        ("progan-gan-zoo.pt", "progan-gan-zoo"),
        ("hostile/000-control-progan-tf.pkl", "hostile/000-control-progan-tf"),
    ],
)
def test_a_progan_gives_its_own_codes_images(
    fixtures: Path, converted: Callable[..., Any], build: Callable[[Any], Any], file: str, reference: str
) -> None:
    made, known = converted(fixtures / file), np.load(fixtures / f"{reference}.npz")
    z = torch.from_numpy(known["z"])[:, None]
    levels = {"img": 0.0, "img_lod_1": 1.0, "img_lod_0_5": 0.5, "img_alpha_0_3": 0.3}
    with torch.inference_mode():
        for key, lod in levels.items():
            if key in known:
                network = build(replace(made, architecture=replace(made.architecture, lod=lod)))
                np.testing.assert_allclose(
                    network.synthesize(z).numpy(), known[key], rtol=0, atol=TOLERANCE, err_msg=key
                )
        if "img_netG" in known:
            other = build(converted(fixtures / file, "netG"))
            np.testing.assert_allclose(other.synthesize(z).numpy(), known["img_netG"], rtol=0, atol=TOLERANCE)


def rows(index: Path) -> list[tuple[str, str]]:
    """(file, what a reader must say) of INDEX.md."""
    found = (re.match(r"\| `([^`]+)` \| .* \| (.*) \| .* \|$", line) for line in index.read_text().splitlines())
    return [(match[1], match[2]) for match in found if match]


def said(message: str, asked: str) -> bool:
    """Whether a refusal says what the index asks for: the names of one of its alternatives, and most of its words."""
    low = message.lower()
    for one in re.split(r";| or ", re.sub(r"\([a-zA-Z][^)]*\)", "", asked.removeprefix("refuse: "))):
        names = [name.lower() for name in re.findall(r"`([^`]+)`", one)]
        words = [word.lower() for word in re.findall(r"[A-Za-z]{4,}|\d{3,}", re.sub(r"`[^`]+`", "", one))]
        if (names or words) and all(name in low for name in names) and sum(w in low for w in words) >= 0.6 * len(words):
            return True
    return False


TAKEN = {
    "000-control-progan-tf.pkl": 1e-5,
    "030-tf-build-module-src-payload.pkl": 1e-5,
    "166-numpy-big-endian.pkl": 1e-5,
    "237-dtype-half-kwarg.pkl": 1e-5,
    "165-numpy-fortran-order.pkl": None,
}
"""Files of the corpus that are sound, or unusual and harmless → how near they are to the control's images."""

OTHERWISE = {
    "044-dotted-name-collections.pkl": "global `collections.abc.sys.modules.get` is not allowed",
    "055-ordereddict-with-arguments.pkl": "neither G_ema, nor (G, D, Gs)",
    "107-deep-reduce.pkl": "OrderedDict is called with arguments",
    "151-overlapping-views.pkl": "weights are missing",
    "193-polyglot-zip-pickle.pkl": "weights are missing",
    "215-bad-utf8.pkl": "text is not UTF-8",
}
"""Where the index puts it in a way that this comparison of words does not see."""


def test_every_hostile_or_broken_file_is_refused_in_the_right_words(
    fixtures: Path, tmp_path: Path, build: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    monkeypatch.setenv("FACSIMILE_CANARY", str(canary))
    folder, wrong, seen = fixtures / "hostile", [], 0
    control = np.load(folder / "000-control-progan-tf.npz")
    for name, asked in rows(folder / "INDEX.md"):
        seen += 1
        try:
            made = convert(read_contents(memoryview((folder / name).read_bytes())))
        except FileRefused as exc:
            words = OTHERWISE.get(name)
            if name in TAKEN or not (words in str(exc) if words else said(str(exc), asked)):
                wrong.append((name, asked, str(exc)))
            continue
        if name not in TAKEN:
            wrong.append((name, asked, "taken"))
            continue
        with torch.inference_mode():
            images = build(made).synthesize(torch.from_numpy(control["z"])[:, None]).numpy()
        away = np.abs(images - control["img"]).max()
        assert away <= TAKEN[name] if TAKEN[name] else 0.1 < away < 3.1, name
        if name.startswith("237"):
            assert "float32" in made.notes[0]
    assert seen > 150
    assert not wrong
    assert not canary.exists()


@pytest.mark.parametrize(
    ("file", "path", "update", "words"),
    [
        ("stylegan2-tf.pkl", "synthesis", {"function": "G_synthesis_stylegan_revised"}, "configurations A to D of"),
        ("stylegan2-tf.pkl", "synthesis", {"function": "G_synthesis", "version": 5}, "StyleGAN2-ADA's TensorFlow"),
        ("stylegan2-tf.pkl", "synthesis", {"function": "G_x\n"}, r"`G_synthesis_stylegan2`: `G_x\x0a` is not known"),
        ("stylegan2-tf.pkl", "", {"label_size": 10}, "label_size 10: networks with labels are not read in this form"),
        ("stylegan2-tf.pkl", "", {"label_size": None}, "label_size `None` is not known (0)"),
        ("stylegan1-tf.pkl", "", {"label_size": 10}, "label_size 10: networks with labels in this form are not read"),
        ("progan-tf.pkl", "", {"label_size": 10}, "label_size 10 does not fit `4x4/Dense/weight`"),
    ],
)
def test_networks_of_tensorflow_that_are_not_read_are_named(
    fixtures: Path, file: str, path: str, update: dict[str, Any], words: str
) -> None:
    contents = read_contents(memoryview((fixtures / file).read_bytes()))
    part = contents.settings[path]
    if "label_size" in update:
        changed = {**part, "kwargs": {**part["kwargs"], **update}}
    else:
        changed = {**part, **update}
    with pytest.raises(FileRefused) as refused:
        convert(replace(contents, settings={**contents.settings, path: changed}))
    assert words in str(refused.value)


@pytest.mark.parametrize("number", ["001", "024", "051", "103", "110", "119", "120", "131", "178", "197", "250"])
def test_a_child_process_refuses_alike(
    fixtures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    canary = tmp_path / "canary"
    monkeypatch.setenv("FACSIMILE_CANARY", str(canary))
    (path,) = (fixtures / "hostile").glob(f"{number}-*")
    with pytest.raises(FileRefused) as apart:
        read_apart(path)
    with pytest.raises(FileRefused) as here:
        read_contents(memoryview(path.read_bytes()))
    assert (apart.value.problem, apart.value.at) == (here.value.problem, here.value.at)
    assert not canary.exists()
