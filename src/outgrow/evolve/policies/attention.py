"""The learned policy: a network that was trained offline, on tiny runs of which every outcome is known."""

__all__ = ["AttentionPolicy"]

import time
from collections.abc import Sequence
from pathlib import Path

import torch

from outgrow.errors import InputError
from outgrow.evolve.batches import Batch
from outgrow.evolve.measures.cost import measure_cost
from outgrow.evolve.operators import OPERATORS as BUILT
from outgrow.evolve.policies.attention_figures import LayerFigures, layer_figures
from outgrow.evolve.policies.attention_file import SHIPPED, load_network
from outgrow.evolve.policies.attention_network import AttentionPolicyNetwork
from outgrow.evolve.policies.attention_state import OPERATORS, RunFigures, encode
from outgrow.evolve.policies.candidates import find_candidates
from outgrow.evolve.policies.policy import Candidate, Decision, Situation
from outgrow.evolve.transactions.undisturbed import undisturbed

_SHARES = {"widen": 1.0, "prune": 0.5}
"""A layer is doubled or halved: that is what the network has seen the outcome of."""
_MOST_SAMPLES = 1e9


class AttentionPolicy:
    """Asks the network what each change is worth from here to the end of the budget, and takes the best.

    Deciding costs one forward and backward pass of a batch and the validation batches: no forks. It changes a
    model only where the network puts the change above doing nothing.
    """

    def __init__(
        self, network: AttentionPolicyNetwork | None = None, *, operators: Sequence[str] = OPERATORS
    ) -> None:
        """Make a policy.

        Args:
            network: one over layers; None for the one that comes with outgrow.
            operators: those that may be chosen.

        Raises:
            InputError: the network was not trained for an operator.
            PolicyFileInvalid: the shipped file is damaged.
        """
        if unknown := [name for name in operators if name not in OPERATORS]:
            raise InputError(
                f"the network was not trained for {unknown[0]!r}", hint=f"it knows {', '.join(OPERATORS)}"
            )
        self.network = load_network() if network is None else network
        self.operators = tuple(name for name in operators if name in BUILT)

    @classmethod
    def load(cls, path: Path = SHIPPED) -> "AttentionPolicy":
        """A policy from a file that `save_network` wrote.

        Raises:
            PolicyFileInvalid: it is no such file, or of another version.
        """
        return cls(load_network(path))

    def decide(self, situation: Situation) -> Decision:
        """Choose a change, or none; a tie is none.

        Raises:
            InputError: there is no batch of training or validation data.
        """
        began = time.perf_counter()
        if not situation.training or not situation.validation:
            raise InputError(
                "the learned policy looks at a training batch and at validation batches",
                hint="give the situation both",
            )
        layers = layer_figures(situation.model, situation.training[0], situation.objective)
        candidates = self._candidates(situation, layers)
        cost = measure_cost(situation.model, situation.inputs)
        run = self._run(situation, cost.training_flops)
        state = encode(layers, run, list(candidates)).to(self.network.value.weight.device)
        with torch.no_grad():
            scores, value = self.network(state.run, state.layers, mask=state.mask)
        chosen = int(scores.argmax())
        index, operator = divmod(chosen - 1, len(OPERATORS))
        candidate = candidates[OPERATORS[operator], layers[index].name] if chosen else None
        gain = float(scores[chosen] - scores[0])
        looked = sum(batch.size for batch in situation.validation) + situation.training[0].size
        return Decision(
            candidate=candidate,
            reason=self._reason(candidate, gain, len(candidates)),
            evidence={
                "policy": "attention",
                "validation": run.validation,
                "train": run.train,
                "value": float(value),
                "scores": {
                    "none": float(scores[0]),
                    **{
                        one.label: float(scores[self._index(layers, name, layer)])
                        for (name, layer), one in candidates.items()
                    },
                },
            },
            flops=looked * cost.flops + 2 * situation.training[0].size * cost.training_flops,
            seconds=time.perf_counter() - began,
        )

    def _candidates(
        self, situation: Situation, layers: Sequence[LayerFigures]
    ) -> dict[tuple[str, str], Candidate]:
        """What can be done, by operator and layer; the site of a layer that the network sees."""
        known = {layer.name for layer in layers if not layer.is_frozen}
        found = {}
        for operator in self.operators:
            share = _SHARES.get(operator, 1.0)
            for one in find_candidates(situation, operators=(operator,), share=share):
                if one.site in known:
                    found[operator, one.site] = one
        return found

    def _run(self, situation: Situation, training_flops: float) -> RunFigures:
        validation = _loss(situation, situation.validation)
        before = [one.evidence["validation"] for one in situation.history if "validation" in one.evidence]
        left = situation.budget.left / max(1.0, training_flops)
        return RunFigures(
            progress=situation.budget.share,
            samples_left=min(left, _MOST_SAMPLES),
            validation=validation,
            previous=float(before[-1]) if before else validation,
            train=_loss(situation, situation.training[:1]),
        )

    @staticmethod
    def _index(layers: Sequence[LayerFigures], operator: str, layer: str) -> int:
        names = [one.name for one in layers]
        return 1 + names.index(layer) * len(OPERATORS) + OPERATORS.index(operator)

    @staticmethod
    def _reason(candidate: Candidate | None, gain: float, count: int) -> str:
        if candidate is None:
            return f"the network puts none of {count} changes above doing nothing"
        return f"the network expects {gain:.1%} less loss at the end than without it, best of {count} changes"


def _loss(situation: Situation, batches: Sequence[Batch]) -> float:
    """Mean loss over samples, in eval mode; the model is left as it was."""
    total = samples = 0.0
    with undisturbed(situation.model), torch.no_grad():
        situation.model.eval()
        for batch in batches:
            total += float(situation.objective(situation.model, batch)) * batch.size
            samples += batch.size
    return total / samples
