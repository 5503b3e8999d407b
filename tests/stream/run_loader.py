"""Loaders that run over weights of all kinds."""

import contextlib

import torch

from outgrow.store.readers import make_reader
from outgrow.stream.backends.host import HostBackend
from outgrow.stream.loader import Loader
from outgrow.stream.plan import make_plan
from outgrow.stream.weights import Use
from tests.stream.weight_makers import WeightFile


def mixed_weights(folder):
    """Weights that come in every way: in place, aligned or not, in tiles, small, in segments, cast."""
    torch.manual_seed(0)
    file = WeightFile(folder / "weights.bin")
    file.add(torch.randn(300, 500), align=4096)
    file.add(torch.randn(300, 512).bfloat16(), align=8)
    file.add(torch.randn(2000, 600).half(), align=2)
    file.add(torch.randn(400, 300), dtype=torch.bfloat16)
    file.add(torch.randn(999, 200).bfloat16(), parts=5)
    file.add(torch.randn(50, 70).double(), Use.WHOLE)
    file.add(torch.randn(700, 150).bfloat16(), dtype=torch.float32, parts=3)
    file.add(torch.randint(0, 255, (1000, 333), dtype=torch.uint8), Use.WHOLE)
    # The last one ends in the middle of the file's last page.
    file.add(torch.randn(257, 513), Use.WHOLE, align=4)
    file.close()
    return file


def plan_of(model, share=0.35, order=None, **options):
    budget = int(sum(weight.nbytes for weight in model.weights) * share)
    order = range(len(model.weights)) if order is None else order
    return make_plan(model.weights, budget_bytes=budget, order=order, **options)


@contextlib.contextmanager
def opened(model, plan, *, kind="auto", threads=4, lookahead=None, wrap=lambda reader: reader):
    """A loader that runs."""
    with make_reader(kind, model.path) as reader:
        backend = HostBackend(wrap(reader))
        loader = Loader(plan, backend, threads=threads, lookahead=lookahead)
        try:
            loader.start()
            yield loader
        finally:
            loader.close()
            backend.close()


def expected(model, plan, index):
    piece = plan.pieces[index]
    value = model.values[piece.weight.index]
    return value[piece.first_row : piece.last_row] if value.dim() else value


def run_pass(model, plan, loader):
    """Use every piece once, and compare its bytes."""
    for index in plan.order:
        ticket = loader.acquire(index)
        try:
            actual = loader.memory_of(ticket)
            assert actual.dtype == plan.pieces[index].weight.dtype
            assert torch.equal(actual, expected(model, plan, index)), plan.pieces[index].weight.name
        finally:
            loader.release(ticket)
    loader.check()


class Reading:
    """A reader that lets a test do something before each read."""

    def __init__(self, reader, before):
        self.name, self.alignment = reader.name, reader.alignment
        self._reader, self._before = reader, before

    def read_into(self, path, offset, into, *, needed=None):
        self._before()
        return self._reader.read_into(path, offset, into, needed=needed)

    def close(self):
        self._reader.close()
