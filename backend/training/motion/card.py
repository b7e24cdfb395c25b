# SPDX-License-Identifier: GPL-3.0-or-later
"""The model card that travels beside the motion generator's weights."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backend.training.motion.train import Trainer

DATA_CREDITS = [
    {
        "name": "GRID audiovisual sentence corpus, speaker s1",
        "licence": "CC BY 4.0",
        "credit": "Cooke, Barker, Cunningham, Shao: An audio-visual corpus for speech perception and speech recognition, JASA 120 (2006)",
        "use": "landmarks tracked with MediaPipe, Action Units estimated from its blendshapes and from lips, chin and lids",
    },
    {
        "name": "LJ Speech",
        "licence": "public domain",
        "credit": "Keith Ito and Linda Johnson, The LJ Speech Dataset (2017)",
        "use": "voice of the synthetic actors",
    },
    {
        "name": "MakeHuman / MPFB base mesh, targets and face shapes",
        "licence": "CC0",
        "credit": "The MakeHuman community",
        "use": "faces of the synthetic actors",
    },
    {
        "name": "ICT-FaceKit expressions and identities, viseme shapes",
        "licence": "MIT",
        "credit": "USC Institute for Creative Technologies: ICT-FaceKit (2020)",
        "use": "motion of the synthetic actors",
    },
    {
        "name": "hibari-tts, voice heart",
        "licence": "Apache-2.0",
        "credit": "The authors of hibari-tts",
        "use": "other voices at several pitches: of the synthetic actors, and of GRID's sentences over the tracked lips",
    },
    {
        "name": "Flite, voices awb, rms, slt and kal",
        "licence": "MIT-like, free for any use",
        "credit": "Carnegie Mellon University: Flite (1999-2018)",
        "use": "the same",
    },
]
LIMITS = [
    "One real speaker, neutral six-word sentences; all other voices are one reader's, two synthesisers' or were made by augmentation.",
    "AUs of real clips are estimates; obedience to keyed AUs was learnt from synthetic faces, where they add up linearly.",
    "The tongue is not modelled; pucker and funnel follow the voice and cannot be keyed.",
]


def card(trainer: Trainer, variant: str, counts: dict[str, int], note: str = "") -> dict[str, Any]:
    """Everything known about a run, except what it scores: `evaluate --stage motion --write-card` adds that."""
    return {
        "name": f"AUtter motion {variant}",
        "purpose": "Facial landmark motion from a voice and Action Units, for marked synthetic video",
        "licence": "CC BY 4.0; credit GRID (Cooke et al. 2006) and AUtter",
        "data": DATA_CREDITS,
        "training": {
            "before": ["python -m backend train au-regressor", "python -m backend train lip-expert"],
            "command": "python -m backend train motion",
            "seconds": round(trainer.seconds),
            "machine": machine_of(trainer),
            "steps": trainer.step,
            "seed": trainer.config.seed,
            **({"started_from": trainer.started_from} if trainer.started_from else {}),
            "configuration": asdict(trainer.config),
            **counts,
            **({"note": note} if note else {}),
        },
        "limits": LIMITS,
    }


def machine_of(trainer: Trainer) -> str:
    """What trained, in words."""
    import torch

    if trainer.device.type == "cuda":
        return f"one {torch.cuda.get_device_name(trainer.device)}"
    return "one thread of a processor, no GPU"
