# SPDX-License-Identifier: GPL-3.0-or-later
"""Attention processors: the reference network writes what it saw, the denoiser reads it as further keys and values.

Reference attention: Hu et al., "Animate Anyone", 2023. Every self-attention of the reference network stores its normalised input;
the self-attention of the same name in the denoiser attends to its own frame and to that. ``reference`` maps the names of the
denoiser's self-attentions to tensors (b, tokens, channels) in the dtype of the denoiser, or to the keys and values that its weights
make of them: those stay the same over all steps and windows, and a compiled denoiser must not keep anything between its calls.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Reference = dict[str, Tensor]
Projected = dict[str, tuple[Tensor, Tensor]]  # keys and values, (b, tokens, channels) each


class WriteProcessor:
    """Plain self-attention that keeps its input."""

    def __init__(self) -> None:
        self.seen: Tensor | None = None

    def __call__(self, attention: nn.Module, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """``hidden_states``: (b, tokens, channels), already normalised."""
        self.seen = hidden_states
        return _attend(attention, hidden_states, attention.to_k(hidden_states), attention.to_v(hidden_states))


class ReferenceReader:
    """What the reading processors share: the reference, and which rows of the batch go without it."""

    def __init__(self) -> None:
        self.reference: Reference | Projected | None = None
        self.rows_without = 0  # the first rows (frames of the unconditional half) attend to themselves only

    def use(self, reference: Reference | Projected | None, rows_without: int = 0) -> None:
        """Sets the reference for the calls that follow."""
        self.reference, self.rows_without = reference, rows_without

    def keys_and_values(self, name: str, attention: nn.Module) -> tuple[Tensor, Tensor]:
        """Keys and values (b, tokens, channels) of one attention."""
        assert self.reference is not None
        seen = self.reference[name]
        return seen if isinstance(seen, tuple) else (attention.to_k(seen), attention.to_v(seen))


class ReadProcessor:
    """Self-attention over a frame's own tokens and those of the reference."""

    def __init__(self, name: str, reader: ReferenceReader) -> None:
        self.name, self.reader = name, reader

    def __call__(self, attention: nn.Module, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """``hidden_states``: (b frames, tokens, channels); frames of one batch row stand together."""
        keys, values = attention.to_k(hidden_states), attention.to_v(hidden_states)
        without = hidden_states.shape[0] if self.reader.reference is None else self.reader.rows_without
        parts = []
        if without:
            parts.append(_attend(attention, hidden_states[:without], keys[:without], values[:without]))
        if without < hidden_states.shape[0]:
            more_keys, more_values = self.reader.keys_and_values(self.name, attention)
            frames = (hidden_states.shape[0] - without) // more_keys.shape[0]
            keys = torch.cat([keys[without:], more_keys.repeat_interleave(frames, 0)], 1)
            values = torch.cat([values[without:], more_values.repeat_interleave(frames, 0)], 1)
            parts.append(_attend(attention, hidden_states[without:], keys, values))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class TokenProcessor:
    """Cross-attention to a few tokens, times ``strength``.

    Where there is one token only, the softmax over it is 1 whatever the query: the answer is that token's value, without queries and keys.
    """

    def __init__(self, strength: float = 1.0) -> None:
        self.strength = strength

    def __call__(self, attention: nn.Module, hidden_states: Tensor, encoder_hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """``hidden_states``: (rows, tokens, channels); ``encoder_hidden_states``: (rows, n, width)."""
        values = attention.to_v(encoder_hidden_states)
        if encoder_hidden_states.shape[1] == 1:
            answer = attention.to_out[0](values).expand(-1, hidden_states.shape[1], -1)
        else:
            answer = _attend(attention, hidden_states, attention.to_k(encoder_hidden_states), values)
        return answer if self.strength == 1.0 else answer * self.strength


def _attend(attention: nn.Module, hidden_states: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    rows, _, channels = hidden_states.shape

    def heads(tokens: Tensor) -> Tensor:
        return tokens.view(rows, tokens.shape[1], attention.heads, -1).transpose(1, 2)

    mixed = functional.scaled_dot_product_attention(heads(attention.to_q(hidden_states)), heads(keys), heads(values))
    return attention.to_out[0](mixed.transpose(1, 2).reshape(rows, -1, channels))


def projected(attention: nn.Module, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of one attention (b, tokens, channels) from what it is to read, on the device and in the dtype of ``tokens``.

    Works where the weights lie and calls no module: weights that wait in the machine's memory are not fetched onto the card for it. There
    it works in float32, which processors are quick in.
    """
    weights = attention.to_k.weight, attention.to_v.weight
    exact = torch.float32 if weights[0].device.type == "cpu" else weights[0].dtype
    here = tokens.to(weights[0].device, exact)
    keys, values = (functional.linear(here, weight.to(exact)).to(tokens.device, tokens.dtype) for weight in weights)
    return keys, values


def self_attention_names(processors: dict[str, Any]) -> list[str]:
    """Names of the spatial self-attentions among a network's processors; those of the motion modules are left out."""
    return [name for name in processors if name.endswith("attn1.processor") and "motion_modules" not in name]
