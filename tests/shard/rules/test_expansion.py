"""An expanded segment gives what the given one gives, and says which number and which step is which."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from outgrow.shard.instructions import Segment, Step
from outgrow.shard.ranks.kernels import template_kernel
from outgrow.shard.rules.expansion import expand_segment, parts_of
from outgrow.shard.rules.verify import Sample, sample_of


def _segment(samples: list[Sample]) -> tuple[Segment, list[Tensor], list[float]]:
    """One step for each sample, all inputs given to the segment."""
    templates, steps, inputs, floats = [], [], [], []
    for sample in samples:
        refs = tuple(-1 - len(inputs) - place for place in range(len(sample.inputs)))
        steps.append(Step(len(templates), refs, len(sample.template.outputs), len(sample.floats)))
        templates.append(sample.template)
        inputs.extend(sample.inputs)
        floats.extend(sample.floats)
    metas = tuple(meta for sample in samples for meta in sample.template.inputs)
    return Segment(templates=tuple(templates), steps=tuple(steps), inputs=metas), inputs, floats


def _run(segment: Segment, inputs: list[Tensor], floats: list[float]) -> list[Tensor]:
    made: list[Tensor] = []
    at = 0
    for step in segment.steps:
        template = segment.templates[step.template]
        own = [(made[ref] if ref >= 0 else inputs[-1 - ref]).clone() for ref in step.inputs]
        assert [tuple(one.shape) for one in own] == [meta.shape for meta in template.inputs]
        results = template_kernel(template, torch.device("cpu"))(own, floats[at : at + step.floats])
        assert [tuple(one.shape) for one in results] == [meta.shape for meta in template.outputs]
        assert len(results) == step.outputs
        at += step.floats
        made.extend(results)
    assert at == len(floats)
    return made


def _check(*samples: Sample) -> Segment:
    segment, inputs, floats = _segment(list(samples))
    expected = _run(segment, inputs, floats)
    expansion = expand_segment(segment)
    made = _run(expansion.segment, inputs, [floats[place] for place in expansion.floats])
    assert len(expansion.origin) == len(expansion.segment.steps)
    assert list(expansion.origin) == sorted(expansion.origin)
    assert len(expansion.values) == len(expected)
    for number, whole in zip(expansion.values, expected, strict=True):
        torch.testing.assert_close(made[number], whole, equal_nan=True)
    assert expand_segment(segment) == expansion
    return expansion.segment


def _r(*shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64)


def _pair() -> list[Tensor]:
    return [_r(4, 3), _r(5)]


def _count(segment: Segment) -> int:
    return len(segment.steps)


LISTS: dict[str, Callable[[], Sample]] = {
    "scalar": lambda: sample_of("aten._foreach_add_.Scalar", _pair(), 2.5),
    "int": lambda: sample_of("aten._foreach_add_.Scalar", _pair(), 1),
    "list": lambda: sample_of("aten._foreach_add.List", _pair(), _pair(), alpha=3.0),
    "scalars": lambda: sample_of("aten._foreach_addcdiv_.ScalarList", _pair(), _pair(), _pair(), [0.5, 2.5]),
    "shared tensor": lambda: sample_of("aten._foreach_mul_.Tensor", _pair(), _r()),
    "fresh": lambda: sample_of("aten._foreach_sqrt.default", _pair()),
    "norms": lambda: sample_of("aten._foreach_norm.Scalar", _pair(), 2),
    "adam": lambda: sample_of(
        "aten._fused_adamw_.default", _pair(), _pair(), _pair(), _pair(), [], [_r() + 1, _r() + 2],
        lr=0.1, beta1=0.9, beta2=0.99, weight_decay=0.1, eps=1e-8, amsgrad=False, maximize=False,
    ),
    "sgd": lambda: sample_of(
        "aten._fused_sgd_.default", _pair(), _pair(), _pair(),
        weight_decay=0.1, momentum=0.9, lr=0.1, dampening=0.0,
        nesterov=False, maximize=False, is_first_step=False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_an_op_on_lists_becomes_one_a_tensor(name: str) -> None:
    before, after = sample_of("aten.mul.Tensor", _r(3), 2.0), sample_of("aten.add.Tensor", _r(3), 3.0)
    segment = _check(before, LISTS[name](), after)
    assert _count(segment) == 4
    metas = [template.inputs[0].shape for template in segment.templates[1:3]]
    assert len(set(metas)) == 2


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("zeros_like", ()),
        ("full_like", (2.5,)),
        ("new_full", ([2, 3], 1.5)),
        ("zero_", ()),
        ("fill_.Scalar", (3.5,)),
        ("new_zeros", ([7],)),
    ],
    ids=lambda value: value if type(value) is str else "",
)
def test_what_needs_only_a_shape_loses_its_input(op: str, args: tuple) -> None:
    name = f"aten.{op}" if "." in op else f"aten.{op}.default"
    segment = _check(sample_of(name, _r(4, 3), *args))
    assert [step.inputs for step in segment.steps] == [()]


STAYS: dict[str, Callable[[], Sample]] = {
    "filled with what a tensor holds": lambda: sample_of("aten.fill_.Tensor", _r(4, 3), _r()),
    "numbers of all in one tensor": lambda: sample_of(
        "aten._foreach_addcdiv.Tensor", _pair(), _pair(), _pair(), torch.tensor([0.5, 2.5])
    ),
    "a sum over targets": lambda: sample_of(
        "aten.nll_loss_forward.default", _r(4, 3), torch.tensor([1, 0, 1, 2]), None, 2, -100
    ),
    "no norm at all": lambda: sample_of("aten.linalg_vector_norm.default", _r(4, 3), 1),
}


@pytest.mark.parametrize("name", STAYS)
def test_what_is_one_op_already_stays_as_it_is(name: str) -> None:
    sample = STAYS[name]()
    segment = _check(sample)
    assert [template.op for template in segment.templates] == [sample.template.op]
    assert [step.inputs for step in segment.steps] == [tuple(range(-1, -1 - len(sample.inputs), -1))]


def test_a_copy_forgets_what_it_overwrites() -> None:
    segment = _check(sample_of("aten.copy_.default", _r(4, 3), _r(4, 3)))
    assert [step.inputs for step in segment.steps] == [(-2,)]
    segment = _check(sample_of("aten.copy_.default", _r(4, 3), _r(4, 3).float()))
    assert segment.steps[0].inputs == (-2,)
    segment = _check(sample_of("aten.copy_.default", _r(4, 3), _r(1, 3)))
    assert segment.steps[0].inputs == (-1, -2)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [-100, 1])
def test_a_mean_over_targets_is_a_sum_and_a_weight(weighted: bool, ignored: int) -> None:
    target = torch.tensor([1, 0, 1, 2])
    weight = _r(3) if weighted else None
    segment = _check(sample_of("aten.nll_loss_forward.default", _r(4, 3), target, weight, 1, ignored))
    assert [template.op for template in segment.templates] == [
        "aten.nll_loss_forward.default",
        "aten.div.Tensor",
    ]
    everything = torch.full((4,), ignored)
    _check(sample_of("aten.nll_loss_forward.default", _r(4, 3), everything.clamp_min(1), None, 1, 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.complex64], ids=str)
@pytest.mark.parametrize("order", [2, 3])
def test_a_norm_is_the_root_of_a_sum(order: int, dtype: torch.dtype) -> None:
    tensor = (torch.randn(24, 7) * 100).to(dtype)
    segment = _check(sample_of("aten.linalg_vector_norm.default", tensor, order, [0], True))
    assert [template.op for template in segment.templates] == ["outgrow.power_sum", "outgrow.power_root"]
    assert _count(_check(sample_of("aten.linalg_vector_norm.default", tensor, 1))) == 1


def test_what_is_simple_stays_as_it_is() -> None:
    samples = sample_of("aten.mul.Tensor", _r(3), 2.0), sample_of("aten.mm.default", _r(2, 3), _r(3, 2))
    segment, _, _ = _segment(list(samples))
    assert expand_segment(segment).segment == segment
    assert expand_segment(segment).values == (0, 1)


def test_lists_of_unequal_use_stay_whole() -> None:
    scalars = torch.rand(2, dtype=torch.float64)
    sample = sample_of("aten._foreach_addcdiv_.Tensor", _pair(), _pair(), _pair(), scalars)
    assert len(parts_of(sample.template)) == 1
    _check(sample)
