"""Models opened by headers alone, beside those that were read."""

from collections import defaultdict

import torch
from torch import nn

from outgrow.stream.huggingface import OpenedModel
from outgrow.stream.source import WeightSource


def read_plainly(source: WeightSource) -> torch.Tensor:
    parts = []
    for segment in source.segments:
        assert sum(len(part) for part in parts) == segment.begin
        with segment.path.open("rb") as file:
            file.seek(segment.offset)
            parts.append(file.read(segment.nbytes))
    raw = b"".join(parts)
    if not raw:
        return torch.empty(source.shape, dtype=source.dtype)
    return torch.frombuffer(bytearray(raw), dtype=source.dtype).reshape(source.shape)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def ties(model: nn.Module) -> set[frozenset[str]]:
    names = defaultdict(set)
    for name, weight in model.named_parameters(remove_duplicate=False):
        names[id(weight)].add(name)
    return {frozenset(group) for group in names.values()}


def assert_same_as(peer: nn.Module, opened: OpenedModel) -> None:
    model = opened.model
    assert type(model) is type(peer)
    assert not any(module.training for module in model.modules())
    ours, theirs = dict(model.named_parameters()), dict(peer.named_parameters())
    assert list(ours) == list(theirs)
    assert ties(model) == ties(peer)
    assert set(opened.sources) == {name for name, weight in ours.items() if weight.is_meta}
    assert set(opened.computed) == {name for name, weight in ours.items() if not weight.is_meta}
    for name, weight in ours.items():
        assert type(weight) is nn.Parameter
        assert not weight.requires_grad
        assert (weight.shape, weight.dtype) == (theirs[name].shape, theirs[name].dtype), name
        if name in opened.computed:
            assert bits(weight) == bits(theirs[name]), name
        else:
            assert opened.sources[name].name == name
            assert bits(read_plainly(opened.sources[name]).to(weight.dtype)) == bits(theirs[name]), name
    ours, theirs = dict(model.named_buffers()), dict(peer.named_buffers())
    assert list(ours) == list(theirs)
    for name, buffer in ours.items():
        assert type(buffer) is torch.Tensor
        assert (buffer.device.type, buffer.dtype, buffer.shape) == (
            "cpu",
            theirs[name].dtype,
            theirs[name].shape,
        )
        assert bits(buffer) == bits(theirs[name]), name
    assert list(model.state_dict()) == list(peer.state_dict())
    assert model.config.to_dict() == peer.config.to_dict()
    assert model.config.name_or_path == peer.config.name_or_path
    assert model.name_or_path == peer.name_or_path
    if peer.can_generate():
        assert model.generation_config.to_dict() == peer.generation_config.to_dict()
