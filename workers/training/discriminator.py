"""The pair discriminator of SD-GAN: does this pair of images show one person, and is it real?

Legend: a pair is two images [B, 4, R, R] that share z_I, stacked along the channels (Donahue 2018, the DCGAN
variant). The answer is a logit [B, 1].
"""

import torch
from torch import Tensor, nn

from workers.generator.network import SLOPE


class PairDiscriminator(nn.Module):
    """Strided convolutions over both images at once; ends with the batch's spread, against mode collapse."""

    def __init__(self, resolution: int, base: int = 32, most: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(8, base, 3, padding=1), nn.LeakyReLU(SLOPE)]
        channels = base
        while resolution > 4:
            wider = min(2 * channels, most)
            layers += [nn.Conv2d(channels, wider, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            channels, resolution = wider, resolution // 2
        self.features = nn.Sequential(*layers)
        self.judge = nn.Sequential(
            nn.Conv2d(channels + 1, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(16 * channels, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                # The library's default shrinks signals layer by layer: it would take hundreds of steps to wake up.
                nn.init.kaiming_normal_(module.weight, SLOPE)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Logit [B, 1]; positive means real and mated."""
        x = self.features(torch.cat([first, second], 1) * 2 - 1)
        spread = x.std(0, unbiased=False).mean().expand(len(x), 1, 4, 4)
        logits: Tensor = self.judge(torch.cat([x, spread], 1))
        return logits
