"""`Trainer`: an ordinary training loop that lets the architecture change between epochs."""

__all__ = ["Trainer"]

import itertools
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from outgrow.errors import InputError
from outgrow.evolve.batches import Batch, Objective, batches_of, inputs_for, own_loss, with_loss
from outgrow.evolve.edits.edit import Edit
from outgrow.evolve.example_inputs import ExampleInputs
from outgrow.evolve.interface.dynamic_architecture import DynamicArchitecture
from outgrow.evolve.interface.figures import accuracy
from outgrow.evolve.interface.neuro_exapt import NeuroExapt
from outgrow.evolve.interface.training_checkpoint import TrainingCheckpoint

_MINI_BATCHES = 10
"""Batches that a change is tried on."""


class Trainer:
    """Trains a model and tries a change of its architecture every `evolution_frequency` epochs.

    Args:
        model: the model; the same object is trained, under its own class and names.
        neuro_exapt: measures and operators; a default one where left out.
        optimizer: AdamW with a learning rate of 1e-3 where left out. It follows every change.
        scheduler: stepped after every epoch; `ReduceLROnPlateau` with the validation loss.
        info_weight: weight of the information loss that is added to the task's; 0 for none.
        entropy_threshold: as `NeuroExapt(entropy_weight=...)`.
        evolution_frequency: epochs between two tries.
        device: where the model is trained; None leaves it where it is.
        verbose: whether progress is told through the logger `outgrow.evolve`.
        seed: of everything that the changes draw.
    """

    def __init__(
        self,
        model: nn.Module,
        neuro_exapt: NeuroExapt | None = None,
        optimizer: torch.optim.Optimizer | None = None,
        scheduler: Any = None,
        info_weight: float = 0.0,
        entropy_threshold: float = 0.3,
        evolution_frequency: int = 10,
        device: torch.device | str | None = None,
        verbose: bool = True,
        *,
        seed: int = 0,
    ) -> None:
        if evolution_frequency < 1:
            raise InputError(
                f"evolution_frequency is {evolution_frequency}", hint="give a number of epochs, 1 or more"
            )
        self.neuro_exapt = neuro_exapt or NeuroExapt(
            entropy_weight=entropy_threshold, info_weight=info_weight, device=device, verbose=verbose
        )
        self.wrapped_model = self.neuro_exapt.wrap_model(model)
        self.optimizer = optimizer or torch.optim.AdamW(
            self.wrapped_model.parameters(), lr=1e-3, weight_decay=1e-4
        )
        self.neuro_exapt.optimizer = self.optimizer
        self.scheduler, self.evolution_frequency, self.verbose = scheduler, evolution_frequency, verbose
        self.current_epoch = 0
        self.best_accuracy, self.best_loss = 0.0, float("inf")
        self.training_history: dict[str, list[float]] = {}
        self.evolution_events: list[dict[str, Any]] = []
        self.edits: list[Edit] = []
        self.dynarch = DynamicArchitecture(
            self.wrapped_model,
            self.neuro_exapt.struct_optimizer,
            self.neuro_exapt.info_theory,
            optimizer=self.optimizer,
            scheduler=scheduler,
            seed=seed,
        )
        self.device = self.dynarch.device
        self._inputs: ExampleInputs | None = None

    def fit(
        self,
        train_loader: Iterable[Any],
        val_loader: Iterable[Any] | None = None,
        epochs: int = 100,
        loss_fn: Callable[[Any, Any], Tensor] | None = None,
        eval_metric: str = "accuracy",
        early_stopping_patience: int = 20,
        save_best: bool = True,
        save_path: str | Path | None = None,
    ) -> dict[str, list[float]]:
        """Train; gives a list of figures, one an epoch, by name.

        Loaders give tuples, dicts or Hugging Face batches. Changes are tried on validation batches where
        there are any: a test split has no place here.

        Raises:
            InputError: a loader gives nothing or something of an unknown form, or the loss is not finite.
        """
        if eval_metric not in ("accuracy", "loss"):
            raise InputError(f"eval_metric is {eval_metric!r}", hint="it is 'accuracy' or 'loss'")
        objective: Objective = own_loss if loss_fn is None else with_loss(loss_fn)
        self.dynarch.objective = objective
        patience, best = 0, float("-inf")
        for epoch in range(self.current_epoch, epochs):
            self.current_epoch = epoch
            self.neuro_exapt.update_epoch(epoch, epochs)
            figures = self._train_epoch(train_loader, objective)
            if val_loader is not None:
                figures |= self._validate_epoch(val_loader, objective)
            if epoch > 0 and epoch % self.evolution_frequency == 0:
                self._evolve_structure(val_loader if val_loader is not None else train_loader)
            figures["params"] = float(sum(one.numel() for one in self.wrapped_model.parameters()))
            for name, value in figures.items():
                self.training_history.setdefault(name, []).append(value)
            self._step_scheduler(figures)
            self._tell(f"epoch {epoch}: " + ", ".join(f"{name} {one:.4g}" for name, one in figures.items()))
            current = figures.get(f"val_{eval_metric}", figures[eval_metric])
            self.current_epoch = epoch + 1
            score = current if eval_metric == "accuracy" else -current
            if score > best:
                best, patience = score, 0
                self.best_accuracy = max(self.best_accuracy, figures.get("val_accuracy", figures["accuracy"]))
                self.best_loss = min(self.best_loss, figures.get("val_loss", figures["loss"]))
                if save_best and save_path is not None:
                    self._save_checkpoint(save_path)
            else:
                patience += 1
            if patience >= early_stopping_patience:
                self._tell(f"no better {eval_metric} for {patience} epochs: stopped")
                break
        return {name: list(values) for name, values in self.training_history.items()}

    def load_checkpoint(self, load_path: str | Path) -> dict[str, Any]:
        """Take up a training where a checkpoint left it; gives its epoch and figures.

        The trainer's model is the one that the training began with: the changes are made again.

        Raises:
            StoreError: the file is damaged or of another version.
            InputError: it belongs to another model.
        """
        checkpoint = TrainingCheckpoint.read(load_path)
        self.edits = checkpoint.restore(self.wrapped_model, self.optimizer, self.scheduler)
        self.current_epoch = checkpoint.epoch
        self.training_history = {name: list(values) for name, values in checkpoint.history.items()}
        return {"epoch": checkpoint.epoch, "history": self.training_history}

    def analyze_model(self, dataloader: Iterable[Any]) -> dict[str, Any]:
        """As `NeuroExapt.analyze_model`."""
        return self.neuro_exapt.analyze_model(dataloader)

    def get_model_summary(self) -> dict[str, Any]:
        """Parameters, and what the evolution did to them."""
        parameters = list(self.wrapped_model.parameters())
        return {
            "total_parameters": sum(one.numel() for one in parameters),
            "trainable_parameters": sum(one.numel() for one in parameters if one.requires_grad),
            "evolution": self.neuro_exapt.struct_optimizer.get_evolution_summary(),
            "edits": [json.loads(edit.to_json()) for edit in self.edits],
            "device": str(self.device),
        }

    def _train_epoch(self, loader: Iterable[Any], objective: Objective) -> dict[str, float]:
        self.wrapped_model.train()
        total, count, seen = 0.0, 0, list[Batch]()
        for batch in batches_of(loader, device=self.device):
            self._inputs = self._inputs or inputs_for(self.wrapped_model, batch)
            if len(seen) < _MINI_BATCHES:
                seen.append(batch)
            self.optimizer.zero_grad()
            loss = objective(self.wrapped_model, batch)
            if self.neuro_exapt.info_weight:
                loss = loss + self.neuro_exapt.info_weight * self._information(batch)
            if not loss.isfinite():
                raise InputError(
                    f"the loss became {loss.item()} in epoch {self.current_epoch}, batch {count}",
                    hint="lower the learning rate; nothing was written over the last checkpoint",
                )
            torch.autograd.backward(loss)
            self.optimizer.step()
            total += float(loss.detach())
            count += 1
        self.wrapped_model.eval()
        return {"loss": total / count, "accuracy": accuracy(self.wrapped_model, seen)}

    def _validate_epoch(self, loader: Iterable[Any], objective: Objective) -> dict[str, float]:
        self.wrapped_model.eval()
        batches = list(batches_of(loader, device=self.device))
        with torch.no_grad():
            losses = [float(objective(self.wrapped_model, batch)) for batch in batches]
        return {
            "val_loss": sum(losses) / len(losses),
            "val_accuracy": accuracy(self.wrapped_model, batches),
        }

    def _information(self, batch: Batch) -> Tensor:
        output = inputs_for(self.wrapped_model, batch).call(self.wrapped_model)
        if not isinstance(output, Tensor) or batch.target is None:
            raise InputError(
                "info_weight needs a model that gives logits and batches with a target",
                hint="leave info_weight at 0",
            )
        return self.neuro_exapt.info_theory.compute_information_loss(output, batch.target)

    def _evolve_structure(self, loader: Iterable[Any]) -> None:
        mini = list(itertools.islice(loader, _MINI_BATCHES))
        state = self.dynarch.get_state(self.dynarch.evaluate(mini))
        action = self.dynarch.select_action(state)
        is_kept, info = self.dynarch.apply_tentative(action, state, mini)
        if is_kept:
            self.edits.append(info["action_info"]["edit"])
        event = {"epoch": self.current_epoch, "action": action, "is_kept": is_kept, **info}
        self.evolution_events.append(event)
        self._tell(f"tried {info['action']}: {'kept' if is_kept else info.get('error') or info['reason']}")

    def _step_scheduler(self, figures: dict[str, float]) -> None:
        if self.scheduler is None:
            return
        if isinstance(self.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
            self.scheduler.step(figures.get("val_loss", figures["loss"]))
        else:
            self.scheduler.step()

    def _save_checkpoint(self, save_path: str | Path) -> None:
        assert self._inputs is not None, "a checkpoint is taken after an epoch"
        TrainingCheckpoint.take(
            self.wrapped_model,
            self.optimizer,
            self.scheduler,
            edits=self.edits,
            epoch=self.current_epoch,
            history=self.training_history,
            inputs={"args": list(self._inputs.args), "kwargs": dict(self._inputs.kwargs)},
        ).write(save_path)

    def _tell(self, text: str) -> None:
        if self.verbose:
            logging.getLogger("outgrow.evolve").info(text)
