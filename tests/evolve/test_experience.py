import pytest
import torch

from outgrow.errors import InputError
from outgrow.evolve.policies.attention_state import AttentionState
from outgrow.evolve.policies.experience import Experience, ExperienceBuffer


def filled(count, capacity=10):
    buffer = ExperienceBuffer(capacity)
    for number in range(count):
        buffer.push(Experience(torch.tensor([float(number)]), number, 0.0, None, True))
    return buffer


def test_oldest_goes_first():
    buffer = filled(7, capacity=3)
    assert len(buffer) == 3
    assert [one.action for one in buffer] == [4, 5, 6]


def test_sample_has_no_doubles_and_a_seed_gives_it_again():
    buffer = filled(10)
    first = buffer.sample(6, generator=torch.Generator().manual_seed(3))
    again = buffer.sample(6, generator=torch.Generator().manual_seed(3))
    assert [one.action for one in first] == [one.action for one in again]
    assert len({one.action for one in first}) == 6


@pytest.mark.parametrize("count", [0, 4])
def test_sample_of_more_than_there_is_is_refused(count):
    with pytest.raises(InputError, match="of 3"):
        filled(3).sample(count)


def test_capacity_below_one_is_refused():
    with pytest.raises(InputError):
        ExperienceBuffer(0)


def test_kept_figures_are_copies_without_graph():
    state = torch.ones(2, requires_grad=True)
    buffer = ExperienceBuffer()
    buffer.add(state * 2, 0, 1.0, state, False)
    with torch.no_grad():
        state.zero_()
    (kept,) = buffer
    assert kept.next_state.tolist() == [1.0, 1.0]
    assert not kept.state.requires_grad


class _Elsewhere(torch.Tensor):
    """A tensor that says when it is copied to the CPU."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if func is torch.Tensor.to:
            assert args[1] == "cpu"
            return torch.zeros(1)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_buffer_is_on_the_cpu_when_the_model_is_not():
    state = torch.ones(1).as_subclass(_Elsewhere)
    whole = AttentionState(run=state, layers=state, mask=state, present=state)
    buffer = ExperienceBuffer()
    buffer.add(state, 0, 0.0, whole, False)
    (kept,) = buffer
    for tensor in (kept.state, kept.next_state.run, kept.next_state.layers, kept.next_state.mask):
        assert type(tensor) is torch.Tensor
        assert tensor.tolist() == [0.0]


@pytest.mark.gpu
def test_buffer_is_on_the_cpu_when_the_model_is_on_a_gpu():
    buffer = ExperienceBuffer()
    buffer.add(torch.ones(1, device="cuda"), 0, 0.0, None, True)
    assert next(iter(buffer)).state.device.type == "cpu"


def test_clear_forgets():
    buffer = filled(5, capacity=3)
    buffer.clear()
    assert len(buffer) == 0
    assert list(buffer) == []
