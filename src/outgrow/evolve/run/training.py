"""A model being trained, step by step, in a state that can be written down and taken up again."""

__all__ = ["LossNotFinite", "Training", "judge"]

import math

import torch
from torch import Tensor, nn

from outgrow.errors import OutgrowError
from outgrow.evolve.archive.edits import replay
from outgrow.evolve.batches import Batch, own_loss
from outgrow.evolve.data import Pictures, Split
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.measures.cost import Cost, measure_cost
from outgrow.evolve.run.batch_order import BatchOrder, batch_at
from outgrow.evolve.run.checkpoint import (
    Progress,
    RunState,
    generators_now,
    put_generators_back,
    weights_of,
)
from outgrow.evolve.run.configuration import RunConfiguration
from outgrow.evolve.run.models import make_model

_HOLD = 0.5
"""Share of the budget up to which the learning rate stays."""
_EVALUATED_AT_ONCE = 500


_SLOWER = "begin again with a smaller --lr; what was trained until then is still in the directory"


class LossNotFinite(OutgrowError):
    """The loss is NaN or infinite, and no change can be blamed for it."""


class Training:
    """Model, optimizer and batches of a run."""

    def __init__(self, configuration: RunConfiguration, pictures: Pictures) -> None:
        self.configuration, self.pictures = configuration, pictures
        self.device = torch.device(configuration.device)
        self.progress = Progress()
        self.edits: list[Edit] = []
        self.model = self._new_model()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=configuration.learning_rate)
        self.order = BatchOrder(pictures.train, seed=configuration.seed, batch_size=configuration.batch_size)
        # What the model draws while it trains (dropout) follows from the seed as well.
        torch.manual_seed(configuration.seed)
        self.cost = self.measure()

    @property
    def example(self) -> ExampleInputs:
        """One small call of the model."""
        return batch_at(self.pictures.train, slice(0, 4)).to(self.device).inputs

    @property
    def step_flops(self) -> float:
        """What one step costs now."""
        return self.cost.training_flops * self.configuration.batch_size

    @property
    def is_spent(self) -> bool:
        """Whether another step would leave the budget further behind than none."""
        return self.progress.spent + self.step_flops / 2 > self.configuration.budget_flops

    def measure(self) -> Cost:
        """What the model costs now."""
        return measure_cost(self.model, self.example)

    def step(self) -> None:
        """One step of the optimizer.

        Raises:
            LossNotFinite: the loss is; the weights are as they were before.
        """
        progress, share = self.progress, self.progress.spent / self.configuration.budget_flops
        rate = self.configuration.learning_rate * min(1.0, max(0.0, (1 - share) / (1 - _HOLD)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        batch = self.order.next().to(self.device)
        loss = self._loss(batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise LossNotFinite(f"the loss is {value} after {progress.steps:,} steps", hint=_SLOWER)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        progress.steps += 1
        progress.samples += batch.size
        progress.spent += self.step_flops
        progress.loss_sum += value
        progress.loss_count += 1

    def _loss(self, batch: Batch) -> Tensor:
        try:
            return own_loss(self.model, batch)
        except RuntimeError as err:
            raise OutgrowError(
                f"the model cannot be trained on {batch.size} pictures at once: {type(err).__name__}: {err}",
                hint="what was trained until now stays; with no memory left, begin again with a smaller "
                "--batch-size",
            ) from err

    def state(self) -> RunState:
        """Everything there is, as it is now; tensors are not copied."""
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        return RunState(
            progress=self.progress,
            edits=tuple(self.edits),
            weights=weights_of(self.model),
            groups=[[names[id(one)] for one in group["params"]] for group in self.optimizer.param_groups],
            optimizer=self.optimizer.state_dict(),
            order=self.order.state(),
            random=generators_now(),
        )

    def restore(self, state: RunState) -> None:
        """Go on from `state`: the model is made anew and its edits done again, then all contents put in."""
        model = self._new_model()
        replay(model, state.edits, example_inputs=self.example, allow="lossy")
        held = weights_of(model)
        if held.keys() != state.weights.keys():
            raise OutgrowError(
                f"{min(held.keys() ^ state.weights.keys())!r} is only in the model or only in the checkpoint",
                hint="was the model's script changed? Go on with the one that the run began with",
            )
        with torch.no_grad():
            for name, tensor in held.items():
                tensor.copy_(state.weights[name])
        parameters = dict(model.named_parameters())
        groups = [{"params": [parameters[name] for name in names]} for names in state.groups]
        self.optimizer = torch.optim.Adam(groups, lr=self.configuration.learning_rate)
        self.optimizer.load_state_dict(state.optimizer)
        self.model, self.edits, self.progress = model, list(state.edits), state.progress
        self.order.restore(state.order)
        self.cost = self.measure()
        put_generators_back(state.random)

    def _new_model(self) -> nn.Module:
        model = make_model(
            self.configuration.model,
            shape=self.pictures.shape,
            classes=self.pictures.classes,
            seed=self.configuration.seed,
        )
        return model.to(self.device)


def judge(model: nn.Module, split: Split, device: torch.device) -> tuple[float, float]:
    """Mean cross entropy in nats and accuracy from 0 to 1, in eval mode; the mode is put back.

    Raises:
        LossNotFinite: the cross entropy is.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    loss, right = 0.0, 0
    try:
        with torch.no_grad():
            for start in range(0, len(split), _EVALUATED_AT_ONCE):
                batch = batch_at(split, slice(start, start + _EVALUATED_AT_ONCE)).to(device)
                logits = batch.inputs.call(model)
                loss += float(nn.functional.cross_entropy(logits, batch.target, reduction="sum"))  # type: ignore[arg-type]
                right += int((logits.argmax(1) == batch.target).sum())
    finally:
        for module, mode in modes:
            module.training = mode
    if not math.isfinite(loss):
        raise LossNotFinite(f"the loss on held-out pictures is {loss}", hint=_SLOWER)
    return loss / len(split), right / len(split)
