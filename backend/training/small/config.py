# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that decides a training run, in one dataclass."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from backend.synthesis.small.network import NetworkConfig


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the loss and of the places of the face."""

    colour: float = 1.0
    square: float = 3.0  # squared differences: what decibels count, where ``colour`` counts the middle of what may be
    even: float = 0.6  # 0: a pair counts by its error, 1: by what share of the warp's error is left, as in decibels over the warp
    edges: float = 0.6  # differences between neighbouring pixels: keeps lips, teeth and lashes sharp
    flow: float = 0.3  # the warped portrait alone, so that the residual flow learns to do what it can
    held_flow: float = 0.5  # size of the residual flow, of its largest, on the people of ``TrainingConfig.held``
    held_paint: float = 1.0  # what is painted beside their faces, likewise
    mask: float = 0.0003  # pulls the mask to nothing where the warp is good enough; grows from 0 over the run, and stays weak:
    # a closing mask starves the denoiser of gradient
    background: float = 0.6  # hair, neck and what is behind: most of the square's error lies there
    face: float = 1.0
    mouth: float = 5.0
    mouth_opening: float = 10.0
    eyes: float = 4.0
    perceptual: float = 0.025  # unlikeness of ImageNet features; from ``perceptual_from`` on
    # How far a landmarker finds landmarks from where it finds the target's, on the picture and on the warped portrait alone; in steps of
    # ``judged_every``.
    landmarks: float = 4.0
    landmark_flow: float = 1.5
    adversarial: float = 0.01  # what the discriminator sees through; from ``adversarial_from`` on
    matching: float = 0.15  # unlikeness of the discriminator's features; likewise


@dataclass(frozen=True)
class TrainingConfig:
    """One run. Times are shares of the run; ``minutes`` is the time spent training, pauses and resumes left out."""

    minutes: float = 76.0
    seed: int = 1
    network: NetworkConfig = field(default_factory=NetworkConfig)
    losses: LossWeights = field(default_factory=LossWeights)
    window: int = 96  # side of the crops of the first phase, of pictures of 256
    batch: int = 12
    whole_share: float = 0.03  # last share of the run, on whole pictures with the network's own previous frames
    whole_batch: int = 2
    learning_rate: float = 1.2e-3
    decay_share: float = 0.22
    warm_up_steps: int = 150
    perceptual_from: float = 0.55  # share of the run; 1 and more: never
    # Every so many steps whole pictures, judged by a landmarker too; 0: never, which needs no landmarker.
    judged_every: int = 0
    judged_batch: int = 2
    adversarial_from: float = 1.0  # the discriminator needs hours more than a run of this length has; off until it pays
    rollout: int = 3  # frames of its own that the network builds on, in the last part of a run that looks at the frame before
    ema: float = 0.9985
    clip_gradient: float = 1.0
    # Shares of the pairs by data set, of those present; people count evenly within one. One man's 900 clips stay under a quarter.
    shares: tuple[tuple[str, float], ...] = (("grid", 0.22), ("pyfeat", 0.13), ("actors", 0.65), ("stills", 0.12), ("brows", 0.1))
    # Data sets of too few people to learn a residual flow from: it learns them by heart (measured: on a person trained on it gains .6 dB
    # of the oval, on rendered people never seen .5, on real people never seen it loses .3 to .8), so on these it is taught to be still.
    # Likewise what is painted beside the face, on hair, collars and walls: of one woman's hair it had got 8 grey levels by heart, of others
    # it knows nothing.
    held: tuple[str, ...] = ("grid", "pyfeat", "stills")
    # Shares of pairs that open a mouth, close eyes, do anything, or hardly move: those teach it to leave a face alone.
    tasks: tuple[float, float, float, float] = (0.46, 0.18, 0.24, 0.12)
    most_turn: float = 0.18  # how far the head turns between portrait and target, in eye distances of the nose; larger ones get rare
    # Measured: within an hour of one core, looking at the frame before costs .2 dB and more in its own roll-outs. Off until it pays.
    no_previous: float = 1.0
    no_aus: float = 0.3
    full_noise: float = 0.8  # share of training pairs at time 1, where the sampler starts
    landmark_jitter: float = 0.0012  # of the crop, standard deviation
    log_every: int = 50
    save_every_minutes: float = 3.0
    keep_at: tuple[float, ...] = ()  # shares of the run whose averaged networks are kept beside the last one
    validate_every_minutes: float = 8.0
    validation_pairs: int = 12  # per held-out group

    def to_dict(self) -> dict[str, Any]:
        """Plain form for checkpoints and model cards."""
        return asdict(self)


def card_config() -> TrainingConfig:
    """A run on a graphics card: thousands of windows a second, wider inner layers, and the discriminator at its end."""
    return TrainingConfig(
        minutes=8.0,
        network=NetworkConfig(widths=(32, 72, 176, 320)),
        window=128,
        batch=192,
        whole_share=0.3,
        whole_batch=48,
        learning_rate=1.6e-3,
        decay_share=0.5,
        warm_up_steps=300,
        perceptual_from=0.3,
        adversarial_from=0.75,
        keep_at=(0.25, 0.5, 0.74),
        ema=0.9993,
        log_every=200,
        save_every_minutes=2.0,
        validate_every_minutes=2.0,
        validation_pairs=24,
    )


def fine_tuning(config: TrainingConfig) -> TrainingConfig:
    """The run that goes on from stored weights: a quarter of the rate, soon reached, falling from the start."""
    return replace(config, learning_rate=config.learning_rate / 4, decay_share=1.0, warm_up_steps=20)


def tiny_config() -> TrainingConfig:
    """A run of seconds on a network of thousands of parameters, for tests."""
    network = NetworkConfig(widths=(8, 12, 16), embedding=16)
    return TrainingConfig(
        minutes=0.05,
        network=network,
        window=64,
        batch=2,
        whole_batch=1,
        warm_up_steps=2,
        log_every=1,
        validation_pairs=1,
        perceptual_from=1.0,
    )
