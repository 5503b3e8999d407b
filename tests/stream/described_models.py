"""Models that no file holds, as the planner sees them."""

import torch

from outgrow.stream.weights import Use
from tests.stream.weight_makers import weight

MIB = 1 << 20


def four_weights():
    """A model of an embedding, two matrices and a norm between them."""
    return [
        weight(0, (1000, 1024), Use.GATHER),
        weight(1, (2048, 1024)),
        weight(2, (1024,), Use.WHOLE),
        weight(3, (1024, 2048)),
    ]


def cast_weights():
    """The same, stored in float32: whatever streams comes through staging memory. And one that none uses."""
    weights = [weight(each.index, each.shape, each.use, stored=torch.float32) for each in four_weights()]
    return [*weights, weight(4, (700, 300), Use.WHOLE)]


def transformer(layers, dim, vocabulary, *, tied, stored=None):
    shapes = [(dim, dim)] * 4 + [(4 * dim, dim), (4 * dim, dim), (dim, 4 * dim)]
    weights = [weight(0, (vocabulary, dim), Use.GATHER_AND_ROWS if tied else Use.GATHER, stored=stored)]
    for _ in range(layers):
        weights += [weight(len(weights) + i, shape, stored=stored) for i, shape in enumerate(shapes)]
        weights.append(weight(len(weights), (dim,), Use.WHOLE, stored=stored))
    if not tied:
        weights.append(weight(len(weights), (vocabulary, dim), stored=stored))
    order = [each.index for each in weights[1:]] + [0] * tied
    return weights, order


MODELS = {
    "tied": transformer(6, 256, 8000, tied=True),
    "untied": transformer(6, 256, 8000, tied=False),
    "cast": transformer(4, 256, 5000, tied=True, stored=torch.float32),
    "long": transformer(60, 64, 500, tied=False),
    "one": ([weight(0, (4096, 1024))], [0]),
}
