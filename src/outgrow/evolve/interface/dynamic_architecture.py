"""`DynamicArchitecture`: try a change on real batches, keep it if it pays, else take it back exactly."""

__all__ = ["DynamicArchitecture"]

import itertools
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.batches import Batch, Objective, batches_of, own_loss, with_loss
from outgrow.evolve.carry.followers import Followers
from outgrow.evolve.interface.evolution_step import EvolutionStep
from outgrow.evolve.interface.figures import STATE_FIGURES, measure_figures
from outgrow.evolve.interface.information_bottleneck import InformationBottleneck
from outgrow.evolve.interface.policy_learner import PolicyLearner
from outgrow.evolve.interface.structural_evolution import ACTION_NAMES, StructuralEvolution
from outgrow.evolve.interface.tentative import Attempt, AttemptFailed, attempt
from outgrow.evolve.policies.experience import Experience, ExperienceBuffer
from outgrow.evolve.transactions.moment import Moment, Training

_QUICK_BATCHES = 5
"""How many batches of a loader an evaluation looks at, as the predecessor did."""


class DynamicArchitecture:
    """A model whose architecture is changed by numbered actions, each tried before it is kept.

    Args:
        base_model: the model; changed in place, and moved to `device` if that is given.
        evolution: the operators; see `ACTION_NAMES` for the numbers.
        ib: how information is measured.
        device: where the model is; None leaves it.
        policy_lr: learning rate of the policy's scores.
        value_lr: learning rate of its value.
        buffer_size: experiences that are remembered, on the CPU.
        batch_size: experiences that one update of the policy looks at.
        epsilon_start: share of random actions at first.
        epsilon_end: share of random actions in the end.
        epsilon_decay: steps over which it falls to `1 / e` of the way.
        gamma: what a later reward is worth.
        clip_ratio: how far one update may move the policy, as in PPO.
        optimizer: of the model's training, so that it follows each change; without one a trial trains with
            plain SGD, and nothing has to follow.
        scheduler: of that optimizer.
        ema: an average of the model.
        objective: what is trained for, as `loss(output, target)`; the model's own loss or the cross entropy
            where left out.
        fork_steps: how many steps a trial trains with the change, and as many without it.
        price: what the relative growth of training FLOPs costs, in units of the loss.
        keep_above: a change is kept where its reward is at least this.
        seed: of everything that is drawn.

    A run makes about ten decisions, from which no policy can be learned: see the page on learned policies.
    `select_action` follows the interface; what `outgrow evolve run` does by default decides better.
    """

    def __init__(
        self,
        base_model: nn.Module,
        evolution: StructuralEvolution,
        ib: InformationBottleneck,
        device: torch.device | str | None = None,
        policy_lr: float = 1e-4,
        value_lr: float = 1e-3,
        buffer_size: int = 10_000,
        batch_size: int = 32,
        epsilon_start: float = 0.9,
        epsilon_end: float = 0.1,
        epsilon_decay: int = 1000,
        gamma: float = 0.99,
        clip_ratio: float = 0.2,
        *,
        optimizer: torch.optim.Optimizer | None = None,
        scheduler: Any = None,
        ema: Any = None,
        objective: Callable[[Any, Any], Tensor] | None = None,
        fork_steps: int = 4,
        price: float = 0.0,
        keep_above: float = -0.05,
        seed: int = 0,
    ) -> None:
        self.base_model = base_model if device is None else base_model.to(device)
        self.device = _device_of(self.base_model)
        self.evolution, self.ib = evolution, ib
        self.optimizer, self.scheduler, self.ema = optimizer, scheduler, ema
        self.objective: Objective = own_loss if objective is None else with_loss(objective)
        self.fork_steps, self.price, self.keep_above = fork_steps, price, keep_above
        self.learner = PolicyLearner(
            device=self.device,
            policy_lr=policy_lr,
            value_lr=value_lr,
            batch_size=batch_size,
            gamma=gamma,
            clip_ratio=clip_ratio,
            seed=seed,
        )
        self.experience_buffer = ExperienceBuffer(buffer_size)
        self.epsilon_start, self.epsilon_end = epsilon_start, epsilon_end
        self.epsilon_decay = epsilon_decay
        self.steps_done = 0
        self.history: list[EvolutionStep] = []
        self.action_counts = dict.fromkeys(range(len(ACTION_NAMES)), 0)
        self.seed = seed
        self._generator = torch.Generator().manual_seed(seed)
        evolution.register_model(self.base_model)

    @property
    def policy_net(self) -> nn.Module:
        """The policy."""
        return self.learner.policy

    @property
    def target_net(self) -> nn.Module:
        """The slower copy of the policy that the value of what follows comes from."""
        return self.learner.target

    @property
    def epsilon(self) -> float:
        """The share of random actions now."""
        fallen = float(torch.tensor(-self.steps_done / self.epsilon_decay).exp())
        return self.epsilon_end + (self.epsilon_start - self.epsilon_end) * fallen

    def get_state(self, metrics: dict[str, Any]) -> Tensor:
        """The eight figures of a state, float32 `[8]`, on the model's device: entropy, mutual information,
        accuracy, parameters in millions, redundancy, complexity, loss, steps in hundreds. Figures that
        `metrics` lack are 0."""
        figures = [float(metrics.get(name) or 0.0) for name in STATE_FIGURES]
        figures[STATE_FIGURES.index("params")] /= 1e6
        return torch.tensor([*figures, len(self.history) / 100], dtype=torch.float32, device=self.device)

    def select_action(self, state: Tensor, training: bool = True) -> int:
        """The number of an action: while training a random one with probability epsilon, else by the policy.

        Which actions have a place in this model is known to `apply_tentative`, which has example inputs.
        """
        if training:
            epsilon = self.epsilon
            self.steps_done += 1
            if float(torch.rand(1, generator=self._generator)) < epsilon:
                action = int(torch.randint(len(ACTION_NAMES), (1,), generator=self._generator))
            else:
                probabilities = self.learner.probabilities(state)
                action = int(torch.multinomial(probabilities, 1, generator=self._generator))
        else:
            action = int(self.learner.probabilities(state).argmax())
        self.action_counts[action] += 1
        return action

    def apply_tentative(
        self, action: int, state: Tensor, mini_loader: Iterable[Any]
    ) -> tuple[bool, dict[str, Any]]:
        """Try an action on the batches of `mini_loader`; whether it was kept, and what is known of it.

        The change is made, the model is trained for a few steps with it and for as many without it, on the
        same batches, and the losses on batches that were held back say what it is worth. Then everything is
        as it was, and the change is made for good if its reward is at least `keep_above`. After a failure of
        any kind the model, optimizer and random state are as before, and the second value says why:
        `error_type`, `error`, `traceback`. Ctrl-C and other exceptions that are no `Exception` pass through,
        after everything was taken back.
        """
        self.evolution.operator(action)  # raises where there is none
        name = ACTION_NAMES[action]
        try:
            batches = list(itertools.islice(batches_of(mini_loader, device=self.device), 4 * _QUICK_BATCHES))
            attempted = self._try(action, batches)
        except AttemptFailed as error:
            failure = error.failure
            return False, {
                "reason": "action_failed",
                "action": name,
                "error_type": failure.kind,
                "error": failure.text,
                "traceback": failure.traceback,
            }
        except Exception as error:
            return False, {
                "reason": "action_failed",
                "action": name,
                "error_type": type(error).__name__,
                "error": str(error),
                "traceback": traceback.format_exc(),
            }
        next_state = self.get_state(attempted.metrics_after)
        self.experience_buffer.push(
            Experience(
                state=state.detach().cpu(),
                action=action,
                reward=attempted.reward,
                next_state=next_state.detach().cpu(),
                done=False,
                metrics_before=attempted.metrics_before,
                metrics_after=attempted.metrics_after,
            )
        )
        self._update_policy()
        info = {
            "action": name,
            "reward": attempted.reward,
            "action_info": attempted.info,
            "loss_with": attempted.loss_with,
            "loss_without": attempted.loss_without,
            "metrics_improvement": {
                key: (attempted.metrics_after.get(key) or 0) - (attempted.metrics_before.get(key) or 0)
                for key in ("accuracy", "params", "mutual_info")
            },
        }
        if not attempted.is_kept:
            return False, {"reason": "performance_degraded", **info}
        self.history.append(
            EvolutionStep(
                epoch=len(self.history),
                action=name,
                target_layers=attempted.info["target_layers"],
                metrics_before=attempted.metrics_before,
                metrics_after=attempted.metrics_after,
                info_gain=attempted.reward,
                parameters_before=int(attempted.metrics_before["params"]),
                parameters_after=int(attempted.metrics_after["params"]),
            )
        )
        self.evolution.evolution_history.append(self.history[-1])
        return True, info

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The figures of the model on the first five batches of `loader`: accuracy in percent, loss,
        parameters, mutual information and entropy in nats, redundancy, complexity.

        Raises:
            InputError: the loader gives nothing, or something of an unknown form.
        """
        batches = list(batches_of(loader, device=self.device, count=_QUICK_BATCHES))
        return measure_figures(self.base_model, batches, self.objective)

    def get_stats(self) -> dict[str, Any]:
        """What happened so far."""
        return {
            "total_steps": self.steps_done,
            "current_epsilon": self.epsilon,
            "action_distribution": dict(self.action_counts),
            "experience_buffer_size": len(self.experience_buffer),
            "evolution_steps": len(self.history),
            "policy_updates": self.learner.updates,
            "device": str(self.device),
        }

    def _try(self, action: int, batches: list[Batch]) -> Attempt:
        if not self.evolution.allows(action, self.base_model):
            raise InputError(
                f"the model has {self.evolution.max_layers} layers already",
                hint="StructuralEvolution(max_layers=...) permits more",
            )
        return attempt(
            self.base_model,
            self.evolution.operator(action),
            batches,
            objective=self.objective,
            measure=lambda given: measure_figures(self.base_model, given, self.objective),
            followers=Followers(optimizer=self.optimizer, scheduler=self.scheduler, ema=self.ema),
            steps=self.fork_steps,
            price=self.price,
            keep_above=self.keep_above,
            seed=self.seed + self.steps_done,
        )

    def _save_model_state(self) -> Moment:
        """Everything that `_restore_model_state` needs, on the CPU: structure, weights, optimizer, random
        state."""
        training = Training(
            model=self.base_model, optimizer=self.optimizer, scheduler=self.scheduler, ema=self.ema
        )
        return Moment(training, "cpu")

    def _restore_model_state(self, state: Moment) -> None:
        """Make the model what it was, bit for bit, also after its structure has changed."""
        state.put_back()

    def _update_policy(self) -> None:
        """Learn from what is remembered, once there are enough experiences for a batch."""
        self.learner.update(self.experience_buffer)


def _device_of(model: nn.Module) -> torch.device:
    first = next(itertools.chain(model.parameters(), model.buffers()), None)
    return first.device if first is not None else torch.device("cpu")
