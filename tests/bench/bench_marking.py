"""What marking costs and what it survives: detection of the watermark, its visibility, the shift of comparison scores,
and the rate of C2PA signatures.

    python tests/bench/bench_marking.py
    python tests/bench/bench_marking.py --model sdgan --subjects 60 --samples 3 --json
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from app.config import C2paSettings, WorkerSettings
from workers.appraisal.samples import samples_at
from workers.biometrics.rates import fnmr, fnmr_at_fmr, threshold_at_fmr
from workers.biometrics.scores import ScoreSet
from workers.generator.registry import load_generator
from workers.images import Mark, Pixels, decode, encode
from workers.matchers.base import Role
from workers.matchers.extraction import compare_tables, extract_many
from workers.matchers.registry import load_matcher
from workers.provenance.certificate import load_credentials
from workers.provenance.signing import Checker, Signer
from workers.provenance.watermark import THRESHOLD, detect, embed

KEY = "the key of the bench, not a secret"
FMR = 1e-2
OTHER_KEYS = 50
"""Keys that each image is searched with in vain."""

Treatment = Callable[[Pixels], Pixels]


def jpeg(quality: int) -> Treatment:
    def treat(pixels: Pixels) -> Pixels:
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, "JPEG", quality=quality)
        return decode(out.getvalue())

    return treat


def resized(share: float, *, back: bool) -> Treatment:
    def treat(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        image = Image.fromarray(pixels).resize((round(width * share), round(height * share)), Image.Resampling.LANCZOS)
        return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS) if back else image)

    return treat


def noisy(pixels: Pixels) -> Pixels:
    noise = np.random.default_rng(0).normal(0, 3, pixels.shape)
    return np.rint(np.clip(pixels + noise, 0, 255)).astype(np.uint8)


TREATMENTS: dict[str, Treatment] = {
    "untouched": lambda pixels: pixels,
    "JPEG q90": jpeg(90),
    "JPEG q75": jpeg(75),
    "JPEG q50": jpeg(50),
    "JPEG q30": jpeg(30),
    "noise, sd 3 levels": noisy,
    "brightness +10%": lambda pixels: np.clip(pixels * 1.1, 0, 255).astype(np.uint8),
    "resized to 0.9": resized(0.9, back=False),
    "resized to 0.9 and back": resized(0.9, back=True),
    "cropped by 3 pixels left and above": lambda pixels: pixels[3:, 3:],
    "cropped by 8 pixels left and above": lambda pixels: pixels[8:, 8:],
    "cropped by 8 pixels right and below": lambda pixels: pixels[:-8, :-8],
}


def ssim(first: Pixels, second: Pixels) -> float:
    """Structural similarity of two images' luma (Wang et al. 2004: Gaussian window of σ = 1.5)."""
    x, y = (image.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) for image in (first, second))
    mean = lambda image: gaussian_filter(image, 1.5, truncate=3.5)  # noqa: E731
    a, b = mean(x), mean(y)
    va, vb, vab = mean(x * x) - a * a, mean(y * y) - b * b, mean(x * y) - a * b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float((((2 * a * b + c1) * (2 * vab + c2)) / ((a * a + b * b + c1) * (va + vb + c2))).mean())


def visibility(plain: list[Pixels], marked: list[Pixels]) -> dict[str, float]:
    psnr = [10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)) for a, b in zip(plain, marked, strict=True)]
    alike = [ssim(a, b) for a, b in zip(plain, marked, strict=True)]
    return {
        "psnr_db_mean": round(float(np.mean(psnr)), 2),
        "psnr_db_min": round(min(psnr), 2),
        "ssim_mean": round(float(np.mean(alike)), 4),
        "ssim_min": round(min(alike), 4),
    }


def detection(marked: list[Pixels]) -> dict[str, dict[str, float]]:
    found = {}
    for name, treat in TREATMENTS.items():
        z = np.array([detect(treat(image), KEY) for image in marked])
        found[name] = {
            "found": round(float((z >= THRESHOLD).mean()), 4),
            "z_min": round(float(z.min()), 1),
            "z_median": round(float(np.median(z)), 1),
        }
    return found


def false_alarms(plain: list[Pixels], marked: list[Pixels]) -> dict[str, float]:
    z = [
        detect(image, f"other {number} {n}")  # a key of its own for each trial: trials with one key are alike
        for number, image in enumerate((*plain, *marked))
        for n in range(OTHER_KEYS)
    ]
    return {
        "trials": len(z),
        "false_alarms": sum(value >= THRESHOLD for value in z),
        "z_mean": round(float(np.mean(z)), 3),
        "z_sd": round(float(np.std(z)), 3),
        "z_max": round(max(z), 2),
    }


