"""Looking for the marks in a downloaded dataset's samples: C2PA manifests and the watermark. By contributed readers."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.client.distribution import how_to_get
from app.client.errors import UsageProblem, VerificationFailed
from app.client.manifest import Manifest
from app.client.paths import inside
from app.client.verifiers import contributed_verifier

Z_FOUND = 4.5
"""z from which a watermark counts as found; see workers.provenance.watermark."""

NAMED = 10


@dataclass
class Marks:
    """What was found, sample by sample."""

    c2pa: Counter[str] | None = None
    """State (trusted, valid, invalid, absent) to samples; None if it was not looked for."""
    z: list[float] | None = None
    """z of every sample's watermark; None if it was not looked for."""
    wrong: list[tuple[str, str]] = field(default_factory=list)
    """File and what is wrong with its marks."""

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        found: dict[str, Any] = {}
        if self.c2pa is not None:
            found["c2pa"] = dict(self.c2pa)
        if self.z:
            found["watermark"] = {
                "found": sum(z >= Z_FOUND for z in self.z),
                "samples": len(self.z),
                "z_min": round(min(self.z), 2),
                "z_median": round(statistics.median(self.z), 2),
            }
        return found

    def lines(self) -> Iterator[str]:
        """For people."""
        if self.c2pa is not None:
            yield "C2PA: " + ", ".join(f"{count} {state}" for state, count in sorted(self.c2pa.items()))
        if self.z:
            found = sum(z >= Z_FOUND for z in self.z)
            yield f"watermark: found in {found} of {len(self.z)}, lowest z {min(self.z):.1f}"

    def demand(self) -> None:
        """Raise VerificationFailed if a mark that was looked for is not there."""
        if self.wrong:
            lines = [f"  {name}: {why}" for name, why in self.wrong[:NAMED]]
            if len(self.wrong) > NAMED:
                lines.append(f"  and {len(self.wrong) - NAMED} more")
            raise VerificationFailed(
                f"{len(self.wrong)} marks are not as they should be:\n" + "\n".join(lines),
                [name for name, _ in self.wrong],
            )


def look_for_marks(
    folder: Path, manifest: Manifest, *, c2pa: bool, watermark: bool, trusted: Path | None = None
) -> Marks:
    """Look at every sample; raises UsageProblem where the packages for it are not installed.

    With `trusted`, a PEM file of authorities, a manifest must be signed by one below them; else any signature will do.
    A watermark is looked for only under the key that the manifest names: under another one nothing could be found, and
    that would say nothing of the pictures.
    """
    if watermark:
        _demand_the_key(manifest)
    found = Marks(c2pa=Counter() if c2pa else None, z=[] if watermark else None)
    state = _reader("c2pa") if c2pa else None
    z_of = _reader("watermark") if watermark else None
    anchors = trusted.read_text() if trusted else None
    good = ("trusted",) if trusted else ("trusted", "valid")
    paths = ((row.file, inside(folder, row.file)) for row in manifest.samples())
    with ThreadPoolExecutor(4) as pool:
        results = pool.map(
            lambda named: (
                named[0],
                state(named[1], anchors) if state else None,
                z_of(named[1]) if z_of else None,
            ),
            paths,
        )
        for name, its_state, z in results:
            if found.c2pa is not None and its_state is not None:
                found.c2pa[its_state] += 1
                if its_state not in good:
                    found.wrong.append((name, f"its C2PA manifest is {its_state}"))
            if found.z is not None and z is not None:
                found.z.append(z)
                if z < Z_FOUND:
                    found.wrong.append((name, f"its watermark was not found (z {z:.1f}, {Z_FOUND} is needed)"))
    return found


def _demand_the_key(manifest: Manifest) -> None:
    """Raise UsageProblem unless the key at hand is the one that the set was marked with."""
    marked_with = manifest.summary.synthetic.watermark
    if marked_with is None:
        raise UsageProblem("this set was made without a watermark (its manifest: synthetic.watermark); look for none")
    at_hand = _reader("watermark-key")()
    if at_hand != marked_with:
        raise UsageProblem(
            f"this set is marked with another key: the manifest names {marked_with}, and the one in "
            f"FACSIMILE_WORKER__WATERMARK_KEY is {at_hand}; set it to the key of the service that made the set"
        )


def _reader(name: str) -> Callable[..., Any]:
    reader = contributed_verifier(name)
    if reader is None:
        raise UsageProblem(f"looking for {name} needs a worker's packages; {how_to_get('')}")
    return reader
