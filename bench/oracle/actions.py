"""What a random program can do: ops, views, writes through them, placements, frees, training steps."""

__all__ = ["ACTIONS"]

import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def _unary(program: Any) -> None:
    index = program.pick()
    plain = program.pairs[index][0]
    dim = program.chance.randrange(plain.dim()) if plain.dim() else 0
    keep = program.chance.random() < 0.5
    shift = program.chance.randrange(-3, 4)
    ops: dict[str, Callable[[Tensor], Any]] = {
        "neg": lambda t: -t,
        "abs": lambda t: t.abs(),
        "relu": torch.relu,
        "clone": lambda t: t.clone(),
        "contiguous": lambda t: t.contiguous(),
        "mul scalar": lambda t: t * shift,
        "add float": lambda t: t + 2.0,
        "rsub": lambda t: 3 - t,
        f"sum {dim}": lambda t: t.sum(dim, keepdim=keep) if t.dim() else t.sum(),
        "sum": lambda t: t.sum(),
        f"amax {dim}": lambda t: t.amax(dim, keepdim=keep),
        f"max {dim}": lambda t: t.max(dim, keepdim=keep),
        f"min {dim}": lambda t: t.min(dim).values,
        f"argmax {dim}": lambda t: t.argmax(dim),
        f"cumsum {dim}": lambda t: t.cumsum(dim),
        f"flip {dim}": lambda t: t.flip(dim),
        f"roll {shift} {dim}": lambda t: t.roll(shift, dim),
        f"sort {dim}": lambda t: t.sort(dim, stable=True),
        f"topk {dim}": lambda t: t.topk(min(2, t.shape[dim]), dim).values if t.dim() else t,
        "clamp": lambda t: t.clamp(-4, 5),
        "greater": lambda t: (t > 0).to(t.dtype),
        "where": lambda t: torch.where(t > 1, t, 0),
        "tril": lambda t: t.tril(),
        "pad": lambda t: torch.nn.functional.pad(t, (1, 2)),
        "to float": lambda t: t.to(torch.float64),
        "to int": lambda t: t.to(torch.int64),
        "half of tanh": lambda t: (t.tanh() * 8).round(),
        "softmax": lambda t: (t.double().softmax(dim) * 1024).round() if t.dim() else t,
        "repeat": lambda t: t.repeat_interleave(2, dim) if t.dim() else t,
        "norm": lambda t: t.square().sum(),
        "any": lambda t: (t > 3).any(dim) if t.dim() else t > 3,
        "count": lambda t: torch.count_nonzero(t, dim) if t.dim() else t,
        "logical": lambda t: ~(t > 0),
        "nonzero": lambda t: t.nonzero(),
        "masked": lambda t: t[t > 2],
        "zeros_like": torch.zeros_like,
        "new_ones": lambda t: t.new_ones((3, 4)),
        "bernoulli": lambda t: torch.nn.functional.dropout(t.double(), 0.5),
        "rand_like": lambda t: (torch.rand_like(t.double()) * 8).round(),
    }
    name = program.chance.choice(sorted(ops))
    program.both(name, ops[name], index)


def _binary(program: Any) -> None:
    first = program.pick()
    shape = program.pairs[first][0].shape
    second = (
        program.pick(lambda other: _fits(other.shape, shape))
        if program.chance.random() < 0.9
        else program.pick()
    )
    ops: dict[str, Callable[..., Any]] = {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "maximum": torch.maximum,
        "minimum": torch.minimum,
        "add alpha": lambda a, b: torch.add(a, b, alpha=3),
        "where": lambda a, b: torch.where(a > b, a, b),
        "equal": lambda a, b: (a == b).to(torch.float64),
        "addcmul": lambda a, b: torch.addcmul(a, b, b, value=2.0),
        "lerp": lambda a, b: torch.lerp(a, b, 2.0),
        "stack": lambda a, b: torch.stack(torch.broadcast_tensors(a, b)),
        "foreach": lambda a, b: torch._foreach_add([a, b], [b, a], alpha=2),
    }
    name = program.chance.choice(sorted(ops))
    program.both(name, ops[name], first, second)