def shift(name: str, plain: list[Pixels], marked: list[Pixels], subjects: NDArray[np.int64]) -> dict[str, Any]:
    """How comparison scores change when both sides are marked, and the error rates with them."""
    matcher = load_matcher(name, WorkerSettings())
    tables = [extract_many(matcher, images, Role.PROBE) for images in (plain, marked)]
    both = tables[0].extracted & tables[1].extracted
    upper = np.triu(np.ones((len(subjects), len(subjects)), np.bool_), 1) & both & both[:, None]
    mated = upper & (subjects[:, None] == subjects)
    scores = [compare_tables(matcher, table, table) for table in tables]
    sets = [ScoreSet(mated=score[mated], non_mated=score[upper & ~mated]) for score in scores]
    points = [fnmr_at_fmr(one, FMR) for one in sets]
    difference = scores[1] - scores[0]
    spread = scores[0][upper & ~mated].std()

    def told(chosen: NDArray[np.bool_]) -> dict[str, float]:
        values = difference[chosen]
        return {
            "mean": round(float(values.mean()), 5),
            "sd": round(float(values.std()), 5),
            "max_abs": round(float(np.abs(values).max()), 4),
            "mean_in_sd_of_non_mated": round(float(values.mean() / spread), 3),
        }

    fixed = threshold_at_fmr(sets[0], FMR)
    return {
        "matcher": name,
        "templates_lost": int((tables[0].extracted & ~tables[1].extracted).sum()),
        "mated_shift": told(mated),
        "non_mated_shift": told(upper & ~mated),
        "fnmr_plain": round(points[0].fnmr.value, 4),
        "fnmr_marked": round(points[1].fnmr.value, 4),
        "fnmr_marked_at_the_plain_threshold": round(fnmr(sets[1], fixed).value, 4),
        "fnmr_plain_interval": [round(points[0].fnmr.interval.low, 4), round(points[0].fnmr.interval.high, 4)],
        "mated": int(mated.sum()),
        "non_mated": int((upper & ~mated).sum()),
    }


def signing(images: list[Pixels]) -> dict[str, Any]:
    """Signatures a second on one thread, bytes added, and whether a reader accepts every one."""
    mark = Mark(
        dataset="ds_bench",
        sample="S0000000_0000",
        model="bench 1",
        model_digest="0" * 64,
        source_type="trainedAlgorithmicMedia",
    )
    files = {
        "image/png": [encode(image, mark, quality=None) for image in images],
        "image/jpeg": [encode(image, mark, quality=95) for image in images],
    }
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        signer, checker = Signer(load_credentials(C2paSettings(self_made=folder))), Checker()
        for media_type, plain in files.items():
            began = time.perf_counter()
            signed = [signer.embed(data, media_type, mark) for data in plain]
            embedded_s = time.perf_counter() - began
            began = time.perf_counter()
            beside = [signer.detach(data, media_type, mark) for data in plain]
            detached_s = time.perf_counter() - began
            valid = sum(checker.check(data, media_type).state == "valid" for data in signed)
            valid += sum(
                checker.check(data, media_type, manifest).state == "valid"
                for data, manifest in zip(plain, beside, strict=True)
            )
            found[media_type] = {
                "embedded_per_s": round(len(plain) / embedded_s),
                "detached_per_s": round(len(plain) / detached_s),
                "bytes_plain": round(float(np.mean([len(data) for data in plain]))),
                "bytes_added": round(float(np.mean([len(b) - len(a) for a, b in zip(plain, signed, strict=True)]))),
                "bytes_beside": round(float(np.mean([len(data) for data in beside]))),
                "valid": f"{valid} of {2 * len(plain)}",
            }
    return found


def measure(model: str, subjects: int, samples: int, matchers: list[str]) -> dict[str, Any]:
    generator = load_generator(model, WorkerSettings())
    batches = list(samples_at(generator, 1.0, subjects=subjects, samples=samples))
    plain = list(np.concatenate([batch.pixels for batch in batches]))
    labels = np.array([subject for batch in batches for subject in batch.subjects])
    began = time.perf_counter()
    marked = [embed(image, KEY) for image in plain]
    embed_s = time.perf_counter() - began
    began = time.perf_counter()
    for image in marked:
        detect(image, KEY)
    detect_s = time.perf_counter() - began
    return {
        "model": model,
        "images": f"{len(plain)} of {plain[0].shape[1]}×{plain[0].shape[0]}",
        "watermarks_per_s": round(len(plain) / embed_s),
        "detections_per_s": round(len(plain) / detect_s),
        "visibility": visibility(plain, marked),
        "detection": detection(marked),
        "other_keys": false_alarms(plain, marked),
        "scores": [shift(name, plain, marked, labels) for name in matchers],
        "c2pa": signing(plain),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", help="default: parametric and sdgan")
    parser.add_argument("--matcher", action="append", help="default: sface and dlib-resnet")
    parser.add_argument("--subjects", type=int, default=60)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one line a model")
    asked = parser.parse_args()
    for model in asked.model or ["parametric", "sdgan"]:
        found = measure(model, asked.subjects, asked.samples, asked.matcher or ["sface", "dlib-resnet"])
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=None if asked.json else 1) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
