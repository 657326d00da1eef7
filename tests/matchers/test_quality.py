"""Quality measures: each moves as it must, pose is as exact as is said, and OFIQ's formulas are OFIQ's."""

import importlib
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from workers.generator import latents as lt
from workers.generator.parametric.placement import EYES_APART
from workers.images import Pixels
from workers.matchers import iso29794 as iso
from workers.matchers.detector import Face, load_detector
from workers.matchers.pose import estimate_pose
from workers.matchers.quality import measure_quality
from workers.matchers.sface import load_sface

Render = Callable[..., list[Pixels]]


def found(pixels: Pixels) -> Face:
    face = load_detector().detect(pixels)
    assert face is not None
    return face


@pytest.fixture(scope="module")
def portrait(render: Render) -> Pixels:
    (pixels,) = render(
        0.5 * np.random.default_rng(2).standard_normal((1, lt.IDENTITY)), np.zeros((1, lt.OBSERVATION)), 256
    )
    return pixels


def test_yaw_is_as_exact_as_is_said(render: Render, record_property: Any) -> None:
    """Fresh identities, and no yaw that PROTRUSION was found on."""
    rng = np.random.default_rng(77)
    who = rng.standard_normal((40, lt.IDENTITY))
    how = 0.5 * rng.standard_normal((40, lt.OBSERVATION))
    how[:, lt.CURRENT.dimensions["yaw"]] = rng.uniform(-3, 3, 40)
    how[:, lt.CURRENT.dimensions["pitch"]] = rng.uniform(-2, 2, 40)
    faces = [load_detector().detect(pixels) for pixels in render(who, how)]
    seen = [number for number, face in enumerate(faces) if face is not None]
    asked = lt.pose_of(how).yaw[seen]
    told = np.array([estimate_pose(faces[number].points).yaw for number in seen])  # type: ignore[union-attr]
    off = np.abs(told - asked)
    record_property("figures", f"yaw off by {off.mean():.2f} degrees on average, 95%: {np.quantile(off, 0.95):.2f}")
    assert len(seen) >= 37
    assert off.mean() < 4.5
    assert np.corrcoef(told, asked)[0, 1] > 0.97


@pytest.mark.parametrize("degrees", [-15, 0, 15])
def test_roll_follows_a_turned_image(portrait: Pixels, degrees: int) -> None:
    turning = cv2.getRotationMatrix2D((128, 128), -degrees, 1.0)  # OpenCV turns anticlockwise
    turned = cv2.warpAffine(portrait, turning, (256, 256), borderMode=cv2.BORDER_REPLICATE)
    assert estimate_pose(found(turned).points).roll == pytest.approx(degrees, abs=5)


def test_a_symmetric_face_looks_ahead_and_a_mirrored_one_the_other_way() -> None:
    points = np.array([[30, 50], [70, 50], [50, 75], [35, 95], [65, 95]], np.float32)
    assert estimate_pose(points) == pytest.approx((0, 0), abs=1e-6)
    points[2, 0] += 9
    mirrored = (points * [-1, 1] + [100, 0])[[1, 0, 2, 4, 3]]
    assert estimate_pose(points).yaw == pytest.approx(-estimate_pose(mirrored).yaw)
    assert estimate_pose(points).yaw > 10


def test_blur_lowers_sharpness_and_the_utility_proxy(portrait: Pixels) -> None:
    face, sface = found(portrait), load_sface()
    blurred = [cv2.GaussianBlur(portrait, (0, 0), sigma) for sigma in (1, 2, 4, 7)]
    measured = [measure_quality(pixels, face, sface=sface) for pixels in (portrait, *blurred)]
    sharpness = [quality.sharpness for quality in measured]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 3 * sharpness[-1]
    norms = [quality.sface_norm for quality in measured]
    assert norms[0] is not None
    assert norms[-1] is not None
    assert norms[0] > norms[-1]
    assert measure_quality(portrait, face).sface_norm is None


def test_light_and_contrast_are_seen(portrait: Pixels) -> None:
    face = found(portrait)
    plain = measure_quality(portrait, face)
    dark = measure_quality((portrait * 0.2).astype(np.uint8), face)
    burnt = measure_quality(np.clip(portrait * 3.0, 0, 255).astype(np.uint8), face)
    flat = measure_quality((portrait * 0.3 + 100).astype(np.uint8), face)
    assert dark.brightness < plain.brightness < burnt.brightness
    assert flat.contrast < plain.contrast
    assert flat.components["DynamicRange"].native < plain.components["DynamicRange"].native
    assert dark.components["UnderExposurePrevention"].quality < plain.components["UnderExposurePrevention"].quality
    assert burnt.components["OverExposurePrevention"].quality < plain.components["OverExposurePrevention"].quality
    half = portrait.copy()
    half[:, :128] //= 5
    lit = measure_quality(half, face)
    assert lit.components["IlluminationUniformity"].quality < plain.components["IlluminationUniformity"].quality
    green = portrait.copy()
    green[..., 1] = 255
    assert measure_quality(green, face).components["NaturalColour"].quality < 5
    assert plain.components["NaturalColour"].quality > 50


