"""How the policy over eight figures learns: clipped updates, values from a target network."""

__all__ = ["PolicyLearner"]

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from outgrow.evolve.interface.structural_evolution import ACTION_NAMES
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.experience import ExperienceBuffer

_POLYAK = 0.05
"""How far the target network moves towards the policy in an update."""


class PolicyLearner:
    """A policy over the eight figures of a state, and the target network that its values come from."""

    def __init__(
        self,
        *,
        device: torch.device,
        policy_lr: float,
        value_lr: float,
        batch_size: int,
        gamma: float,
        clip_ratio: float,
        seed: int,
    ) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.policy = AttentionPolicyNetwork(8, len(ACTION_NAMES)).to(device)
        self.target = copy.deepcopy(self.policy).requires_grad_(requires_grad=False)
        self.batch_size, self.gamma, self.clip_ratio = batch_size, gamma, clip_ratio
        self.updates = 0
        value = [one for name, one in self.policy.named_parameters() if "value" in name]
        rest = [one for name, one in self.policy.named_parameters() if "value" not in name]
        self._optimizer = torch.optim.AdamW(
            [{"params": rest, "lr": policy_lr}, {"params": value, "lr": value_lr}], weight_decay=1e-4
        )
        self._generator = torch.Generator().manual_seed(seed)

    @property
    def device(self) -> torch.device:
        """Where the policy is."""
        return next(self.policy.parameters()).device

    def probabilities(self, state: Tensor) -> Tensor:
        """Of each action, float32 `[actions]`, on the CPU."""
        self.policy.eval()
        with torch.no_grad():
            scores, _value = self.policy(state.to(self.device))
        shares: Tensor = scores.reshape(-1).softmax(-1).cpu()
        return shares

    def update(self, buffer: ExperienceBuffer) -> bool:
        """One step on a batch of `buffer`; whether there were enough experiences for it."""
        if len(buffer) < self.batch_size:
            return False
        batch = buffer.sample(self.batch_size, generator=self._generator)
        states = torch.stack([one.state for one in batch]).to(self.device)
        following = torch.stack([one.next_state for one in batch]).to(self.device)
        actions = torch.tensor([int(one.action) for one in batch], device=self.device)
        rewards = torch.tensor([one.reward for one in batch], device=self.device)
        ends = torch.tensor([float(one.done) for one in batch], device=self.device)
        with torch.no_grad():
            old = self.policy(states)[0].log_softmax(-1).gather(1, actions[:, None])[:, 0]
            wanted = rewards + self.gamma * (1 - ends) * self.target(following)[1].reshape(-1)
        scores, values = self.policy(states)
        advantages = wanted - values.detach().reshape(-1)
        advantages = (advantages - advantages.mean()) / (advantages.std(correction=0) + 1e-8)
        ratio = (scores.log_softmax(-1).gather(1, actions[:, None])[:, 0] - old).exp()
        clipped = ratio.clamp(1 - self.clip_ratio, 1 + self.clip_ratio)
        loss = -torch.minimum(ratio * advantages, clipped * advantages).mean()
        loss = loss + F.mse_loss(values.reshape(-1), wanted)
        self._optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.policy.parameters(), 0.5)
        self._optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(self.target.parameters(), self.policy.parameters(), strict=True):
                slow.lerp_(fast, _POLYAK)
        self.updates += 1
        return True
