"""The pair discriminator of SD-GAN: does this pair of images show one person, and is it real?

Legend: a pair is two images [B, C, R, R] that share z_I, stacked along the channels (Donahue 2018, the DCGAN
variant). The answer is a logit [B, 1].

Where weak labels are known, it is told of both images' labels by maps of one value each, stacked with the images.
"""

import torch
from torch import Tensor, nn

from workers.generator.sdgan.network import SLOPE


class PairDiscriminator(nn.Module):
    """Strided convolutions over both images at once; ends with the batch's spread, against mode collapse."""

    def __init__(self, resolution: int, colours: int = 4, labels: int = 0, base: int = 32, most: int = 256) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(2 * (colours + labels), base, 3, padding=1), nn.LeakyReLU(SLOPE)]
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

    def forward(self, pair: Tensor, labels: Tensor | None = None) -> Tensor:
        """Pairs [B, 2 C, R, R] in [0, 1] → logit [B, 1]; positive means real and mated.

        `labels` [B, 2 F] are 1 where a factor is present in the first and second image, else 0.
        """
        x = pair * 2 - 1
        if labels is not None:
            maps = (labels * 2 - 1)[:, :, None, None].expand(-1, -1, *x.shape[2:])
            x = torch.cat([x, maps], 1)
        x = self.features(x)
        # Not the plain deviation: its second derivative, which R1 needs, has no bound where all are alike.
        spread = (x.var(0, unbiased=False) + 1e-6).sqrt().mean().expand(len(x), 1, 4, 4)
        logits: Tensor = self.judge(torch.cat([x, spread], 1))
        return logits
