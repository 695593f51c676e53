"""A causal language model as the learner runs it: packed row in, log-probabilities out."""

from __future__ import annotations

import torch

from rl.attention import PackedLayout
from rl.types import MicroBatch


class PolicyNetwork(torch.nn.Module):
    """Wraps a Hugging Face causal language model; works on any that accepts `logits_to_keep`."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, micro: MicroBatch, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Log-probability and entropy at the N trained tokens of a packed row.

        The distribution is the one the tokens were drawn from, so logits are divided by the
        sampling temperature. Logits exist only where a trained token is predicted.

        Returns:
            logprobs [N] float32 with gradient, entropy [N] float32 without, in nats.
        """
        device = next(self.model.parameters()).device
        layout = PackedLayout.of(micro, device)
        targets = torch.as_tensor(micro.targets, device=device).long()
        output = self.model(
            input_ids=torch.as_tensor(micro.token_ids, device=device).long()[None],
            position_ids=torch.as_tensor(micro.position_ids, device=device).long()[None],
            logits_to_keep=torch.as_tensor(micro.predictors, device=device).long(),
            use_cache=False,
            layout=layout,
        )
        logits = output.logits[0].float() / temperature  # [N, V]
        normaliser = torch.logsumexp(logits, dim=-1)  # [N]
        logprobs = logits.gather(1, targets[:, None])[:, 0] - normaliser
        with torch.no_grad():
            probabilities = torch.exp(logits - normaliser[:, None])
            entropy = normaliser - (probabilities * logits).sum(-1)
        return logprobs, entropy
