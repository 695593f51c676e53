"""Attention over a packed row: samples lie end to end and never see each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from rl.types import MicroBatch


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """Where each token of a packed row sits in a [S, L] grid of S samples padded to the longest.

    Only attention is padded; every other layer runs on the T packed tokens. Padding stands at the
    end of a sample, so a causal mask already hides it from every real token.
    """

    grid: torch.Tensor  # [S * L] place in the row; padding points at token 0
    row: torch.Tensor  # [T] place in the grid
    num_sequences: int
    longest: int
    cu_seqlens: torch.Tensor  # [S + 1] int32, what flash-attn takes

    @staticmethod
    def of(micro: MicroBatch, device: torch.device) -> PackedLayout:
        starts = torch.as_tensor(micro.cu_seqlens, device=device)
        lengths = (starts[1:] - starts[:-1]).long()
        longest = int(lengths.max())
        column = torch.arange(longest, device=device)
        filled = column[None, :] < lengths[:, None]  # [S, L]
        grid = torch.where(filled, starts[:-1, None].long() + column[None, :], 0).flatten()
        row = filled.flatten().nonzero()[:, 0]
        return PackedLayout(grid, row, len(lengths), longest, starts.int())


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,  # [1, H, T, D]
    key: torch.Tensor,  # [1, Hkv, T, D]
    value: torch.Tensor,  # [1, Hkv, T, D]
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    layout: PackedLayout | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function that `transformers` calls in each layer; returns [1, T, H, D]."""
    assert layout is not None, "packed attention needs the layout of the row"

    def spread(states: torch.Tensor) -> torch.Tensor:  # [1, H, T, D] -> [S, H, L, D]
        heads, size = states.shape[1], states.shape[3]
        padded = states[0].transpose(0, 1)[layout.grid]
        return padded.view(layout.num_sequences, layout.longest, heads, size).transpose(1, 2)

    output = functional.scaled_dot_product_attention(
        spread(query),
        spread(key),
        spread(value),
        dropout_p=dropout,
        is_causal=True,
        scale=scaling,
        enable_gqa=query.shape[1] != key.shape[1],
    )  # [S, H, L, D]
    heads, size = output.shape[1], output.shape[3]
    flat = output.transpose(1, 2).reshape(-1, heads, size)
    return flat[layout.row].unsqueeze(0), None
