"""What a GPU makes of a model, in one run of at most twelve minutes: pixels, speed, memory, a training step.

    bash deploy/gpu-check.sh                                     # on a machine with one
    python tests/bench/bench_gpu.py --device cpu --images 64 --samples 200 --seconds 3      # how it goes, without one

pixels      the same latents on the CPU and on the device: share of values equal, within 1 of 255, and the most
bare        images a second by batch, the copy to the host included
end_to_end  samples a second from the request to success, one worker process, checks and judging off, over bare
memory      of the device at most, and of this process
training    seconds a step of a generator of this size, on images that the service made

Ends with 1 where fewer than 99.99% of the values lie within 1.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch

from app.config import WorkerSettings
from app.stack.embedded import EmbeddedStack
from workers.generator.base import Generator
from workers.generator.registry import load_generator
from workers.images import decode, to_pixels
from workers.training.packing import pack_photographs
from workers.training.sources import open_source
from workers.training.spec import TrainingSpec
from workers.training.trainer import Trainer

WITHIN = 0.9999
UNCHECKED = {"checks": {"unique": False, "face_found": False}, "report": {"judged_subjects": 0}}


def loaded(model: str, device: str) -> Generator:
    """The model on a device."""
    return load_generator(model, WorkerSettings.model_validate({"device": device}))


def drawn(generator: Generator, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Latents z_I [N, d_I] and z_O [N, d_O], float32, N(0, 1)."""
    rng, latent = np.random.default_rng(seed), generator.card.latent
    identity = rng.standard_normal((count, latent.identity), np.float32)
    return identity, rng.standard_normal((count, latent.observation_size), np.float32)


def pixels(model: str, device: str, images: int) -> dict[str, Any]:
    """The same latents on both."""
    here, there = loaded(model, "cpu"), loaded(model, device)
    identity, observation = drawn(here, images)
    size = here.card.sizes[0]
    one, other = (to_pixels(g.generate(identity, observation, *size)).astype(np.int16) for g in (here, there))
    apart = np.abs(one - other)
    again = to_pixels(there.generate(identity, observation, *size))
    return {
        "images": images,
        "equal": round(float((apart == 0).mean()), 6),
        "within_1": round(float((apart <= 1).mean()), 6),
        "most": int(apart.max()),
        "same_again": bool((again == other).all()),
    }


def bare(model: str, device: str, seconds: float) -> dict[str, float]:
    """Images a second, by batch."""
    generator, rates = loaded(model, device), {}
    for batch in (8, 32, 128, 512) if device == "cuda" else (8, 32):
        latents = drawn(generator, batch)
        generator.generate(*latents, *generator.card.sizes[0])
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < seconds:
            generator.generate(*latents, *generator.card.sizes[0])
            count += batch
        rates[str(batch)] = round(count / (time.perf_counter() - began), 1)
    return rates


def end_to_end(model: str, device: str, samples: int, folder: Path) -> float:
    """Samples a second by one worker process; leaves the set's images in `folder`, a folder a subject."""
    settings = {
        "FACSIMILE_WORKER__DEVICE": device,
        "FACSIMILE_WORKER__BATCH_SIZE": "128",
        "FACSIMILE_SHARD_SIZE": "512",
    }
    with EmbeddedStack(folder / "data", workers=1, env_overrides=settings) as stack:
        http = httpx.Client(base_url=stack.url, headers={"Authorization": f"Bearer {stack.api_key}"}, timeout=300)

        def make(subjects: int) -> str:
            body = {"name": "gpu", "model": model, "subjects": subjects, "samples_per_subject": 10, **UNCHECKED}
            body["comparisons"] = {"selection": "none"}
            dataset = str(http.post("/v1/datasets", json=body).raise_for_status().json()["id"])
            while (found := http.get(f"/v1/datasets/{dataset}").json())["state"] != "succeeded":
                if found["state"] in ("failed", "cancelled"):
                    raise SystemExit(f"the set has {found['state']}: {found['failure']}")
                time.sleep(0.05)
            return dataset

        make(20)  # warm
        began = time.perf_counter()
        dataset = make(samples // 10)
        rate = samples / (time.perf_counter() - began)
        rows = http.get(f"/v1/datasets/{dataset}/manifest").json()["samples"]
        for row in rows[:400]:
            path = folder / "images" / row["subject"] / Path(row["file"]).name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(http.get(f"/v1/datasets/{dataset}/samples/{row['id']}").raise_for_status().content)
            decode(path.read_bytes())
    return round(rate, 1)


def training(device: str, folder: Path, steps: int) -> dict[str, float]:
    """Seconds a step at 64 px and the usual width, in full and in mixed precision."""
    pack_photographs(folder / "images", folder / "packed", size=64, detector=None)
    found = {}
    for name, mixed in (("float32", False), ("bfloat16", True)):
        spec = TrainingSpec(iterations=1_000, anchored=False, learning_rate=5e-4, r1_gamma=1.0, mixed_precision=mixed)
        trainer = Trainer(open_source(folder / "packed"), spec, device)
        for _ in range(3):
            trainer.step()
        began = time.perf_counter()
        for _ in range(steps):
            trainer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        found[name] = round((time.perf_counter() - began) / steps, 4)
    return found


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--model", default="sdgan")
    parser.add_argument("--images", type=int, default=512, help="whose pixels are compared")
    parser.add_argument("--samples", type=int, default=20_000, help="of the set, in tens")
    parser.add_argument("--seconds", type=float, default=15.0, help="for each batch")
    parser.add_argument("--steps", type=int, default=40, help="of training")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    name = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "model": asked.model}

    def tell(part: str, value: Any) -> None:
        found[part] = value
        sys.stdout.write(f"{part:11} {json.dumps(value)}\n")
        sys.stdout.flush()

    tell("pixels", pixels(asked.model, asked.device, asked.images))
    tell("bare", bare(asked.model, asked.device, asked.seconds))
    with tempfile.TemporaryDirectory() as folder:
        rate = end_to_end(asked.model, asked.device, asked.samples, Path(folder))
        tell("end_to_end", {"per_s": rate, "over_bare": round(rate / max(found["bare"].values()), 3)})
        tell("training", training(asked.device, Path(folder), asked.steps))
    memory = {"process_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}
    if asked.device == "cuda":
        memory["device_mib"] = torch.cuda.max_memory_allocated() // 2**20
    tell("memory", memory)
    if asked.out:
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    return int(found["pixels"]["within_1"] < WITHIN)


if __name__ == "__main__":
    sys.exit(main())
