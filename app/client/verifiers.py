"""Readers of images that other installed packages contribute (group `facsimile.verifiers`); a client works without."""

import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.client.distribution import VERIFIERS

PixelDigest = Callable[[Path], str]
"""From an image file to the SHA-256 of its pixels, as `SampleRow.pixel_sha256` defines it."""


def pixel_digest() -> PixelDigest | None:
    """The contributed function that digests an image's pixels; None where no image reader is installed."""
    return contributed_verifier("pixels")


def contributed_verifier(name: str) -> Callable[..., Any] | None:
    """A contributed function that looks at one sample's file; None where what it needs is not installed."""
    for entry in importlib.metadata.entry_points(group=VERIFIERS, name=name):
        try:
            found: Callable[..., Any] = entry.load()
        except ImportError:
            continue
        return found
    return None
