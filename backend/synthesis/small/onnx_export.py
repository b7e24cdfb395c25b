# SPDX-License-Identifier: GPL-3.0-or-later
"""The network as ONNX files in the cache, for the runtime on the processor."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bridge import paths
from bridge.half_written import partial_path, put_in_place

from .model_card import checked_digest
from .weights import load_network

_EXPORT_VERSION = 1  # part of the cached file's name: raise it when the graph changes with the same weights
_LOG = logging.getLogger(__name__)


@contextmanager
def exported_graphs(weights: Path, side: int) -> Iterator[tuple[Path, Path]]:
    """ONNX files of trunk and denoiser in the cache, named by the weights' checksum; made on first use.

    Where the cache cannot be written, in a temporary folder that goes with the block. Raises OSError where neither can.
    """
    digest = checked_digest(weights)
    stem = f"small-{digest[:16]}-{side}-v{_EXPORT_VERSION}"
    trunk, denoiser = (paths.cache_dir() / "onnx" / f"{stem}.{part}.onnx" for part in ("trunk", "denoiser"))
    if not (trunk.is_file() and denoiser.is_file()):
        try:
            _export(weights, side, trunk, denoiser)
        except (OSError, RuntimeError) as error:  # torch tells of a full disk by the latter
            _LOG.warning("The exported networks cannot be kept (%s): they are made anew each time.", error)
            with tempfile.TemporaryDirectory(prefix="autter-onnx-") as folder:
                trunk, denoiser = Path(folder) / trunk.name, Path(folder) / denoiser.name
                _export(weights, side, trunk, denoiser)
                yield trunk, denoiser
            return
    yield trunk, denoiser


def _export(weights: Path, side: int, trunk_target: Path, denoiser_target: Path) -> None:
    """Traces the network at batch 1; each file is written beside its place and renamed, so two processes may race."""
    import torch

    network = load_network(weights)
    nodes = side // network.config.patch
    conditions = (torch.zeros(1, 13, side, side), torch.zeros(1, 3, nodes, nodes), torch.zeros(1, 19))
    with torch.no_grad():
        fine, coarse, _, mask = network.trunk(*conditions)
    colours = torch.zeros(1, 3, side, side)
    trunk_target.parent.mkdir(parents=True, exist_ok=True)
    _trace(network.trunk, conditions, trunk_target, ["images", "geometry", "aus"], ["fine", "coarse", "flow", "mask"])
    inputs = (colours, colours, mask, fine, coarse, torch.ones(1))
    _trace(network.denoiser, inputs, denoiser_target, ["noisy", "warped", "mask", "fine", "coarse", "time"], ["picture"])


def _trace(module: Any, inputs: tuple[Any, ...], target: Path, input_names: list[str], output_names: list[str]) -> None:
    import warnings

    import torch

    partial = partial_path(target)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracing exporter announces its own retirement at every call
            torch.onnx.export(
                module, inputs, str(partial), input_names=input_names, output_names=output_names, opset_version=17, dynamo=False
            )
        put_in_place(partial, target)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
