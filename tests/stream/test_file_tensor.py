"""A FileTensor follows the operations of loading code: its bytes are those that a real tensor would have."""

import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from outgrow.stream import file_tensor
from outgrow.stream.file_tensor import FileTensor
from outgrow.stream.source import Segment, WeightSource


class Files:
    """Tensors in one file, each with a FileTensor of it."""

    def __init__(self, folder):
        self.path = folder / "weights.bin"
        self.end = 0
        self.path.write_bytes(b"")

    def add(self, tensor):
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
        with self.path.open("ab") as file:
            file.write(b"." + raw)
        runs = (Segment(path=self.path, offset=self.end + 1, nbytes=len(raw), begin=0),) if raw else ()
        self.end += 1 + len(raw)
        return FileTensor.of(
            WeightSource(name="", shape=tuple(tensor.shape), dtype=tensor.dtype, segments=runs)
        )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("files"))


def assert_same(followed, real):
    assert isinstance(followed, FileTensor)
    assert followed.refusal is None
    assert (followed.shape, followed.dtype) == (real.shape, real.dtype)
    assert torch.equal(followed.read(), real)


# What loading code does to one tensor, by the number of dims it needs.
UNARY = {
    "ellipsis": lambda x: x[...],
    "clone": lambda x: x.clone(),
    "detach": lambda x: x.detach(),
    "contiguous": lambda x: x.contiguous(),
    "to cpu": lambda x: x.to("cpu", copy=True),
    "flat": lambda x: x.reshape(-1),
    "unflattened": lambda x: x.reshape(1, *x.shape),
    "unsqueeze": lambda x: x.unsqueeze(-1),
    "squeeze": lambda x: x.unsqueeze(0).squeeze(0),
    "squeeze all": lambda x: x.squeeze(),
    "reversed dims": lambda x: x.permute(tuple(reversed(range(x.dim())))),
    "transpose": lambda x: x.transpose(0, -1).contiguous() if x.dim() else x,
    "t": lambda x: x.t() if x.dim() < 3 else x.mT,
    "rows": lambda x: x[1:] if x.dim() else x,
    "last columns": lambda x: x[..., -2:] if x.dim() else x,
    "narrow": lambda x: x.narrow(0, 0, x.shape[0] // 2) if x.dim() else x,
    "select": lambda x: x[-1] if x.dim() and x.shape[0] else x,
    "stack": lambda x: torch.stack([x, x], dim=x.dim() // 2),
    "cat": lambda x: torch.cat([x, x], dim=-1) if x.dim() else x,
    "chunk": lambda x: x.chunk(2, dim=0)[0] if x.dim() else x,
    "split": lambda x: x.split([x.shape[-1] - x.shape[-1] // 2, x.shape[-1] // 2], -1)[1] if x.dim() else x,
    "unbind": lambda x: x.unbind(0)[0] if x.dim() and x.shape[0] else x,
    "no padding": lambda x: nn.functional.pad(x, (0, 0), "constant", 0) if x.dim() else x,
}


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("shape", [(6,), (4, 3), (1, 7), (2, 3, 5), (2, 2, 3, 2), (0, 3)], ids=str)
def test_operation_gives_the_bytes_of_the_real_one(files, name, shape):
    if name in ("select", "unbind") and shape[0] == 0:
        pytest.skip("nothing to select")
    real = torch.randn(shape)
    assert_same(UNARY[name](files.add(real)), UNARY[name](real))


@settings(deadline=None, max_examples=150)
@given(st.lists(st.integers(0, 5), max_size=3), st.lists(st.sampled_from(sorted(UNARY)), max_size=6))
def test_any_chain_of_operations_gives_the_bytes_of_the_real_one(files, shape, names):
    real = torch.arange(torch.Size(shape).numel(), dtype=torch.int16).reshape(shape)
    followed = files.add(real)
    for name in names:
        if real.numel() > 2000:
            break
        try:
            result = UNARY[name](real)
        except (RuntimeError, IndexError) as err:
            with pytest.raises(type(err)):
                UNARY[name](followed)
            break
        followed, real = UNARY[name](followed), result
    assert_same(followed, real)


def test_experts_are_merged_as_real_ones_are(files):
    # What transformers does for Mixtral: stack each projection's experts, then join the two along dim 1.
    gates, ups = [[torch.randn(3, 4).bfloat16() for _ in range(5)] for _ in range(2)]

    def merge(gates, ups):
        return torch.cat([torch.stack(gates), torch.stack(ups)], dim=1)

    merged = merge([files.add(one) for one in gates], [files.add(one) for one in ups])
    assert_same(merged, merge(gates, ups))
    assert len(merged.segments) == 10


def test_what_was_split_and_joined_again_is_one_run(files):
    fused = files.add(torch.randn(6, 4))
    again = torch.cat(fused.chunk(3))
    assert again.segments == fused.segments


def test_cast_keeps_the_stored_dtype(files):
    real = torch.randn(4, 3)
    cast = files.add(real).to("cpu", torch.bfloat16)
    assert_same(cast, real.bfloat16())
    assert cast.source("w").dtype == torch.float32


def test_second_cast_is_refused(files):
    # float32 to float16 to bfloat16 rounds twice.
    assert files.add(torch.randn(4)).half().bfloat16().refusal == "_to_copy"


@pytest.mark.parametrize(
    ("operate", "name"),
    [
        (lambda x: x + 1, "add"),
        (lambda x: x * torch.ones(3), "mul"),
        (lambda x: torch.cat([x, torch.zeros(1, 3)]), "cat"),
        (lambda x: torch.cat([x, x.half()]), "cat"),
        (lambda x: x[::2], "slice"),
        (lambda x: x.flip(0), "flip"),
        (lambda x: nn.functional.pad(x, (0, 1)), "constant_pad_nd"),
        (lambda x: torch.stack([x + 1, x * 2]).reshape(-1), "add"),
        (lambda x: (x + 1).to("cpu", torch.bfloat16), "add"),
    ],
    ids=["add", "mul", "with zeros", "dtypes", "step", "flip", "pad", "before", "after"],
)
def test_other_operations_are_refused_by_name(files, operate, name):
    result = operate(files.add(torch.randn(4, 3)))
    real = operate(torch.randn(4, 3))
    assert result.refusal == name
    assert (result.shape, result.dtype) == (real.shape, real.dtype)


def test_write_in_place_spoils_all_views_and_no_copies(files):
    whole = files.add(torch.randn(4, 3))
    copies, view = (whole.clone(), whole.to("cpu", copy=True)), whole.data
    whole.detach()[0].zero_()
    assert whole.refusal == view.refusal == "zero_"
    assert [copy.refusal for copy in copies] == [None, None]


def test_scattered_weight_is_refused_unless_its_runs_are_long(files, monkeypatch):
    monkeypatch.setattr(file_tensor, "MAX_SEGMENTS", 8)
    monkeypatch.setattr(file_tensor, "LONG_SEGMENT_BYTES", 64)
    assert files.add(torch.randn(3, 3)).t().refusal == "t"
    assert files.add(torch.randn(2, 3)).t().refusal is None
    assert torch.cat([files.add(torch.randn(5, 3))] * 2, 1).refusal == "cat"
    assert torch.cat([files.add(torch.randn(5, 16))] * 2, 1).refusal is None
    assert files.add(torch.randn(9, 3))[:, 1:].refusal == "slice"
    assert files.add(torch.randn(9, 3)).chunk(3, 1)[0].refusal == "split"


def test_shapes_that_do_not_fit_raise_torch_s_own_error(files):
    with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
        torch.cat([files.add(torch.randn(2, 3)), files.add(torch.randn(2, 4))])
    with pytest.raises(RuntimeError, match="invalid for input of size"):
        files.add(torch.randn(6)).reshape(4)


@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3000, 999)], ids=str)
def test_equal_compares_values_piece_by_piece(files, shape):
    real = torch.randn(shape)
    one, other = files.add(real), files.add(real)
    assert torch.equal(one, other)
    assert torch.equal(one, one)
    assert not torch.equal(one, real)
    if real.numel():
        changed = real.clone()
        changed.view(-1)[-1] += 1
        assert not torch.equal(one, files.add(changed))
        assert not torch.equal(one, one + 1)
        assert not torch.equal(one, one.half())
    assert not torch.equal(one, files.add(torch.randn(2, 2, 2)))


def test_parameter_of_it_is_a_parameter(files):
    parameter = nn.Parameter(files.add(torch.randn(4, 3)), requires_grad=True)
    assert isinstance(parameter, nn.Parameter)
    assert parameter.requires_grad
    assert isinstance(parameter, FileTensor)
    module = nn.Linear(3, 4)
    module.weight = parameter
    assert module.weight is parameter
    assert parameter.device.type == "cpu"


def test_nothing_is_read_or_allocated(tmp_path):
    # A terabyte in a file that is not there.
    run = Segment(path=tmp_path / "none", offset=0, nbytes=2**40, begin=0)
    huge = FileTensor.of(WeightSource(name="w", shape=(2**20, 2**19), dtype=torch.bfloat16, segments=(run,)))
    merged = torch.stack([huge.to("cpu", torch.float32)] * 3).chunk(2, dim=1)[0]
    assert merged.shape == (3, 2**19, 2**19)
    assert len(merged.segments) == 3


def test_follows_in_other_threads_too(files):
    results = []
    real = torch.randn(4, 3)
    weight = files.add(real)
    thread = threading.Thread(target=lambda: results.append(weight.to("cpu", torch.float64)[1:]))
    thread.start()
    thread.join()
    assert_same(results[0], real.double()[1:])


def test_repr_has_no_values(files):
    weight = files.add(torch.randn(4, 3))
    assert repr(weight) == "FileTensor([4, 3], torch.float32, stored torch.float32, 1 segments)"
    assert "add" in repr(weight + 1)
