"""SFace as a differentiable network: what a matcher says of a face, for losses that need to know how to change it.

The ONNX file's int8 weights are unfolded to float32; the result is that of the matcher `sface`. A model that was
trained with it must be judged by another matcher, and its card must say so: SFace was itself trained on photographs.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from app.errors import Corrupt, Misconfigured
from workers.matchers.detector import network_file
from workers.matchers.files import check_sha256
from workers.matchers.sface import FILE, SHA256, SIZE
from workers.training.framing import CHIP


class Embedding(nn.Module):
    """Images to templates of length 1; its weights never change."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers.eval().requires_grad_(requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, R, R] in [0, 1], framed as our renders → [B, 128]."""
        return self.embed(chips(images))

    def embed(self, aligned: Tensor) -> Tensor:
        """Aligned faces [B, 3, 112, 112] in [0, 1], RGB → [B, 128]."""
        return functional.normalize(self.layers(aligned * 255), dim=1)


def chips(images: Tensor) -> Tensor:
    """Cut the matcher's aligned faces [B, 3, 112, 112] out of images [B, 3, R, R] that are framed as our renders."""
    left, top, width = CHIP
    ticks = (torch.arange(SIZE, device=images.device) + 0.5) / SIZE * width
    x, y = 2 * (left + ticks) - 1, 2 * (top + ticks) - 1
    grid = torch.stack([x[None, :].expand(SIZE, -1), y[:, None].expand(-1, SIZE)], -1)
    return functional.grid_sample(
        images.float(), grid.expand(len(images), -1, -1, -1).float(), padding_mode="border", align_corners=False
    )


def load_embedding() -> Embedding:
    """SFace out of its package; raises Misconfigured without the package `onnx`, Corrupt for another file."""
    path = network_file(FILE)
    check_sha256(path, SHA256, "the identity loss")
    return Embedding(nn.Sequential(*_layers(path)))


def _layers(path: Path) -> list[nn.Module]:
    """The graph's nodes as layers. It is one chain; only what SFace uses is understood."""
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError as exc:
        raise Misconfigured("an identity loss needs the package onnx: bash deploy/setup.sh training") from exc
    graph = onnx.load(str(path)).graph
    values = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    layers: list[nn.Module] = []
    for node in graph.node:
        attributes: dict[str, Any] = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        # What is computed on the way has no value here: the chain's own input is never looked at.
        given = [values[name] for name in node.input if name in values]
        if node.op_type == "DequantizeLinear":
            values[node.output[0]] = _unfolded(*given, **attributes)
        elif node.op_type == "Reshape":
            values[node.output[0]] = given[0].reshape(given[1].tolist())
        elif node.op_type == "Conv":
            layers.append(_convolution(given[0], attributes))
        elif node.op_type == "BatchNormalization":
            _normalise(layers, given, attributes["epsilon"])
        elif node.op_type == "PRelu":
            rectifier = nn.PReLU(given[0].numel())
            rectifier.weight = nn.Parameter(given[0].float().flatten())
            layers.append(rectifier)
        elif node.op_type == "Gemm":
            last = nn.Linear(given[0].shape[1], given[0].shape[0])
            last.weight, last.bias = nn.Parameter(given[0].float()), nn.Parameter(given[1].float())
            layers.append(last)
        elif node.op_type in ("Sub", "Mul"):
            layers.append(_Shift(node.op_type, float(given[0])))
        elif node.op_type == "Flatten":
            layers.append(nn.Flatten())
        elif node.op_type not in ("Constant", "Dropout"):
            raise Corrupt(f"{path} has a layer {node.op_type} that the identity loss does not know")
    return layers


class _Shift(nn.Module):
    """Take a number off, or multiply by one."""

    def __init__(self, kind: str, value: float) -> None:
        super().__init__()
        self.kind, self.value = kind, value

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return x - self.value if self.kind == "Sub" else x * self.value


def _unfolded(quantized: Tensor, scale: Tensor, zero: Tensor, *, axis: int, block_size: int) -> Tensor:
    def spread(values: Tensor) -> Tensor:
        return values.repeat_interleave(block_size, axis).narrow(axis, 0, quantized.shape[axis]).float()

    return (quantized.float() - spread(zero)) * spread(scale)


def _convolution(weight: Tensor, attributes: dict[str, Any]) -> nn.Conv2d:
    pads, groups = attributes["pads"], attributes["group"]
    if pads[:2] != pads[2:]:
        raise Corrupt(f"a convolution pads unevenly: {pads}")
    outputs, inputs, height, width = weight.shape
    made = nn.Conv2d(inputs * groups, outputs, (height, width), attributes["strides"], tuple(pads[:2]), groups=groups)
    made.weight, made.bias = nn.Parameter(weight.float()), nn.Parameter(torch.zeros(outputs))
    return made


def _normalise(layers: list[nn.Module], values: list[Tensor], epsilon: float) -> None:
    """Fold a batch normalisation into the layer before it, or add it as one of its own after a rectifier."""
    gamma, beta, mean, variance = (value.float() for value in values)
    scale = gamma / torch.sqrt(variance + epsilon)
    before = layers[-1]
    if isinstance(before, nn.Conv2d | nn.Linear) and before.bias is not None:
        shape = (-1, *(1,) * (before.weight.dim() - 1))
        before.weight = nn.Parameter(before.weight * scale.view(shape))
        before.bias = nn.Parameter((before.bias - mean) * scale + beta)
        return
    added = nn.BatchNorm2d(len(gamma), eps=epsilon)
    added.weight, added.bias = nn.Parameter(gamma), nn.Parameter(beta)
    added.running_mean, added.running_var = mean, variance
    layers.append(added)
