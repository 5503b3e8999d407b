"""Opens archives in a process that knows no class of theirs, and writes down what they give."""

import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from outgrow.evolve.archive import load
from outgrow.store import write_safetensors


def facts(model, given):
    """What a model gives: in eval mode, in train mode, and its weights after a step."""
    found = {}
    model.eval()
    with torch.no_grad():
        found["eval"] = first(model(**given))
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        torch.manual_seed(step)
        output = first(model(**given))
        found[f"train{step}"] = output.detach().clone()
        F.mse_loss(output, torch.zeros_like(output)).backward()
        optimizer.step()
        optimizer.zero_grad()
    found |= {f"after/{name}": tensor.detach() for name, tensor in model.state_dict().items()}
    model.eval()
    with torch.no_grad():
        found["trained"] = first(model(**given))
    return {name: tensor.contiguous().clone() for name, tensor in found.items()}


def first(output):
    return output if isinstance(output, torch.Tensor) else next(iter(output.values()))


def main(folder):
    for path in sorted(Path(folder).glob("*.archive")):
        given = {
            name.removeprefix("given."): tensor
            for name, tensor in torch.load(path.with_suffix(".inputs"), weights_only=True).items()
        }
        model = load(path)
        assert "transformers" not in sys.modules
        write_safetensors(path.with_suffix(".facts"), facts(model, given))


if __name__ == "__main__":
    main(sys.argv[1])
