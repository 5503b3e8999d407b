"""Models by name and from scripts."""

import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve import sites
from outgrow.evolve.run import MODELS
from outgrow.evolve.run.layers import LayerNumbers, layers_of
from outgrow.evolve.run.models import make_model


def made(name, seed=0):
    return make_model(name, shape=(1, 8, 8), classes=10, seed=seed)


@pytest.mark.parametrize("name", MODELS)
def test_models_by_name_take_any_picture_and_can_grow(name):
    model = made(name).eval()
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert len(sites(model, torch.zeros(2, 1, 8, 8))) >= 3


def test_the_seed_gives_the_weights_and_nothing_else_is_drawn_from():
    before = torch.get_rng_state()
    one, same, other = made("cnn"), made("cnn"), made("cnn", seed=1)
    assert torch.equal(one.conv1.weight, same.conv1.weight)
    assert not torch.equal(one.conv1.weight, other.conv1.weight)
    assert torch.equal(torch.get_rng_state(), before)


def script(folder, text):
    path = folder / "nets.py"
    path.write_text(f"from torch import nn\n{text}")
    return path


@pytest.mark.parametrize(
    "head",
    ["def make(channels, classes)", "def make(shape, classes, width=4)", "def make(**given)", "def make()"],
)
def test_a_factory_gets_what_it_asks_for(tmp_path, head):
    path = script(tmp_path, f"{head}:\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n")
    assert made(f"{path}:make")(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("resnt", "there is no model 'resnt'\n.*resnet"),
        ("{script}:nothing", "has no function 'nothing'"),
        ("gone.py:make", "no such script: 'gone.py'"),
        ("{script}:needy", "'needy' needs 'depth'"),
        ("{script}:number", "gave a int and not a torch.nn.Module"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, name, words):
    path = script(tmp_path, "def needy(depth): ...\ndef number(): return 1\n")
    with pytest.raises(InputError, match=words):
        made(name.format(script=path))


def test_layers_are_listed_with_their_widths():
    model = torch.nn.Sequential(
        torch.nn.Conv2d(4, 6, 3, groups=2),
        torch.nn.ConvTranspose2d(6, 4, 3, groups=2),
        torch.nn.BatchNorm2d(4),
        torch.nn.Linear(5, 7),
    )
    found = [(layer.name, layer.kind, layer.width) for layer in layers_of(model)]
    assert found == [("0", "Conv2d", 6), ("1", "ConvTranspose2d", 4), ("3", "Linear", 7)]


def test_layers_keep_their_numbers_when_their_names_move():
    first, last, new = (torch.nn.Linear(2, 2) for _ in range(3))
    numbers = LayerNumbers()
    before = numbers.entries(torch.nn.Sequential(first, last))
    after = numbers.entries(torch.nn.Sequential(first, new, last))
    assert [layer["number"] for layer in before] == [0, 1]
    assert [(layer["name"], layer["number"]) for layer in after] == [("0", 0), ("1", 2), ("2", 1)]
    again = LayerNumbers(after).entries(torch.nn.Sequential(first, new, last))
    assert again == after


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def make(channels):\n    raise ValueError('no such thing')\n", "ValueError: no such thing"),
        ("import no_such_module\n", "ModuleNotFoundError"),
        ("def make(:\n", "SyntaxError"),
    ],
)
def test_a_script_that_fails_is_to_blame_itself(tmp_path, text, words):
    script = tmp_path / "nets.py"
    script.write_text(text)
    with pytest.raises(InputError, match=words):
        make_model(f"{script}:make", shape=(1, 8, 8), classes=3, seed=0)
