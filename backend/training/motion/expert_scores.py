# SPDX-License-Identifier: GPL-3.0-or-later
"""How good the frozen experts are, on windows they were not trained on."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from backend.training.motion.experts import AuReader, LipExpert, speaking
from bridge.facs import AU_KEYS, MAXIMUM_INTENSITY

_REACH = 15


def au_scores(reader: AuReader, batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """Mean absolute error in intensity (0..5) and correlation of every AU that varies, with their means."""
    read = _rows([reader(batch["motion"]) for batch in batches])
    truth, known = (_rows([batch[name] for batch in batches]) for name in ("read", "read_known"))
    scores = {"mean absolute error": float(np.abs(read - truth)[known > 0].mean() * MAXIMUM_INTENSITY)}
    for index, key in enumerate(AU_KEYS):
        rows = known[:, index] > 0
        if rows.sum() > 2 and truth[rows, index].std() > 1e-3 and read[rows, index].std() > 1e-6:
            scores[f"r of {key}"] = float(np.corrcoef(read[rows, index], truth[rows, index])[0, 1])
    return scores | {"mean r": float(np.mean([value for name, value in scores.items() if name.startswith("r of")] or [0.0]))}


def _rows(parts: list[Tensor]) -> np.ndarray:
    return np.concatenate([part.numpy().reshape(-1, len(AU_KEYS)) for part in parts])


def lip_scores(expert: LipExpert, batches: list[dict[str, Tensor]]) -> dict[str, float]:
    """Share of windows whose voice and lips agree best within one frame of in step, among shifts of up to 15 frames, and how much
    likelier a voice's own lips are than another window's."""
    in_step, own, other = [], [], []
    for batch in batches:
        heard = speaking(batch["voice"]).float()
        sound, lips = expert.hear(batch["voice"]), expert.see(batch["motion"])
        spoken = heard.mean(dim=1) > 0.3
        if not bool(spoken.any()):
            continue
        heard, sound, lips = heard[spoken], sound[spoken], lips[spoken]
        curves = np.stack([_agreement(sound, lips.roll(shift, 1), heard) for shift in range(-_REACH, _REACH + 1)])
        in_step += list(np.abs(curves.argmax(axis=0) - _REACH) <= 1)
        own += list(curves[_REACH])
        other += list(_agreement(sound, lips.roll(1, 0), heard))
    return {
        "windows found in step": float(np.mean(in_step)),
        "agreement with own lips": float(np.mean(own)),
        "agreement with others' lips": float(np.mean(other)),
    }


def _agreement(sound: Tensor, lips: Tensor, heard: Tensor) -> np.ndarray:
    return (((sound * lips).sum(dim=2) * heard).sum(dim=1) / heard.sum(dim=1)).numpy()