def test_distances_are_in_the_images_own_pixels(portrait: Pixels) -> None:
    face = found(portrait)
    large = cv2.resize(portrait, (512, 512))
    small_px = measure_quality(portrait, face).inter_eye_px
    assert measure_quality(large, found(large)).inter_eye_px == pytest.approx(2 * small_px, rel=0.05)
    assert small_px == pytest.approx(EYES_APART * 256, rel=0.25)


def test_every_component_is_between_0_and_100(portrait: Pixels) -> None:
    face = found(portrait)
    noise = np.random.default_rng(0).integers(0, 256, portrait.shape, np.uint8)
    for pixels in (portrait, np.zeros_like(portrait), np.full_like(portrait, 255), noise):
        measured = measure_quality(pixels, face).components
        assert len(measured) == 10
        for name, component in measured.items():
            assert 0 <= component.quality <= 100, name
            assert np.isfinite(component.native), name


def test_the_pixel_formulas_are_ofiqs_own(portrait: Pixels, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package ofiqpy carries them, agreeing with OFIQ's own program; its other modules want what is not here."""
    theirs, geometry = ofiqpys_measures(monkeypatch)
    face = found(portrait)
    for pixels in (portrait, (portrait * 0.15).astype(np.uint8), np.clip(portrait * 2.5, 0, 255).astype(np.uint8)):
        aligned = iso.align_616(pixels, face.points)
        landmarks = np.zeros((98, 2))
        landmarks[[60, 64]], landmarks[[68, 72]] = aligned.points[0], aligned.points[1]
        landmarks[90] = landmarks[94] = (aligned.points[3] + aligned.points[4]) / 2
        session = SimpleNamespace(
            aligned_face=aligned.pixels[..., ::-1],
            aligned_landmarks=landmarks,
            landmarked_region=aligned.face.astype(np.uint8),
            # With this the two exposure measures look at the same region as the others do.
            occlusion_mask=aligned.face.astype(np.uint8),
        )
        ours = iso.components(aligned)
        for name, function in (
            ("LuminanceVariance", theirs.luminance_variance),
            ("UnderExposurePrevention", theirs.under_exposure),
            ("OverExposurePrevention", theirs.over_exposure),
            ("DynamicRange", theirs.dynamic_range),
        ):
            value = function(session)
            assert ours[name] == pytest.approx((value.raw, value.scalar), rel=1e-9), name
        # Their cheeks are cut to the region, ours lie within it; a square may lie one pixel off the other.
        session.landmarked_region = np.ones((616, 616), np.uint8)
        for name, function in (
            ("IlluminationUniformity", theirs.illumination_uniformity),
            ("NaturalColour", theirs.natural_colour),
        ):
            value = function(session)
            assert ours[name] == pytest.approx((value.raw, value.scalar), rel=0.08, abs=0.03), name
    points = np.array([[40.0, 60.0], [104.0, 62.0]])
    landmarks = np.zeros((98, 2))
    landmarks[[60, 64]], landmarks[[68, 72]], landmarks[16] = points[0], points[1], (70, 130)
    value = geometry.inter_eye_distance(SimpleNamespace(landmarks=landmarks, pitch=20.0))
    assert iso.inter_eye_distance(points, 20.0) == pytest.approx((value.raw, value.scalar))
    crops = geometry.crop_of_face(SimpleNamespace(landmarks=landmarks, image=np.zeros((160, 150, 3))))
    by_name = {value.name: (value.raw, value.scalar) for value in crops}
    for name, component in iso.sideways_crops(points, 150).items():
        assert component == pytest.approx(by_name[name]), name


def ofiqpys_measures(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    spec = find_spec("ofiqpy")
    if spec is None or spec.origin is None:
        pytest.skip("ofiqpy is not installed (pip install --no-deps ofiqpy)")
    # The package itself imports onnxruntime; a bare one in its place lets these two modules in alone.
    bare = ModuleType("ofiqpy")
    bare.__path__ = [str(Path(spec.origin).parent)]
    monkeypatch.setitem(sys.modules, "ofiqpy", bare)
    for name in [name for name in sys.modules if name.startswith("ofiqpy.")]:
        monkeypatch.delitem(sys.modules, name)
    return importlib.import_module("ofiqpy.measures.pixel"), importlib.import_module("ofiqpy.measures.geometry")


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({128: 1.0}, {"mean": (128 / 255, 100), "variance": (0.0, 0), "dark": (0.0, 100), "bits": (0.0, 0)}),
        ({0: 0.5, 255: 0.5}, {"mean": (0.5, 100), "variance": (0.25, 20), "bright": (0.5, 2), "bits": (1.0, 13)}),
        ({20: 0.95, 100: 0.05}, {"dark": (0.95, 22), "bright": (0.0, 100)}),
        (dict.fromkeys(range(256), 1 / 256), {"bits": (8.0, 100), "dark": (26 / 256, 100)}),
    ],
)
def test_golden_figures_of_known_histograms(shares: dict[int, float], expected: dict[str, tuple[float, int]]) -> None:
    share = np.zeros(256)
    share[list(shares)] = list(shares.values())
    functions = {
        "mean": iso.luminance_mean,
        "variance": iso.luminance_variance,
        "dark": iso.under_exposure,
        "bright": iso.over_exposure,
        "bits": iso.dynamic_range,
    }
    for name, value in expected.items():
        assert functions[name](share) == pytest.approx(value), name
