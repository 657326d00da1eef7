"""The sheet that shows how a run is getting on: fresh identities in rows, the same observations in columns."""

import numpy as np
import torch
from numpy.typing import NDArray

from workers.generator.draw import draw_identity, draw_observation
from workers.generator.sdgan.generator import as_seen
from workers.training.trainer import Trainer

SIGMAS = (0.0, 0.5, 0.5, 1.0, 1.0, 1.0)
"""σ of each column."""

SHEET_SEED = 2**61
"""Far from the seeds that people choose."""


@torch.no_grad()
def sample_sheet(trainer: Trainer, subjects: int = 6) -> NDArray[np.uint8]:
    """Pictures of the averaged generator, uint8 [subjects · R, columns · R, 3]."""
    layout = trainer.layout
    who = [draw_identity(SHEET_SEED, subject, 0, layout.identity) for subject in range(subjects)]
    how = [
        draw_observation(SHEET_SEED, 0, column, 0, np.full(layout.observation, sigma, np.float32))
        for column, sigma in enumerate(SIGMAS)
    ]
    rows = []
    for identity in who:
        identities, observations = np.tile(identity, (len(how), 1)), np.stack(how)
        flags = layout.flags(identities, observations)
        tensors = [torch.from_numpy(part).to(trainer.device) for part in (identities, observations, flags)]
        made = trainer.average(*tensors)[0].float().clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        if layout.colours == 4:
            made = as_seen(made, identities, observations, layout.meaning, layout.factors["background"])
        rows.append(np.concatenate(list(made), 1))
    return np.asarray(np.rint(np.concatenate(rows).clip(0, 1) * 255), np.uint8)
