# SPDX-License-Identifier: GPL-3.0-or-later
"""``train small --average A B``: the mean of stored weights, entry by entry.

Wortsman et al., "Robust fine-tuning of zero-shot models", 2022: weights of one run before and after further training, averaged,
keep what the longer training on few people cost others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from backend.synthesis.small.model_card import read_card
from backend.synthesis.small.weights import load_network, save_network
from bridge.faults import Fault

from .card import write_page


def average_weights(sources: Sequence[Path], target: Path | None) -> dict[str, Any]:
    """Writes the mean of ``sources``, all of equal share, to ``target`` with a card that names them; returns the card.

    The card is that of the last of them, without figures: those are another network's. Raises Fault ``bad-option`` for fewer than two
    sources, for no target and for networks of different sizes, ``weights-missing`` or ``weights-mismatch``.
    """
    if len(sources) < 2:
        raise Fault(
            "bad-option", "A mean needs at least two weights files.", "Use --average A.safetensors B.safetensors --out C.safetensors."
        )
    if target is None:
        raise Fault(
            "bad-option", "Where is the mean to be written?", "Name a file with --out; the shipped weights are never replaced unasked."
        )
    networks = [load_network(source) for source in sources]
    if any(network.config != networks[0].config for network in networks):
        raise Fault("bad-option", "These weights are of networks of different sizes.", "Average only weights of one run.")
    states = [network.state_dict() for network in networks]
    networks[0].load_state_dict({name: sum(state[name] for state in states) / len(states) for name in states[0]})
    cards = [read_card(source) for source in sources]
    card = {key: value for key, value in cards[-1].items() if key not in ("figures", "notes")}
    card["averaged"] = [{"sha256": each["sha256"], "minutes": each.get("minutes"), "images": each.get("images")} for each in cards]
    save_network(networks[0], target, card)
    write_page(target)
    return card