def _joined(program: Any) -> None:
    first = program.pick(lambda one: one.dim() > 0)
    if first is None:
        return
    one = program.pairs[first][0]
    dim = program.chance.randrange(one.dim())
    rest = [size for at, size in enumerate(one.shape) if at != dim]
    second = program.pick(
        lambda other: [s for at, s in enumerate(other.shape) if at != dim] == rest and other.dim()
    )
    if second is not None:
        program.both(f"cat {dim}", lambda a, b: torch.cat([a, b, a], dim), first, second)


def _product(program: Any) -> None:
    first = program.pick(lambda one: one.dim() >= 1 and one.dtype == torch.float64)
    if first is None:
        return
    inner = program.pairs[first][0].shape[-1]
    second = program.pick(
        lambda other: other.dtype == torch.float64 and other.dim() in (1, 2, 3) and inner in other.shape[-2:]
    )
    if second is None:
        return
    other = program.pairs[second][0]
    turned = other.dim() > 1 and other.shape[-2] != inner
    program.both(
        "matmul", lambda a, b: a.remainder(64) @ (b.mT if turned else b).remainder(64), first, second
    )


def view_of(program: Any, index: int) -> tuple[str, Callable[[Tensor], Any]]:
    """A view that torch can make of this tensor, with its text."""
    plain, chance = program.pairs[index][0], program.chance
    if not plain.dim():
        return "unsqueeze", lambda t: t.unsqueeze(0)
    dim = chance.randrange(plain.dim())
    size = plain.shape[dim]
    start = chance.randrange(size + 1)
    stop = chance.randrange(start, size + 1)
    step = chance.choice((1, 1, 1, 2, 3))
    at = chance.randrange(size) if size else 0
    order = list(range(plain.dim()))
    chance.shuffle(order)
    whole = (slice(None),) * dim
    ops: dict[str, Callable[[Tensor], Any]] = {
        f"[{start}:{stop}:{step}] of {dim}": lambda t: t[(*whole, slice(start, stop, step))],
        f"select {at} of {dim}": lambda t: t.select(dim, at),
        f"[..., {at}]": lambda t: t[..., at],
        f"permute {order}": lambda t: t.permute(order),
        f"transpose {dim}": lambda t: t.transpose(0, dim),
        f"unsqueeze {dim}": lambda t: t.unsqueeze(dim),
        "squeeze": lambda t: t.squeeze(),
        "flat": lambda t: t.view(-1),
        "reshape": lambda t: t.reshape(-1),
        f"flatten {dim}": lambda t: t.flatten(dim),
        "halves": lambda t: t.unflatten(dim, (2, -1)),
        f"chunk {dim}": lambda t: t.chunk(2, dim),
        f"split {dim}": lambda t: t.split(max(1, size // 2), dim),
        f"narrow {dim}": lambda t: t.narrow(dim, start, stop - start),
        "expand": lambda t: t.unsqueeze(0).expand(3, *t.shape),
        "diagonal": lambda t: t.diagonal(0, 0, -1),
        "unfold": lambda t: t.unfold(dim, min(2, size), 1),
        "T": lambda t: t.mT,
        "detach": lambda t: t.detach(),
        "view_as": lambda t: t.view(t.shape),
        f"unbind {dim}": lambda t: t.unbind(dim)[:2],
        "movedim": lambda t: t.movedim(0, -1),
    }
    name = chance.choice(sorted(ops))
    return name, ops[name]


def _view(program: Any) -> None:
    index = program.pick()
    name, do = view_of(program, index)
    program.both(f"view {name}", do, index)


def _write(program: Any) -> None:
    target = program.pick(_is_plain)
    if target is None:
        return
    chance = program.chance
    value = chance.randrange(-4, 5)
    ops: dict[str, Callable[[Tensor], Any]] = {
        "add_": lambda t: t.add_(value),
        "mul_": lambda t: t.mul_(2),
        "zero_": lambda t: t.zero_(),
        "fill_": lambda t: t.fill_(value),
        "neg_": lambda t: t.neg_(),
        "relu_": lambda t: t.relu_(),
        "clamp_": lambda t: t.clamp_(-3, 3),
        "masked_fill_": lambda t: t.masked_fill_(t > 2, value),
        "remainder_": lambda t: t.remainder_(5),
        "cumsum_": lambda t: t.cumsum_(0) if t.dim() else t,
        "random_": lambda t: t.random_(0, 9),
        "transpose_": lambda t: t.transpose_(0, -1) if t.dim() else t,
        "unsqueeze_": lambda t: t.unsqueeze_(0),
        "tril_": lambda t: t.tril_(),
        "set item": lambda t: t.__setitem__(0, value),
        "set last": lambda t: t.__setitem__((..., -1), value),
        "set mask": lambda t: t.__setitem__(t < 0, value),
        "add item": lambda t: t[:1].add_(value),
        "foreach_": lambda t: torch._foreach_mul_([t], 2.0),
        "sub self": lambda t: t.sub_(t.clone()),
        "add self": lambda t: t.add_(t),
        "copy flipped": lambda t: t.copy_(t.flip(0)) if t.dim() else t,
    }
    name = chance.choice(sorted(ops))
    program.both(f"write {name} {value}", ops[name], target, keep=False)


def _write_from(program: Any) -> None:
    target = program.pick(_is_plain)
    if target is None:
        return
    shape = program.pairs[target][0].shape
    source = program.pick(lambda other: _fits(other.shape, shape))
    if source is None:
        return
    name, cut = view_of(program, target)
    if name in ("unfold", "expand"):
        return
    ops: dict[str, Callable[..., Any]] = {
        "copy_": lambda a, b: a.copy_(b),
        "add_": lambda a, b: a.add_(b),
        "mul_": lambda a, b: a.mul_(b),
        "sub_ alpha": lambda a, b: a.sub_(b, alpha=2),
        "[:] =": lambda a, b: a.__setitem__(slice(None), b),
        "addcmul_": lambda a, b: a.addcmul_(b, b),
        "where into": lambda a, b: a.copy_(torch.where(a > b, a, b)),
        f"through {name}": lambda a, b: _first(cut(a)).copy_(_first(cut(b))),
        f"add through {name}": lambda a, b: _first(cut(a)).add_(_first(cut(b))),
    }
    which = program.chance.choice(sorted(ops))
    do = ops[which]
    one, other = (program.pairs[index][0] for index in (target, source))
    if one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr():
        # What is read while it is written is nobody's promise.
        program.both(f"write {which} of a copy", lambda a, b: do(a, b.clone()), target, source, keep=False)
    else:
        program.both(f"write {which}", do, target, source, keep=False)


def _indexed(program: Any) -> None:
    source = program.pick(lambda one: one.dim() > 0 and one.shape[0] > 0 and _is_plain(one))
    if source is None:
        return
    chance = program.chance
    plain = program.pairs[source][0]
    dim = chance.randrange(plain.dim())
    size = plain.shape[dim]
    if not size:
        return
    numbers = torch.tensor([chance.randrange(size) for _ in range(chance.choice((1, 3, 4, 8)))])
    distinct = torch.tensor(chance.sample(range(size), min(size, 3)))
    whole = (slice(None),) * dim
    ops: dict[str, Callable[[Tensor], Any]] = {
        "index": lambda t: t[(*whole, numbers.to(t.device))],
        "index_select": lambda t: t.index_select(dim, numbers.to(t.device)),
        "take_along": lambda t: torch.take_along_dim(t, t.argsort(dim, stable=True), dim),
        "gather": lambda t: t.gather(dim, t.argsort(dim, stable=True)),
        "index_add": lambda t: t.index_add(dim, distinct.to(t.device), t.narrow(dim, 0, len(distinct))),
        "index_add_": lambda t: t.index_add_(
            dim, numbers.to(t.device), t.index_select(dim, numbers.to(t.device))
        ),
        "index_fill_": lambda t: t.index_fill_(dim, distinct.to(t.device), 3),
        "index_copy_": lambda t: t.index_copy_(
            dim, distinct.to(t.device), t.narrow(dim, 0, len(distinct)) * 2
        ),
        "set index": lambda t: t.__setitem__((*whole, distinct.to(t.device)), -2),
        "put": lambda t: t.index_put_((numbers.to(t.device) * 0,), t[0].clone() * 0 + 1),
        "scatter_": lambda t: t.scatter_(dim, t.argsort(dim, stable=True), t.clone()),
        "scatter_add": lambda t: torch.zeros_like(t).scatter_add(dim, t.argsort(dim, stable=True), t),
        "one hot": lambda t: torch.nn.functional.one_hot(numbers.to(t.device), size),
        "embedding": lambda t: torch.nn.functional.embedding(
            numbers.to(t.device) % len(t), t.view(len(t), -1)
        ),
    }
    name = chance.choice(sorted(ops))
    keeps = not name.endswith("_") and name not in ("set index", "put")
    program.both(f"{name} {dim} {numbers.tolist()}", ops[name], source, keep=keeps)


def _place(program: Any) -> None:
    program.place(program.pick())


def _free(program: Any) -> None:
    program.written.append("free")
    program.pairs.pop(program.pick())


def _fetch(program: Any) -> None:
    index = program.pick()
    program.written.append(f"fetch {index}")
    program.check(index)


def _flush(program: Any) -> None:
    program.written.append("flush")
    program.workers.session.flush(ends_step=program.chance.random() < 0.5)


def _train(program: Any) -> None:
    """The same step several times: a parameter, a loss, backward, a write into the parameter."""
    data = program.pick(lambda one: one.dim() >= 2 and one.dtype == torch.float64 and 0 < one.numel() < 600)
    if data is None:
        return
    seed, times = program.chance.getrandbits(30), program.chance.choice((1, 2, 4, 8, 10))
    if program.chance.random() < 0.5:
        program.place(data)
    program.both(f"train {seed} {times} times", lambda t: _steps(program, t, seed, times), data)


def _steps(program: Any, data: Tensor, seed: int, times: int) -> Tensor:
    chance = random.Random(seed)
    rows, inner = data.shape[-2:]
    generator = torch.Generator().manual_seed(seed)
    width = chance.choice((4, 6, 8, 16))
    made = [
        torch.randint(-3, 4, (inner, width), generator=generator),
        torch.randint(-3, 4, (rows, width), generator=generator),
    ]
    weight, shift = [one.double().to(data.device).requires_grad_() for one in made]
    weight_of = [
        lambda w: w,
        lambda w: torch.cat([w[: inner // 2], w[inner // 2 :]]),
        lambda w: w.t().contiguous().t(),
        lambda w: w.view(-1).view(inner, width),
    ][chance.randrange(4)]
    activation = [torch.relu, lambda t: t, torch.abs, lambda t: t.clamp(-50, 50)][chance.randrange(4)]
    loss_of = [
        lambda t: t.sum(),
        lambda t: t[..., : width // 2].sum() + t[..., 0, :].sum(),
        lambda t: torch.sort(t, -1, stable=True).values[..., -1].sum(),
        lambda t: (t * t.detach().sign()).sum(),
    ][chance.randrange(4)]
    momentum = torch.zeros_like(weight)
    fetches, moves, flushes = chance.random() < 0.3, chance.random() < 0.4, chance.random() < 0.8
    for _ in range(times):
        held = data.detach().remainder(16)
        hidden = activation(held @ weight_of(weight) + shift[:rows])
        loss = loss_of(hidden)
        weight.grad = shift.grad = None
        loss.backward()
        assert weight.grad is not None
        with torch.no_grad():
            momentum.mul_(2).add_(weight.grad).remainder_(11)
            weight.sub_(momentum, alpha=2).remainder_(7)
            if shift.grad is not None:
                shift[: rows // 2 + 1] -= shift.grad[: rows // 2 + 1].remainder(5)
                shift.remainder_(9)
            if moves and data.dim() == 2:
                data = data.roll(1, 0)
        if data.device.type != "cpu" and flushes:
            program.workers.session.flush(ends_step=True)
        if fetches:
            loss.item()
    return torch.cat([weight.detach(), momentum, shift.detach()])


def _first(made: Any) -> Tensor:
    return made if isinstance(made, Tensor) else made[0]


def _is_plain(tensor: Tensor) -> bool:
    """Whether no two elements lie in the same place: what a write there gives is nobody's promise."""
    reach = 1
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if size > 1:
            if stride < reach:
                return False
            reach = stride * (size - 1) + reach
    return True


def _fits(other: Any, shape: Any) -> bool:
    """Whether a tensor of shape `other` broadcasts to `shape`."""
    return len(other) <= len(shape) and all(
        a in (1, b) for a, b in zip(other[::-1], shape[::-1], strict=False)
    )


ACTIONS: tuple[tuple[Callable[[Any], None], float], ...] = (
    (_unary, 6.0),
    (_binary, 4.0),
    (_joined, 1.0),
    (_product, 2.0),
    (_view, 7.0),
    (_write, 4.0),
    (_write_from, 4.0),
    (_indexed, 3.0),
    (_place, 3.0),
    (_free, 2.0),
    (_fetch, 2.0),
    (_flush, 1.0),
    (_train, 0.7),
)
"""With how often each is done."""
