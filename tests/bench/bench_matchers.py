"""How fast matchers are: templates a second, comparisons a second, on one thread.

    python tests/bench/bench_matchers.py
    python tests/bench/bench_matchers.py --matcher sface --images 50 --json

Detection is a part of every template. Images are renders of the parametric model, 128 × 128.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from app.config import WorkerSettings
from app.errors import FacsimileError
from workers.generator import latents as lt
from workers.generator.registry import load_generator
from workers.images import Pixels, to_pixels
from workers.matchers.base import Matcher, Role
from workers.matchers.detector import load_detector
from workers.matchers.extraction import extract_many
from workers.matchers.quality import measure_quality
from workers.matchers.registry import load_matcher, matcher_names


def draw(count: int) -> list[Pixels]:
    """Renders of `count` identities at half the usual variability."""
    rng = np.random.default_rng(0)
    who = rng.standard_normal((count, lt.IDENTITY), np.float32)
    how = 0.5 * rng.standard_normal((count, lt.OBSERVATION), np.float32)
    return list(to_pixels(load_generator("parametric", WorkerSettings()).generate(who, how, 128, 128)))


def per_second(work: Callable[[], Any], count: int) -> float:
    """Best of three runs of `work`, which does `count` things; the best is what other load disturbs least."""
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return count / min(seconds)


def measure(matcher: Matcher, images: list[Pixels], templates: int) -> dict[str, Any]:
    """Figures of one matcher."""
    table = extract_many(matcher, images, Role.PROBE)
    gallery = np.random.default_rng(1).standard_normal((templates, matcher.dimensions)).astype(np.float32)
    speed = per_second(lambda: extract_many(matcher, images, Role.PROBE), len(images))
    return {
        "matcher": matcher.name,
        "version": matcher.version,
        "images": len(images),
        "failures": len(table.failures),
        "templates_per_s": round(speed, 2),
        "ms_per_template": round(1000 / speed, 1),
        "comparisons_per_s": round(per_second(lambda: matcher.compare(gallery, gallery), templates**2)),
    }


def main() -> int:
    """Measure and write to standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--matcher", action="append", help="one of the installed; may be given again; all by default")
    parser.add_argument("--images", type=int, default=24)
    parser.add_argument("--templates", type=int, default=2_000, help="compared all with all")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    settings = WorkerSettings()
    try:
        images = draw(arguments.images)
        rows = [
            measure(load_matcher(name, settings), images, arguments.templates)
            for name in arguments.matcher or matcher_names(settings)
        ]
    except FacsimileError as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    faces = [(pixels, face) for pixels in images if (face := load_detector().detect(pixels)) is not None]
    detections = per_second(lambda: [load_detector().detect(pixels) for pixels in images], len(images))
    qualities = per_second(lambda: [measure_quality(pixels, face) for pixels, face in faces], len(faces))
    figures = {
        "opencv": cv2.__version__,
        "threads": cv2.getNumThreads(),
        "detections_per_s": round(detections, 2),
        "qualities_per_s": round(qualities, 2),
        "matchers": rows,
    }
    sys.stdout.write(json.dumps(figures, indent=1) + "\n" if arguments.json else as_text(figures))
    return 0


def as_text(figures: dict[str, Any]) -> str:
    """A few lines for people."""
    lines = [
        f"detection {1000 / figures['detections_per_s']:.1f} ms, quality {1000 / figures['qualities_per_s']:.1f} ms an "
        f"image; OpenCV {figures['opencv']}, {figures['threads']} thread"
    ]
    lines += [
        f"{row['matcher']} {row['version']}: {row['ms_per_template']} ms a template with detection "
        f"({row['templates_per_s']}/s, {row['failures']} of {row['images']} failed), "
        f"{row['comparisons_per_s'] / 1e6:.1f} M comparisons/s"
        for row in figures["matchers"]
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
