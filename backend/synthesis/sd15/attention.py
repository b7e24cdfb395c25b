# SPDX-License-Identifier: GPL-3.0-or-later
"""Attention processors: the reference network writes what it saw, the denoiser reads it as further keys and values.

Reference attention: Hu et al., "Animate Anyone", 2023. Every self-attention of the reference network stores its normalised input;
the self-attention of the same name in the denoiser attends to its own frame and to that. ``reference`` maps the names of the
denoiser's self-attentions to tensors (b, tokens, channels), in the dtype of the denoiser.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Reference = dict[str, Tensor]


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
        self.reference: Reference | None = None
        self.rows_without = 0  # the first rows (frames of the unconditional half) attend to themselves only
        self._projected: dict[str, tuple[Tensor, Tensor]] = {}

    def use(self, reference: Reference | None, rows_without: int = 0) -> None:
        """Sets the reference for the calls that follow."""
        if reference is not self.reference:
            self._projected.clear()
        self.reference, self.rows_without = reference, rows_without

    def keys_and_values(self, name: str, attention: nn.Module) -> tuple[Tensor, Tensor]:
        """Keys and values (b, tokens, channels) of one attention; computed once a reference where no gradient is asked for."""
        assert self.reference is not None
        if torch.is_grad_enabled():
            tokens = self.reference[name]
            return attention.to_k(tokens), attention.to_v(tokens)
        if name not in self._projected:
            tokens = self.reference[name]
            self._projected[name] = (attention.to_k(tokens), attention.to_v(tokens))
        return self._projected[name]


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


def self_attention_names(processors: dict[str, Any]) -> list[str]:
    """Names of the spatial self-attentions among a network's processors; those of the motion modules are left out."""
    return [name for name in processors if name.endswith("attn1.processor") and "motion_modules" not in name]
