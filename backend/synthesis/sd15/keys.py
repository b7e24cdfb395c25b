# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of weights: from the published files to the networks here, and what to say where they do not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from bridge.faults import Fault

if TYPE_CHECKING:
    from torch import nn

Shapes = Mapping[str, tuple[int, ...]]

DENOISER_PREFIX = "unet."  # the denoiser wraps diffusers' network
_PLACES = ".pos_encoder.pe"  # sinusoids, computed and not learned
_COMPUTED = ".pos_embed.pe"
_NAMED = 6  # keys that a sentence lists before it counts
_MOTION = (
    (re.compile(r"\.temporal_transformer\."), "."),
    (re.compile(r"\.attention_blocks\.(\d)\."), lambda found: f".attn{int(found[1]) + 1}."),
    (re.compile(r"\.norms\.(\d)\."), lambda found: f".norm{int(found[1]) + 1}."),
    (re.compile(r"\.ff_norm\."), ".norm3."),
)


def denoiser_key(published: str) -> str | None:
    """The denoiser's name of a weight in ``denoising_unet.pth`` or ``motion_module.pth``; None for what is computed here."""
    name = published.removeprefix("module.")
    if name.endswith(_PLACES):
        return None
    if ".motion_modules." in name:
        for pattern, replacement in _MOTION:
            name = pattern.sub(replacement, name)
    return DENOISER_PREFIX + name


def published_denoiser_key(own: str) -> str:
    """The name that AniPortrait gives to one of the denoiser's weights."""
    name = own.removeprefix(DENOISER_PREFIX)
    if ".motion_modules." not in name:
        return name
    name = re.sub(r"(\.motion_modules\.\d+)\.", r"\1.temporal_transformer.", name)
    name = re.sub(r"\.attn(\d)\.", lambda found: f".attention_blocks.{int(found[1]) - 1}.", name)
    name = re.sub(r"\.norm3\.", ".ff_norm.", name)
    name = re.sub(r"\.norm([12])\.", lambda found: f".norms.{int(found[1]) - 1}.", name)
    return name.replace(".pos_embed.", ".attention_blocks.0.pos_encoder.")


def plain_key(published: str) -> str | None:
    """The name of a weight in the other files: the same."""
    return published.removeprefix("module.")


def is_computed(own: str) -> bool:
    """Whether a weight of the denoiser is computed and not in any file."""
    return own.endswith(_COMPUTED)


def network_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what a file must hold for a network, which may stand on the meta device."""
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items() if not is_computed(name)}


def check_fit(what: str, expected: Shapes, given: Shapes) -> None:
    """Raises Fault ``sd15-keys`` that names missing, surplus and misshapen weights.

    ``what``: the file or files, for the sentence. Both mappings: own names to shapes. Counters of batch normalisation may be missing.
    """
    missing = [name for name in expected if name not in given and not name.endswith("num_batches_tracked")]
    surplus = [name for name in given if name not in expected]
    misshapen = [
        f"{name} (has {_shape(given[name])}, needs {_shape(expected[name])})"
        for name in expected
        if name in given and tuple(given[name]) != tuple(expected[name])
    ]
    troubles = [
        _listed(names, word) for names, word in ((missing, "missing"), (surplus, "surplus"), (misshapen, "of another shape")) if names
    ]
    if troubles:
        raise Fault(
            "sd15-keys",
            f"The weights in {what} do not fit this network: {'; '.join(troubles)}.",
            "Check that all files belong to one release (AniPortrait, or EchoMimic's *_pose) and that the downloads are complete.",
        )


def _listed(names: Iterable[str], word: str) -> str:
    every = [name.removeprefix(DENOISER_PREFIX) for name in names]
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return f"{len(every)} {word} ({', '.join(every[:_NAMED])}{more})"


def _shape(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape)) or "a number"
