"""A sample's own noise: maps out of counter-based streams, keyed by the sample's latents and by nothing else.

Legend: z_O's noise latents are float32 [B, 4], scaled by σ already. Their length says how far a sample's maps are from
those that the network keeps, their bits which maps they are. So the same latents have the same noise in every batch,
and at σ = 0 there is only what is kept.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from scipy.special import ndtri
from torch import Tensor

from app.dataset.streams import Purpose, uniforms
from workers.generator.base import Latents


def noise_maps(latents: Latents, kept: Sequence[Tensor]) -> list[Tensor]:
    """Maps [B, 1, R, R] for every kept one [1, 1, R, R]: (kept + r·ε) / √(1 + r²), r the latents' rms, ε ~ N(0, 1)."""
    reach = np.sqrt(np.mean(np.square(latents.astype(np.float64)), 1))
    sizes = [one.shape[-1] for one in kept]
    drawn = [_drawn(row, sizes) if far else None for row, far in zip(latents, reach, strict=True)]
    maps = []
    for number, one in enumerate(kept):
        own = torch.zeros(len(latents), 1, sizes[number], sizes[number])
        for row, values in enumerate(drawn):
            if values is not None:
                own[row, 0] = torch.from_numpy(values[number] * np.float32(reach[row]))
        over = torch.tensor(1 / np.sqrt(1 + reach**2), dtype=torch.float32, device=one.device)
        maps.append((one + own.to(one.device)) * over[:, None, None, None])
    return maps


def _drawn(row: Latents, sizes: Sequence[int]) -> list[np.ndarray]:
    key = int.from_bytes(hashlib.sha256(np.ascontiguousarray(row, "<f4").tobytes()).digest()[:8], "little")
    found = []
    for number, side in enumerate(sizes):
        values = uniforms(key, Purpose.NOISE, number, 0, 0, side * side)
        found.append(ndtri(values).astype(np.float32).reshape(side, side))
    return found
