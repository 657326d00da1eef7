"""How long the choice of identities takes beside the portraits that it chooses among, up to 200,000 of them.

    python tests/bench/bench_identities.py --identities 20000 200000 --match-rate 1e-7

Templates are random directions of the filter's length (they cost nothing to make), with a threshold at which a pair of
them matches at the rate given; a draw costs what a network of eight portraits at a time does (--portrait-s, seconds
each), which is added, not slept. Prints seconds of comparing, draws again, missing identities, checkpoints and their
size, and the memory of the process.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from app.dataset.plan import SURVEY_BLOCK
from app.errors import Unfinished
from workers.pipeline import identities
from workers.pipeline.identities import AT_A_TIME_S, Choosing, choose_identities

DIMENSIONS = 128


def directions(seed: list[int], count: int) -> np.ndarray:
    """Random templates, float32 [N, 128]."""
    found = np.random.default_rng(seed).standard_normal((count, DIMENSIONS), np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def threshold_of(rate: float) -> float:
    """The score that random pairs reach at this rate: the cosine's square is Beta(1/2, 127/2)."""
    from scipy.stats import beta

    return float(np.sqrt(beta.isf(2 * rate, 0.5, (DIMENSIONS - 1) / 2)))


class Matcher:
    """Templates by (subject, attempt) instead of pixels."""

    name, digest, dimensions = "random", "0", DIMENSIONS
    drawn = 0

    def extract(self, which: tuple[int, int]) -> np.ndarray:
        """A template of its own for every draw."""
        self.drawn += 1
        return directions([1, *which], 1)[0]


def choose(count: int, rate: float, portrait_s: float) -> dict[str, Any]:
    """Choose among so many, in as many steps as a worker would take."""
    matcher, threshold = Matcher(), threshold_of(rate)
    plan: Any = SimpleNamespace(identities=count, survey_blocks=-(-count // SURVEY_BLOCK), max_attempts=5)
    stub: Any = identities
    stub.load_filter = lambda plan: (matcher, threshold)
    stub.check_model = lambda plan, card: None
    stub.generate_portraits = lambda plan, generator, subjects, attempts: zip(subjects, attempts, strict=True)

    def blocks() -> Iterator[np.ndarray]:
        for number in range(plan.survey_blocks):
            yield directions([0, number], min(SURVEY_BLOCK, count - number * SURVEY_BLOCK))

    packed: list[bytes] = []
    began = time.process_time()
    while True:
        step = time.monotonic()

        def pause(choosing: Choosing, step: float = step) -> bool:
            if time.monotonic() - step < AT_A_TIME_S:
                return False
            packed.append(choosing.pack())
            return True

        so_far = Choosing.unpack(packed[-1]) if packed else None
        model: Any = SimpleNamespace(card=None)
        try:
            choice = choose_identities(plan, blocks(), generator=model, so_far=so_far, pause=pause)
            break
        except Unfinished:
            continue
    took = time.process_time() - began
    return {
        "identities": count,
        "match_rate": rate,
        "compare_cpu_s": round(took, 1),
        "drawn_again": matcher.drawn,
        "draws_s": round(matcher.drawn * portrait_s, 1),
        "portraits_s": round(count * portrait_s, 1),
        "share_of_portraits": round((took + matcher.drawn * portrait_s) / (count * portrait_s), 4),
        "missing": len(choice.missing),
        "checkpoints": len(packed),
        "checkpoint_kb": round(max(map(len, packed), default=0) / 1e3, 1),
        "resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> None:
    """Run it for every size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--identities", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--match-rate", type=float, default=1e-7, help="of pairs at the threshold")
    parser.add_argument(
        "--portrait-s", type=float, default=0.05, help="one portrait and its template, of eight at once"
    )
    asked = parser.parse_args()
    for count in asked.identities:
        sys.stdout.write(json.dumps(choose(count, asked.match_rate, asked.portrait_s)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
