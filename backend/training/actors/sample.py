# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the sample material in ``backend/sample``: a synthetic actor's portrait, a synthesised line, keyed Action Units.

``python -m backend.training.actors.sample [DATA]`` needs the actors' parts, moderngl and, for the voice, hibari-tts.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bridge.facs import AU_INDEX

from .actor import Actor
from .camera import Camera
from .expression import SHAPES, VISEME_INDEX, VISEMES
from .identity import Person
from .light import Light, make_light
from .mesh_points import on_mesh
from .parts import Parts, data_folder, load_parts
from .pictures import draw
from .render import Renderer, Scene, open_air

Float = NDArray[np.float32]

FOLDER = Path(__file__).parents[2] / "sample"
WIDTH, HEIGHT, SUPERSAMPLE = 768, 960, 4
LINE = "My brow, my smile, every blink: you key them, and I speak."
VOICE_RATE = 44100
PEAK = 10 ** (-3 / 20)
AU_FPS = 24

# AU: (seconds, intensity) keys, eased between. Blinks are short on purpose: a lid shuts in a tenth of a second.
KEYS: dict[str, list[tuple[float, float]]] = {
    "AU04": [(0.10, 0.0), (0.45, 3.0), (0.80, 3.0), (1.15, 0.0)],
    "AU12": [(0.95, 0.0), (1.60, 4.0), (2.30, 4.0), (3.05, 0.0)],
    "AU45": [(1.85, 0.0), (1.95, 4.8), (2.02, 4.8), (2.15, 0.0), (3.20, 0.0), (3.28, 4.8), (3.34, 4.8), (3.48, 0.0)],
}


def sample_person() -> Person:
    """The sample's actor: chosen by hand, not drawn."""
    random = np.random.default_rng(50)
    shape = {
        "macro/african-female-young": 0.10,
        "macro/asian-female-young": 0.25,
        "macro/caucasian-female-young": 0.65,
        "macro/universal-female-young-averagemuscle-averageweight": 0.75,
        "macro/universal-female-young-averagemuscle-minweight": 0.25,
        "eyebrows/eyebrows-trans-up": 0.35,
        "mouth/mouth-angles-up": 0.3,
        "eyes/l-eye-scale-incr": 0.15,
        "eyes/r-eye-scale-incr": 0.15,
    }
    shape |= {f"ict_identity/{mode}": float(random.normal(0.0, 0.5)) for mode in range(25)}
    return Person(
        seed=0,
        female=True,
        age=0.0,
        shape=shape,
        own_share=0.0,
        gain=np.ones(len(SHAPES), np.float32),
        skin="skin_young_lightskinned_female_diffuse3",
        skin_tint=(0.92, 0.88, 0.85),
        iris="eye_brownlight",
        brows="eyebrow001",
        lashes="eyelashes01",
        hair="long01",
        hair_tint=(0.95, 0.85, 0.75),
        teeth="teeth_shape01",
        clothes="female_elegantsuit01",
        clothes_tint=(0.75, 0.85, 1.1),
    )


def make_portrait(parts: Parts, supersample: int = SUPERSAMPLE) -> NDArray[np.uint8]:
    """(960, 768, 3) head and shoulders, eyes to the camera, mouth shut, on a plain wall."""
    renderer, actor = Renderer(parts, shadow_taps=24), Actor(parts, sample_person())
    aus = np.zeros(18, np.float32)
    aus[AU_INDEX["AU12"]], aus[AU_INDEX["AU01"]], aus[AU_INDEX["AU02"]] = 0.4, 0.7, 0.5
    pressed = np.zeros(len(VISEMES), np.float32)
    pressed[VISEME_INDEX["PP"]] = 0.8
    head = actor.head(aus, pressed)
    points = on_mesh(head)
    height = float(np.ptp(points[:, 1]))
    middle = (points.max(0) + points.min(0)) / 2
    camera = Camera((float(middle[0]), float(middle[1] - 0.10 * height), float(middle[2])), 14.0, HEIGHT / (height * 2.45), WIDTH, HEIGHT)
    scene = Scene(camera, _studio(parts), _wall(), gloss=0.6, bump=0.0035, supersample=supersample)
    picture = draw(renderer, actor, head, open_air(renderer, actor), scene, rounds=1)
    renderer.close()
    return picture


def _studio(parts: Parts) -> Light:
    return make_light(parts.probes["city"], 0.3, np.array([-0.7, 0.5, 1.0], np.float32), 0.42, 0.3)


def _wall() -> NDArray[np.uint8]:
    """(h, w, 3) a grey-blue wall, lighter behind the head, finely dithered so that it does not band."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH] / np.array([HEIGHT, WIDTH]).reshape(2, 1, 1)
    glow = np.exp(-((columns - 0.45) ** 2 / 0.18 + (rows - 0.38) ** 2 / 0.22))
    wall = np.array([0.36, 0.40, 0.44]) + glow[..., None] * np.array([0.22, 0.22, 0.21])
    noise = np.random.default_rng(1).normal(0.0, 0.006, (HEIGHT, WIDTH, 1))
    return np.asarray(np.clip(wall + noise, 0.0, 1.0) * 255, np.uint8)


def make_line() -> Float:
    """(n,) the line at 44,100 samples a second, peak -3 dB, with a breath of silence before and after."""
    from hibari import Hibari
    from scipy.signal import resample_poly

    spoken = np.asarray(Hibari()(LINE, seed=0, speed=0.95), np.float64)
    spoken = resample_poly(spoken, VOICE_RATE // 300, 24000 // 300)
    loud = np.nonzero(np.abs(spoken) > 0.01 * np.abs(spoken).max())[0]
    spoken = spoken[loud[0] : loud[-1]]
    silence = np.zeros(round(0.15 * VOICE_RATE))
    line = np.concatenate([silence, spoken, silence * 1.0])
    return np.asarray(line / np.abs(line).max() * PEAK, np.float32)


def au_rows(seconds: float) -> list[list[float]]:
    """Rows of the AU table: frame, timestamp, one column for each key of ``KEYS``."""
    rows = []
    for frame in range(int(np.ceil(seconds * AU_FPS))):
        time = frame / AU_FPS
        rows.append([frame + 1, round(time, 4)] + [round(_eased(keys, time), 3) for keys in KEYS.values()])
    return rows


def _eased(keys: list[tuple[float, float]], time: float) -> float:
    times, values = zip(*keys)
    after = int(np.searchsorted(times, time))
    if after == 0 or after == len(times):
        return values[0] if after == 0 else values[-1]
    share = (time - times[after - 1]) / (times[after] - times[after - 1])
    share = share * share * (3 - 2 * share)
    return float(values[after - 1] + share * (values[after] - values[after - 1]))


def main() -> None:
    """Writes ``portrait.jpg``, ``line.wav`` and ``aus.csv``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", nargs="?", help="data folder; default: AUTTER_DATA")
    parser.add_argument("--only", choices=("portrait", "line"), help="make one of them")
    chosen = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    if chosen.only != "line":
        from PIL import Image

        Image.fromarray(make_portrait(load_parts(data_folder(chosen.data)))).save(FOLDER / "portrait.jpg", quality=93, subsampling=0)
    if chosen.only != "portrait":
        import soundfile

        line = make_line()
        soundfile.write(FOLDER / "line.wav", line, VOICE_RATE, subtype="PCM_16")
        with (FOLDER / "aus.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["frame", "timestamp", *(f"{key}_r" for key in KEYS)])
            writer.writerows(au_rows(len(line) / VOICE_RATE))


if __name__ == "__main__":
    main()
