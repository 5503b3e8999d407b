"""The Pixel Transformer in the predecessor's interface, for both packages; prints its step times.

`python -m bench.pixel_script PACKAGE` trains with the package of that name (`outgrow.shard`, or `gt` where
that is on the path) and prints a line of JSON for each step: its loss and its seconds.
"""

import argparse
import importlib
import json
import os
import time

import numpy as np


def make_model(gt, nn, side, classes=10, embed_dim=128, heads=4, layers=2, ff_dim=256):
    """36 parameter tensors; positions are fixed: the predecessor cannot train a slice."""

    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma, self.beta = (
                gt.ones(embed_dim, requires_grad=True),
                gt.zeros(embed_dim, requires_grad=True),
            )
            self._parameters.extend([self.gamma, self.beta])
            self.eps = gt.from_numpy(np.array(1e-5, dtype="float32"))

        def forward(self, x):
            centred = x - x.mean(axis=-1, keepdims=True)
            variance = (centred**2).mean(axis=-1, keepdims=True)
            return centred / (variance + self.eps).sqrt() * self.gamma + self.beta

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = Norm(), Norm()
            self.query, self.key = nn.Linear(embed_dim, embed_dim), nn.Linear(embed_dim, embed_dim)
            self.value, self.out = nn.Linear(embed_dim, embed_dim), nn.Linear(embed_dim, embed_dim)
            self.up, self.down = nn.Linear(embed_dim, ff_dim), nn.Linear(ff_dim, embed_dim)
            self.scale = gt.from_numpy(np.array((embed_dim // heads) ** -0.5, dtype="float32"))

        def forward(self, x):
            samples, length = x.shape[0], x.shape[1]
            normed = self.norm1(x)
            split = samples, length, heads, embed_dim // heads
            q, k, v = (
                layer(normed).reshape(*split).permute(0, 2, 1, 3)
                for layer in (self.query, self.key, self.value)
            )
            scores = (q @ k.transpose(2, 3)) * self.scale
            weights = (scores - scores.max(axis=-1, keepdims=True)).exp()
            mixed = (weights / weights.sum(axis=-1, keepdims=True)) @ v
            x = x + self.out(mixed.permute(0, 2, 1, 3).reshape(samples, length, embed_dim))
            return x + self.down(nn.relu(self.up(self.norm2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Linear(side * side, embed_dim)
            self.blocks = [Block() for _ in range(layers)]
            for number, block in enumerate(self.blocks):
                setattr(self, f"block_{number}", block)
            self.classifier = nn.Linear(embed_dim, classes)
            self.positions = np.random.randn(16, embed_dim).astype("float32") * 0.01

        def forward(self, frames):
            samples, length = frames.shape[0], frames.shape[1]
            positions = np.broadcast_to(self.positions[:length], (samples, length, embed_dim)).copy()
            x = self.embedding(frames.reshape(samples, length, side * side)) + gt.from_numpy(positions)
            for block in self.blocks:
                x = block(x)
            return self.classifier(x.mean(axis=1))

    return Model()


def make_mlp(gt, nn):
    """Two linear layers, 4 to 8 to 1."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 1)

        def forward(self, x):
            return nn.sigmoid(self.second(nn.relu(self.first(x))))

    return Model()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package")
    parser.add_argument("--program", choices=("pixel", "mlp"), default="pixel")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--side", type=int, default=200)
    parser.add_argument("--batch", type=int, default=4)
    options = parser.parse_args()
    if options.workers > 1:
        os.environ["GT_AUTO_SHARD"] = "1"
    gt = importlib.import_module(options.package)
    nn = importlib.import_module("gt.client.nn" if options.package == "gt" else f"{options.package}.nn")
    gt.gpu_workers(options.workers)
    np.random.seed(0)
    if options.program == "pixel":
        data = np.random.randn(20, 4, options.side, options.side).astype("float32") * 0.1
        targets = np.eye(10, dtype="float32")[np.random.randint(0, 10, 20)]
        model = make_model(gt, nn, options.side)
    else:
        data = np.random.randn(100, 4).astype("float32")
        targets = (data.sum(axis=1, keepdims=True) > 0).astype("float32")
        model = make_mlp(gt, nn)
    for step in range(options.steps):
        started = time.perf_counter()
        chosen = np.arange(step, step + options.batch) * options.batch % len(data)
        loss = nn.mse_loss(model(gt.from_numpy(data[chosen])), gt.from_numpy(targets[chosen]))
        loss.backward()
        with gt.no_grad():
            for parameter in model.parameters():
                parameter -= 0.01 * parameter.grad
                parameter.grad.zero_()
        value = float(loss.data.numpy())
        print(json.dumps({"loss": value, "seconds": time.perf_counter() - started}), flush=True)


if __name__ == "__main__":
    main()
