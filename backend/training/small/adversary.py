# SPDX-License-Identifier: GPL-3.0-or-later
"""A small patch discriminator for the end of a run: it tells painted windows from real ones, and so asks for teeth, not haze.

Patches after Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017; the hinge loss of Lim and
Ye, "Geometric GAN", 2017; features matched as in Salimans et al., 2016; spectral normalisation of Miyato et al., 2018.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from .losses import Batch

_WIDTHS = (24, 48, 96)
_INPUTS = 9  # the picture, the warped portrait and the landmark raster it belongs to


class Discriminator(nn.Module):
    """Judges windows patch by patch: (n, 1, h/8, w/8), above 0 for real."""

    def __init__(self) -> None:
        super().__init__()
        sizes = (_INPUTS, *_WIDTHS)
        self.steps = nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, 2, 1)) for a, b in zip(sizes, sizes[1:], strict=False))
        self.head = spectral_norm(nn.Conv2d(_WIDTHS[-1], 1, 3, padding=1))

    def forward(self, picture: Tensor, batch: Batch, first: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Verdicts and the features behind them; ``first``: the portrait under the spline (n, 3, h, w)."""
        hidden, features = torch.cat([picture, first, batch.raster], 1), []
        for step in self.steps:
            hidden = functional.leaky_relu(step(hidden), 0.2)
            features.append(hidden)
        return self.head(hidden), features


class Adversary:
    """The discriminator with its optimizer; learns on its own and gives the generator's two terms."""

    def __init__(self, learning_rate: float, device: str) -> None:
        self.network = Discriminator().to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=learning_rate, betas=(0.5, 0.9))

    def learn(self, picture: Tensor, first: Tensor, batch: Batch) -> Tensor:
        """One step of the discriminator on painted and real windows; returns its loss, a scalar."""
        self.network.requires_grad_(True)
        painted, _ = self.network(picture.detach(), batch, first)
        real, _ = self.network(batch.target, batch, first)
        loss = functional.relu(1 + painted).mean() + functional.relu(1 - real).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def terms(self, picture: Tensor, first: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """What the generator is to lower: how surely its windows are found out, and how far their features are from the real ones'."""
        self.network.requires_grad_(False)
        verdict, shown = self.network(picture, batch, first)
        with torch.no_grad():
            _, asked = self.network(batch.target, batch, first)
        matching = torch.stack([(ours - theirs).abs().mean() for ours, theirs in zip(shown, asked, strict=True)]).mean()
        return -verdict.mean(), matching
