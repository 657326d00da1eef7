"""How fast samples become files, and how large they are, beside Pillow, in one run and one thread.

    python tests/bench/bench_encoding.py [--size 128] [--samples 200] [--json]

The pictures are samples of the shipped model, drawn first and not timed.
"""

import argparse
import io
import json
import sys
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from app.config import WorkerSettings
from workers.generator.registry import load_generator
from workers.images import Mark, encode, to_pixels
from workers.png import write_png

MARK = Mark(
    dataset="ds_bench",
    sample="S0000000_0000",
    model="bench 1.0.0",
    model_digest="ab" * 32,
    source_type="trainedAlgorithmicMedia",
)


def pillow(level: int) -> Callable[[np.ndarray], bytes]:
    """Pillow's PNG writer at a level of zlib's, without any text."""

    def write(pixels: np.ndarray) -> bytes:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "PNG", compress_level=level)
        return out.getvalue()

    return write


def main() -> None:
    """Draw, write, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="sdgan")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()

    generator = load_generator(options.model, WorkerSettings())
    latent = generator.card.latent
    rng = np.random.default_rng(0)
    who = rng.standard_normal((options.samples, latent.identity)).astype(np.float32)
    width = max(stop for _, stop in latent.observation.values())
    how = rng.standard_normal((options.samples, width)).astype(np.float32)
    pictures = to_pixels(generator.generate(who, how, options.size, options.size))

    rows = []
    for name, write in (
        ("Pillow, level 6", pillow(6)),
        ("Pillow, level 1", pillow(1)),
        ("here, pixels alone", lambda pixels: write_png(pixels, {})),
        ("here, with every mark", lambda pixels: encode(pixels, MARK, quality=None)),
        ("JPEG quality 90, with every mark", lambda pixels: encode(pixels, MARK, quality=90)),
    ):
        write(pictures[0])
        best, size = float("inf"), 0
        for _ in range(3):
            began = time.process_time()
            size = sum(len(write(pixels)) for pixels in pictures)
            best = min(best, time.process_time() - began)
        rows.append({"writer": name, "per_second": len(pictures) / best, "bytes": size / len(pictures)})
    if options.json:
        json.dump(rows, sys.stdout, indent=1)
        return
    for row in rows:
        sys.stdout.write(f"{row['writer']:34} {row['per_second']:8,.0f} a second {row['bytes'] / 1024:7.1f} KiB\n")


if __name__ == "__main__":
    main()
