"""Attention over a packed row: each sample sees its own tokens, shared prompt included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from rl.types import MicroBatch


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """How the T tokens of a packed row spread into S samples for attention, and come back.

    Only attention sees samples; every other layer runs on the T tokens. A token of a shared prompt
    is read by each of its samples, and what comes back to it is the first one's output: the others
    compute the same. `grid` and `cell` pad the samples to the longest; padding stands at the end
    of a sample, so a causal mask already hides it from every real token.
    """

    num_sequences: int
    longest: int
    grid: torch.Tensor  # [S * L] place in the row; padding points at token 0
    cell: torch.Tensor  # [T] place in the grid
    places: torch.Tensor  # [P] place in the row, samples end to end: what flash-attn reads
    owner: torch.Tensor  # [T] place in `places`
    cu_seqlens: torch.Tensor  # [S + 1] int32, where in `places` each sample begins

    @staticmethod
    def of(micro: MicroBatch, device: torch.device) -> PackedLayout:
        lengths = np.diff(micro.cu_seqlens)
        longest = int(lengths.max())
        column = np.arange(len(micro.places)) - np.repeat(micro.cu_seqlens[:-1], lengths)
        cell = np.repeat(np.arange(len(lengths)), lengths) * longest + column  # [P]
        grid = np.zeros(len(lengths) * longest, np.int64)
        grid[cell] = micro.places
        _, owner = np.unique(micro.places, return_index=True)

        def move(values: Any) -> torch.Tensor:
            return torch.as_tensor(values, device=device)

        return PackedLayout(
            num_sequences=len(lengths),
            longest=longest,
            grid=move(grid),
            cell=move(cell[owner]),
            places=move(micro.places).long(),
            owner=move(owner),
            cu_seqlens=move(micro.cu_seqlens).int(),
        )


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
    """PyTorch's attention as `transformers` calls it in each layer; returns [1, T, H, D]."""
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
    return flat[layout.cell].unsqueeze(0), None


def packed_flash_attention(
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
    """The same by flash-attn, without padding. Needs a GPU and a 16-bit type."""
    assert layout is not None, "packed attention needs the layout of the row"
    from flash_attn import flash_attn_varlen_func  # there is no build of it for CPUs

    query, key, value = (s[0].transpose(0, 1)[layout.places] for s in (query, key, value))
    output = flash_attn_varlen_func(
        query,
        key,
        value,
        cu_seqlens_q=layout.cu_seqlens,
        cu_seqlens_k=layout.cu_seqlens,
        max_seqlen_q=layout.longest,
        max_seqlen_k=layout.longest,
        dropout_p=dropout,
        softmax_scale=scaling,
        causal=True,
    )  # [P, H, D]
    return output[layout.owner].unsqueeze(0), None
