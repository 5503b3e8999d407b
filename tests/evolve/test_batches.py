import collections

import pytest
import torch
from torch import nn

from outgrow.errors import InputError
from outgrow.evolve.batches import (
    EmptyLoader,
    UnknownBatch,
    batches_of,
    own_loss,
    read_batch,
    with_loss,
)

PICTURES = torch.randn(4, 3)
LABELS = torch.tensor([0, 1, 2, 1])


class Classifier(nn.Module):
    """Takes its input by keyword and gives a mapping, as Hugging Face models do."""

    def __init__(self, *, takes_labels: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.takes_labels = takes_labels
        if takes_labels:
            self.forward = self.with_labels

    def forward(self, pixels):
        return {"logits": self.linear(pixels)}

    def with_labels(self, pixels, labels=None):
        logits = self.linear(pixels)
        loss = None if labels is None else nn.functional.cross_entropy(logits, labels) + 10
        return {"loss": loss, "logits": logits}


@pytest.mark.parametrize("form", [tuple, list])
def test_pairs(form):
    batch = read_batch(form([PICTURES, LABELS]))
    assert batch.inputs.args[0] is PICTURES
    assert batch.target is LABELS
    assert batch.size == 4


def test_dict_with_labels_keeps_them_as_an_argument():
    batch = read_batch({"pixels": PICTURES, "labels": LABELS})
    assert set(batch.inputs.kwargs) == {"pixels", "labels"}
    assert batch.target is LABELS


@pytest.mark.parametrize("name", ["label", "target", "targets", "y"])
def test_dict_with_another_target_loses_it(name):
    batch = read_batch({"pixels": PICTURES, name: LABELS})
    assert set(batch.inputs.kwargs) == {"pixels"}
    assert batch.target is LABELS


def test_dict_and_target_beside_it():
    batch = read_batch(({"pixels": PICTURES}, LABELS))
    assert batch.inputs.kwargs["pixels"] is PICTURES
    assert batch.target is LABELS


def test_mappings_that_are_no_dicts():
    batch = read_batch(collections.UserDict({"pixels": PICTURES, "labels": LABELS}))
    assert batch.target is LABELS


@pytest.mark.parametrize("given", [PICTURES, [PICTURES], (PICTURES,)], ids=["tensor", "list", "tuple"])
def test_single_tensors_have_no_target(given):
    batch = read_batch(given)
    assert batch.inputs.args[0] is PICTURES
    assert batch.target is None


def test_what_is_read_is_read_again_unchanged():
    batch = read_batch((PICTURES, LABELS))
    assert read_batch(batch) is batch


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "gave a int"),
        (None, "gave a NoneType"),
        ("text", "gave a str"),
        ((PICTURES, PICTURES, LABELS), "a tuple of 3 (a float32 tensor [4, 3] on cpu"),
        ((PICTURES, 3), "a tuple of 2 (a float32 tensor [4, 3] on cpu, a int)"),
        ({"text": ["a", "b"]}, "a dict of 1 ('text': a list of 2"),
        ((), "a tuple of 0"),
    ],
    ids=["int", "none", "text", "three", "number", "no tensor", "nothing"],
)
def test_unknown_formats_say_what_was_given_and_what_is_accepted(given, said):
    with pytest.raises(UnknownBatch) as error:
        read_batch(given)
    assert said in error.value.message
    assert "(inputs, target)" in error.value.hint


def test_empty_loaders_are_refused():
    with pytest.raises(EmptyLoader, match="no batch"):
        list(batches_of([]))
    used = iter([(PICTURES, LABELS)])
    assert len(list(batches_of(used))) == 1
    with pytest.raises(EmptyLoader, match="only once"):
        list(batches_of(used))
    assert list(batches_of([], count=0)) == []


def test_no_more_batches_are_drawn_than_asked_for():
    drawn = []

    def loader():
        for number in range(10):
            drawn.append(number)
            yield PICTURES, LABELS

    assert len(list(batches_of(loader(), count=3))) == 3
    assert drawn == [0, 1, 2]


def test_batches_move_with_all_they_hold():
    batch = read_batch(({"pixels": PICTURES, "extra": {"mask": [LABELS]}}, LABELS)).to("meta")
    assert batch.inputs.kwargs["pixels"].device.type == "meta"
    assert batch.inputs.kwargs["extra"]["mask"][0].device.type == "meta"
    assert batch.target.device.type == "meta"
    moved = next(batches_of([(PICTURES, LABELS)], device="cpu"))
    assert moved.inputs.args[0] is PICTURES


def test_own_loss_is_the_models_where_it_has_one():
    model = Classifier(takes_labels=True)
    loss = own_loss(model, read_batch({"pixels": PICTURES, "labels": LABELS}))
    assert loss > 9


def test_labels_are_not_given_to_a_model_that_takes_none():
    model = Classifier(takes_labels=False)
    loss = own_loss(model, read_batch({"pixels": PICTURES, "labels": LABELS}))
    assert loss.item() == pytest.approx(nn.functional.cross_entropy(model.linear(PICTURES), LABELS).item())


@pytest.mark.parametrize(
    ("logits", "target"),
    [((4, 3), (4,)), ((2, 5, 3), (2, 5)), ((2, 3, 5), (2, 5)), ((2, 3, 4, 5), (2, 4, 5))],
    ids=["classes", "tokens", "classes first", "pixels"],
)
def test_cross_entropy_of_every_layout(logits, target):
    values, labels = torch.randn(logits), torch.randint(3, target)
    classes = logits.index(3, 1)
    expected = nn.functional.cross_entropy(values.movedim(classes, -1).reshape(-1, 3), labels.flatten())
    assert own_loss(nn.Identity(), read_batch((values, labels))).item() == pytest.approx(expected.item())


def test_masked_tokens_are_passed_over():
    values, labels = torch.randn(2, 5, 3), torch.randint(3, (2, 5))
    masked = labels.clone()
    masked[:, 3:] = -100
    one = own_loss(nn.Identity(), read_batch((values, masked)))
    assert one.item() == pytest.approx(
        own_loss(nn.Identity(), read_batch((values[:, :3], labels[:, :3]))).item()
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (PICTURES, "no target"),
        ((PICTURES, PICTURES), "needs the indices of classes"),
        ((PICTURES, LABELS[:2]), "do not belong together"),
    ],
    ids=["no target", "numbers", "shapes"],
)
def test_what_has_no_cross_entropy_is_refused(given, said):
    with pytest.raises(InputError, match=said):
        own_loss(nn.Identity(), read_batch(given))


def test_losses_of_the_users_own():
    objective = with_loss(nn.MSELoss(reduction="none"))
    assert objective(nn.Identity(), read_batch((PICTURES, PICTURES + 2))).item() == pytest.approx(4)


@pytest.mark.parametrize("loader", [None, 3])
def test_what_is_no_loader_is_refused(loader):
    with pytest.raises(UnknownBatch, match="is no loader"):
        list(batches_of(loader))
