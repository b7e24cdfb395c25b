# SPDX-License-Identifier: GPL-3.0-or-later
"""The judges of a run: ImageNet features, a landmarker, a patch discriminator. Each begins when its share of the run is reached."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from backend.portrait.landmarker import landmarker_model

from .adversary import Adversary
from .config import TrainingConfig
from .landmark_judge import LandmarkJudge
from .losses import Batch, Prediction
from .perceptual import PerceptualDistance, imagenet_state

_DISCRIMINATOR_RATE = 4e-4


class Critics:
    """Made at the start of a run. A discriminator is learned anew after every resume."""

    def __init__(self, config: TrainingConfig, device: str, imagenet: Path | None = None) -> None:
        """``imagenet``: safetensors with the features' weights, those of the installed package by default."""
        self.config, self.device, self.imagenet = config, device, imagenet
        self._perceptual: PerceptualDistance | None = None
        self._adversary: Adversary | None = None
        self._landmarks: LandmarkJudge | None = None

    def load(self) -> None:
        """Loads what will be needed, so that a missing file ends a run at its start. Raises Fault ``package-missing``,
        ``data-missing``, ``model-missing``."""
        if self._perceptual is None and self.config.perceptual_from < 1:
            self._perceptual = PerceptualDistance(imagenet_state(self.imagenet)).to(self.device)
        if self._landmarks is None and self.config.judged_every:
            self._landmarks = LandmarkJudge(landmarker_model()).to(self.device)

    def terms(self, prediction: Prediction, batch: Batch, share: float) -> dict[str, Tensor]:
        """Weighted terms of the loss beyond the plain ones, at ``share`` (0..1) of the run. Raises as ``load``."""
        weights, terms = self.config.losses, {}
        if share >= self.config.perceptual_from:
            self.load()
            assert self._perceptual is not None
            # Half of a batch: over many steps as good, and half the time.
            count = max(len(batch.target) // 2, 1)
            distance = self._perceptual(prediction.picture[:count], batch.target[:count], batch.importance[:count])
            terms["perceptual"] = weights.perceptual * distance
        if self.config.judged_every and batch.target.shape == batch.portrait.shape:  # whole pictures: a window holds no face
            self.load()
            assert self._landmarks is not None
            painted, moved = self._landmarks((prediction.picture, prediction.warped), batch.target, batch.points)
            terms["landmarks"], terms["landmark flow"] = weights.landmarks * painted, weights.landmark_flow * moved
        if share >= self.config.adversarial_from:
            if self._adversary is None:
                self._adversary = Adversary(_DISCRIMINATOR_RATE, self.device)
            self._adversary.learn(prediction.picture, prediction.first, batch)
            unmasked, unlike = self._adversary.terms(prediction.picture, prediction.first, batch)
            terms["adversarial"], terms["matching"] = weights.adversarial * unmasked, weights.matching * unlike
        return terms
