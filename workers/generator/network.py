"""What families of networks share: the device, how torch computes on it, and chunks of one size."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from app.errors import Misconfigured
from workers.generator.base import FloatImages, Latents

CHUNK = {"cpu": 8, "cuda": 128}
"""Images that run through a network at once. Always exactly as many: libraries choose other algorithms, which round
otherwise, for other batch sizes, and the same latents must give the same pixels in every batch."""


def start_torch(wanted: str) -> str:
    """Choose the device (`auto`, `cpu` or `cuda`) and say how torch computes, for this whole process.

    To be called once, in the process that runs the network, before its first model; never before a fork. Returns
    `cpu` or `cuda`; raises Misconfigured where CUDA is asked for and is not there.
    """
    if wanted == "cuda" and not torch.cuda.is_available():
        raise Misconfigured("FACSIMILE_WORKER__DEVICE is cuda and torch finds no CUDA device; set it to auto or cpu")
    # One thread a process: a second process fills the second core better, and sums never depend on their number.
    torch.set_num_threads(1)
    # On a GPU the same sums every time, and no shortened mantissas: its pixels must be those of the CPU.
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def device_name(device: torch.device) -> str:
    """Where a network runs, for the record: `cpu`, or the CUDA device's own name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


@torch.inference_mode()
def in_chunks(
    run: Callable[..., Tensor],
    *inputs: Latents,
    shape: tuple[int, int, int],
    device: torch.device,
    chunk: int | None = None,
) -> FloatImages:
    """Run inputs [N, d] each through a network in chunks of one size, the last filled up with zeros.

    `run` takes a tensor [chunk, d] of each input on `device` and gives images [chunk, C, H, W]; `shape` is (H, W, C).
    `chunk` is that of the device unless a network needs one of its own. Returns float32 [N, H, W, C].
    """
    chunk, count = chunk or CHUNK[device.type], len(inputs[0])
    padding = -count % chunk
    whole = [np.concatenate([part, np.zeros((padding, part.shape[1]), np.float32)]) for part in inputs]
    images = np.empty((count + padding, *shape), np.float32)
    for start in range(0, count, chunk):
        made = run(*(torch.from_numpy(part[start : start + chunk]).to(device) for part in whole))
        images[start : start + chunk] = made.permute(0, 2, 3, 1).cpu().numpy()
    return images[:count]
