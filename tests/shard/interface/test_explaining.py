"""What was decided can be read, with the program's own names, and drawn."""

import xml.etree.ElementTree as ElementTree

import pytest
import torch

import outgrow.shard as gt
from outgrow.errors import InputError

pytestmark = pytest.mark.usefixtures("session")


@pytest.fixture
def trained():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(20000, 32), torch.nn.ReLU(), torch.nn.Linear(32, 4)).to(
        "workers"
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(5):
        optimizer.zero_grad()
        model(torch.randn(6, 20000).to("workers")).square().mean().backward()
        optimizer.step()
    return model, optimizer


def test_before_anything_repeats(tmp_path):
    gt.ones(2).sum().item()
    explanation = gt.explain()
    assert "Nothing has repeated yet" in str(explanation)
    assert explanation._repr_svg_() is None
    with pytest.raises(InputError, match="no step 0 among 0"):
        explanation.save(tmp_path / "plan.svg")


@pytest.mark.parametrize("workers", [3], indirect=True)
def test_inputs_have_the_names_of_modules_and_optimizers(trained):
    text = str(gt.explain(*trained))
    for name in ("0.weight", "2.bias", "momentum_buffer of 0.weight"):
        (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
        parameter = dict(trained[0].named_parameters())[name.rpartition(" of ")[2] or name]
        assert "x".join(map(str, parameter.shape)) in line
    assert "sent for each step" in text
    # Without names, places.
    assert "0.weight" not in str(gt.explain())


@pytest.mark.parametrize("workers", [3], indirect=True)
def test_the_picture_is_saved_with_names(trained, tmp_path):
    explanation = gt.explain(*trained)
    explanation.save(tmp_path / "plan.svg")
    drawn = (tmp_path / "plan.svg").read_text()
    ElementTree.fromstring(drawn)
    assert "0.weight" in drawn
    assert explanation._repr_svg_() == drawn
    with pytest.raises(InputError, match="cannot write"):
        explanation.save(tmp_path / "none" / "plan.svg")


def test_what_has_no_names_is_refused():
    with pytest.raises(InputError, match="list has no names"):
        gt.explain([1])
