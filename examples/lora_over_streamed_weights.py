"""Train a LoRA adapter on a model whose weights do not fit in memory.

    pip install peft
    python examples/lora_over_streamed_weights.py models/llama --budget 4GB --save adapter

Without a path it makes a tiny random model, so that it runs anywhere in seconds.
"""

import argparse
import tempfile
from pathlib import Path

import peft
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from outgrow import stream
from outgrow.quantities import format_bytes


def make_tiny_model(folder: Path) -> Path:
    """13.6 MB of random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=8,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=1024,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


def main(path: Path, budget: str, steps: int, save: Path | None) -> None:
    base = stream.load(path, budget=budget)
    torch.manual_seed(0)
    # After the model is streamed: PEFT wraps its modules as they are then.
    model = peft.get_peft_model(base, peft.LoraConfig(r=8, target_modules=["q_proj", "v_proj"]))
    model.train()
    adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(adapters, lr=5e-3)
    tokens = torch.randint(0, base.config.vocab_size, (4, 64))  # your data goes here

    with stream.closing(base):
        for step in range(steps):
            loss = model(input_ids=tokens, labels=tokens).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            print(f"step {step}: loss {loss.item():.3f}")

        figures = stream.statistics(model)
        trained = sum(parameter.nbytes for parameter in adapters)
        print(
            f"{format_bytes(trained)} of adapters trained; {format_bytes(figures.peak_bytes)} of "
            f"{format_bytes(figures.weights_bytes)} of weights were in memory at most"
        )
        if save is not None:
            model.save_pretrained(save)
            print(f"adapter saved to {save}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", help="directory of a Hugging Face model")
    parser.add_argument("--budget", default="4MB")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--save", type=Path, help="directory for the adapter")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or make_tiny_model(Path(scratch) / "tiny-llama")
        main(folder, options.budget, options.steps, options.save)
