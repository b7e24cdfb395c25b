# SPDX-License-Identifier: GPL-3.0-or-later
"""``train small``: cache the prepared faces, train, and write the weights with their card."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.faults import Fault

if TYPE_CHECKING:
    from backend.synthesis.small.network import SmallNetwork

    from .cache import FaceClip
    from .config import TrainingConfig
    from .ranks import Ranks

HELD_OUT_PEOPLE = ("single_face", "face_noface", "noface_face")  # one man in three clips
DATASETS = ("grid", "pyfeat", "actors")
REAL = ("grid", "pyfeat")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``train small``."""
    parser.add_argument("--data", type=Path, default=Path("work/data"), help="prepared data: one folder per data set, one npz per clip")
    parser.add_argument(
        "--work", type=Path, default=Path("work/small"), help="cache of face crops, checkpoints and log; an unfinished run there goes on"
    )
    parser.add_argument("--out", type=Path, help="weights to write (default: the backend's own)")
    parser.add_argument("--minutes", type=float, help="length of the run")
    parser.add_argument("--clips", type=int, default=128, help="most clips of a data set that shows one person only")
    parser.add_argument(
        "--shares", nargs="+", default=[], metavar="NAME=SHARE", help="shares of the pairs by data set, e.g. grid=0.2 actors=0.6"
    )
    parser.add_argument(
        "--stills", type=Path, metavar="FOLDER", help="photographs of one face each: warped to other expressions, they become pairs too"
    )
    parser.add_argument(
        "--stills-each", type=whole_number, default=0, metavar="N", help="so many frames of every real clip, used as stills as well"
    )
    parser.add_argument(
        "--brows-each",
        type=whole_number,
        default=0,
        metavar="N",
        help="so many frames of every clip with brows pressed down too, as a full frown asks for",
    )
    parser.add_argument("--start-from", type=Path, metavar="WEIGHTS", help="go on from stored weights, at a quarter of the learning rate")
    parser.add_argument("--learning-rate", type=float, help="highest rate of the optimizer, in place of the configured one")
    parser.add_argument(
        "--judge-landmarks",
        type=whole_number,
        default=0,
        metavar="N",
        help="every N steps whole pictures, judged by where a landmarker finds landmarks on them too (default: never)",
    )
    parser.add_argument(
        "--average", type=Path, nargs="+", metavar="WEIGHTS", help="train nothing: write the mean of these stored weights, entry by entry"
    )
    parser.add_argument("--pack", type=Path, metavar="FOLDER", help="train nothing: write the cache as movies, for another computer")
    parser.add_argument(
        "--packed", type=Path, metavar="FOLDER", help="train on what --pack wrote; needs neither the prepared data nor a video library"
    )
    parser.add_argument("--device", default="cpu", help="torch device; with cuda, settings for a graphics card")
    parser.add_argument("--workers", type=int, default=8, help="processes that draw pairs for a graphics card")
    parser.add_argument("--threads", type=int, default=1, help="processor threads")
    parser.add_argument("--ranks", type=int, default=1, help="processes of one thread each that train together")
    parser.add_argument("--tiny", action="store_true", help="a network of thousands of parameters for seconds: a check, not for use")
    parser.add_argument("--export-only", action="store_true", help="write the weights of the last checkpoint without training")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Trains and exports. Raises Fault ``data-missing`` where there is nothing to train on."""
    if arguments.average:
        from .average import average_weights

        return average_weights(arguments.average, arguments.out)
    import torch

    from backend.synthesis.small.weights import WEIGHTS, read_config

    from .cache import load_clips
    from .config import TrainingConfig, card_config, fine_tuning, tiny_config
    from .export import export_run
    from .loop import Trainer
    from .pack import IMAGENET, load_pack, pack_cache

    torch.set_num_threads(arguments.threads)
    config = tiny_config() if arguments.tiny else TrainingConfig() if arguments.device == "cpu" else card_config()
    if arguments.start_from:
        config = replace(fine_tuning(config), network=read_config(arguments.start_from))
    if arguments.minutes:
        config = replace(config, minutes=arguments.minutes)
    if arguments.learning_rate:
        config = replace(config, learning_rate=arguments.learning_rate)
    if arguments.judge_landmarks:
        config = replace(config, judged_every=arguments.judge_landmarks)
    if arguments.shares:
        config = replace(config, shares=named_shares(arguments.shares))
    if arguments.packed:
        clips = load_pack(arguments.packed)
    else:
        cache_all(arguments.data, arguments.work / "cache", arguments.clips)
        clips = load_clips(arguments.work / "cache")
        clips += cache_all_stills(arguments, clips)
    if arguments.pack:
        return pack_cache(clips, arguments.pack)
    if not any(not clip.validation for clip in clips):
        raise Fault(
            "data-missing", f"There is nothing to train on in {arguments.data}.", "Run `prepare` first, or name the folder with --data."
        )
    if arguments.ranks > 1 and not arguments.export_only:
        from .ranks import spawn

        spawn(train_rank, arguments.ranks, config, arguments.work, arguments.device, arguments.start_from)
    trainer = Trainer(
        config,
        clips,
        arguments.work / "run",
        arguments.device,
        start=_start(arguments.start_from),
        workers=arguments.workers,
        imagenet=arguments.packed and arguments.packed / IMAGENET,
    )
    if not arguments.export_only and arguments.ranks <= 1:
        trainer.run()
    return export_run(trainer, clips, arguments.out or WEIGHTS, arguments.start_from)


def whole_number(word: str) -> int:
    count = int(word)
    if count < 0:
        raise argparse.ArgumentTypeError(f"{count} is less than none")
    return count


def _start(weights: Path | None) -> SmallNetwork | None:
    from backend.synthesis.small.weights import load_network

    return None if weights is None else load_network(weights)


def train_rank(ranks: Ranks, config: TrainingConfig, work: Path, device: str, start_from: Path | None = None) -> None:
    """One process of several; all read the same cache and state, the leading one writes."""
    from .cache import load_clips
    from .loop import Trainer

    Trainer(config, load_clips(work / "cache"), work / "run", device, ranks=ranks, start=_start(start_from)).run()


def named_shares(words: list[str]) -> tuple[tuple[str, float], ...]:
    """Pairs of data set and share from words such as "grid=0.2". Raises Fault ``bad-argument``."""
    shares = []
    for word in words:
        name, _, value = word.partition("=")
        try:
            shares.append((name, float(value)))
        except ValueError:
            raise Fault("bad-argument", f"{word!r} is no share of a data set.", "Write it as NAME=SHARE, e.g. grid=0.2.") from None
    return tuple(shares)


def cache_all_stills(arguments: argparse.Namespace, clips: list[FaceClip]) -> list[FaceClip]:
    """Stills and lowered brows that are asked for and not in the cache yet."""
    from .lowered_brows import lowered_brows_of_clips
    from .stills import cache_stills, stills_of_clips

    folder = arguments.work / "cache"
    made = cache_stills(arguments.stills, folder, clips) if arguments.stills else []
    made += stills_of_clips(folder, clips, REAL, arguments.stills_each) if arguments.stills_each else []
    return made + (lowered_brows_of_clips(folder, clips, arguments.brows_each) if arguments.brows_each else [])


def cache_all(data: Path, folder: Path, most: int) -> None:
    """Brings the crop cache up to date; data sets of one person give at most ``most`` clips and a tenth to validate."""
    from .cache import SAME_PERSON, cache_prepared, held_out

    for dataset in DATASETS:
        prepared = sorted((data / dataset).glob("*.npz"))
        if dataset in SAME_PERSON:
            held = [path for path in prepared if held_out(path.stem)][: max(most // 10, 1)]
            prepared = [path for path in prepared if not held_out(path.stem)][:most] + held
        for path in prepared:
            for clip in cache_prepared(path, dataset, folder, HELD_OUT_PEOPLE):
                print(f"cached {clip.name}", flush=True)
