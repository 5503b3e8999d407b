"""Train the Pixel Transformer on several workers: every token is a frame of 200 x 200 pixels, 40,000 numbers.

    python examples/train_a_pixel_transformer.py                        # two workers
    GT_WORKERS=8 python examples/train_a_pixel_transformer.py           # eight

One of the four frames of each sample carries a pattern; the class is which. Only positions can tell, and they
are trained: a slice of a parameter, wherever that lies. Nothing below says how to shard anything.
"""

import argparse

import numpy as np
import torch

import outgrow.shard as gt
from outgrow.shard import nn


class PixelTransformer(nn.Module):
    def __init__(self, pixels, embed_dim=128, heads=4, layers=2, ff_dim=256, classes=4, longest=16):
        super().__init__()
        self.embedding = nn.Linear(pixels, embed_dim)
        start = np.random.default_rng(1).standard_normal((longest, embed_dim)).astype("float32")
        self.positions = gt.from_numpy(0.1 * start, requires_grad=True)
        self._parameters.append(self.positions)
        self.blocks = [nn.TransformerBlock(embed_dim, heads, ff_dim) for _ in range(layers)]
        for number, block in enumerate(self.blocks):
            setattr(self, f"block_{number}", block)
        self.classifier = nn.Linear(embed_dim, classes)

    def forward(self, frames):
        samples, length = frames.shape[:2]
        x = self.embedding(frames.reshape(samples, length, -1)) + self.positions[:length]
        for block in self.blocks:
            x = block(x)
        return self.classifier(x.mean(axis=1))


def make_samples(count, length=4, size=200):
    """Frames of noise `[count, length, size, size]`, one of each sample with the pattern; and which."""
    numbers = np.random.default_rng(0)
    frames = 0.1 * numbers.standard_normal((count, length, size, size)).astype("float32")
    labels = np.arange(count) % length
    frames[np.arange(count), labels] += 0.1 * numbers.choice([-1.0, 1.0], (size, size)).astype("float32")
    return frames, labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--size", type=int, default=200, help="pixels along each side of a frame")
    options = parser.parse_args()

    gt.gpu_workers(2)  # with a GPU each, where there are any
    np.random.seed(0)  # weights are drawn from numpy's generator
    frames, labels = make_samples(20, size=options.size)
    model = PixelTransformer(options.size**2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    print(f"{len(model.parameters())} parameter tensors, frames {frames.shape}")

    for epoch in range(1, options.epochs + 1):
        order = np.random.permutation(len(frames))
        losses, right = [], 0
        for batch in np.array_split(order, 10):
            logits = model(gt.from_numpy(frames[batch]))
            loss = torch.nn.functional.cross_entropy(logits, gt.from_numpy(labels[batch]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            right += int((logits.data.numpy().argmax(axis=1) == labels[batch]).sum())
        print(f"epoch {epoch}: loss {np.mean(losses):.4f}, accuracy {right / len(frames):.0%}")

    print(f"workers: {gt.statistics()['world_size']}")
    print(f"the embedding's weight lies as {gt.placement_of(model.embedding.weight)}")
    gt.shutdown()


if __name__ == "__main__":
    main()
