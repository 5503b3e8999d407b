"""Train the network of the learned policy from experiences: double DQN with a target that follows slowly."""

__all__ = ["AttentionLearner", "score"]

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from outgrow.errors import InputError
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.attention_state import AttentionState, stack
from outgrow.evolve.policies.experience import Experience, ExperienceBuffer


def score(
    network: AttentionPolicyNetwork, states: Sequence[AttentionState] | Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """Scores and values of several states, moved to where the network is."""
    return _score(network, _batch(states, network.value.weight.device))


def _batch(
    states: Sequence[AttentionState] | Sequence[Tensor], device: torch.device
) -> AttentionState | Tensor:
    if isinstance(states[0], Tensor):
        return torch.stack([state for state in states if isinstance(state, Tensor)]).to(device)
    return stack([state for state in states if isinstance(state, AttentionState)]).to(device)


def _score(network: AttentionPolicyNetwork, batch: AttentionState | Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(batch, Tensor):
        scores, values = network(batch)
    else:
        scores, values = network(batch.run, batch.layers, mask=batch.mask, present=batch.present)
    return scores, values


class AttentionLearner:
    """A network, its target, and the step that trains one with the help of the other.

    What an action is worth is its reward and, discounted, what the *target* says of the action that the
    *network* prefers next (van Hasselt et al. 2016, arXiv:1509.06461, double DQN). The target follows the
    network by `polyak` of the way after every step, or is copied every `target_every` steps.
    """

    def __init__(
        self,
        network: AttentionPolicyNetwork,
        *,
        lr: float = 1e-3,
        gamma: float = 1.0,
        polyak: float = 0.02,
        target_every: int | None = None,
        weight_decay: float = 0.01,
    ) -> None:
        if not 0 <= gamma <= 1 or not 0 < polyak <= 1 or (target_every is not None and target_every < 1):
            raise InputError(
                f"gamma={gamma}, polyak={polyak}, target_every={target_every}",
                hint="gamma is 0 to 1, polyak above 0 and at most 1, target_every at least 1 or None",
            )
        self.network = network
        self.target = copy.deepcopy(network).requires_grad_(False)
        self.gamma, self.polyak, self.target_every = gamma, polyak, target_every
        self.lr = lr
        self.optimizer = torch.optim.AdamW(network.parameters(), lr=lr, weight_decay=weight_decay)
        self.steps = 0

    def goals(self, batch: Sequence[Experience]) -> Tensor:
        """What the network should have said of each experience's action, `[batch]`."""
        device = self.network.value.weight.device
        goals = torch.tensor([one.reward for one in batch], dtype=torch.float32, device=device)
        going_on = [index for index, one in enumerate(batch) if not one.done]
        if going_on:
            following = _batch([batch[index].next_state for index in going_on], device)
            with torch.no_grad():
                preferred = _score(self.network, following)[0].argmax(1, keepdim=True)
                worth = _score(self.target, following)[0].gather(1, preferred)[:, 0]
            goals[going_on] += self.gamma * worth
        return goals

    def update(self, batch: Sequence[Experience]) -> float:
        """One step on a batch; the loss before it."""
        goals = self.goals(batch)
        scores, _ = score(self.network, [one.state for one in batch])
        actions = torch.tensor([one.action for one in batch], device=goals.device)
        loss = F.smooth_l1_loss(scores.gather(1, actions[:, None])[:, 0], goals, beta=0.1)
        if not torch.isfinite(loss):
            raise InputError(
                "an experience has an action that its state forbids, or a reward that is no number",
                hint="choose actions by the mask of the state",
            )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        self._follow()
        return float(loss.detach())

    def train(
        self, buffer: ExperienceBuffer, steps: int, *, batch_size: int = 32, seed: int = 0
    ) -> list[float]:
        """So many updates on batches drawn from a buffer, the learning rate falling to 0; their losses.

        A seed gives the same again.
        """
        generator = torch.Generator().manual_seed(seed)
        size = min(batch_size, len(buffer))
        losses = []
        for step in range(steps):
            self.optimizer.param_groups[0]["lr"] = self.lr * (1 - step / steps)
            losses.append(self.update(buffer.sample(size, generator=generator)))
        return losses

    @torch.no_grad()
    def _follow(self) -> None:
        if self.target_every is not None:
            if self.steps % self.target_every == 0:
                self.target.load_state_dict(self.network.state_dict())
            return
        for mine, own in zip(self.target.parameters(), self.network.parameters(), strict=True):
            mine.lerp_(own, self.polyak)
