"""Run a Hugging Face checkpoint that need not fit into memory.

    python examples/stream_a_checkpoint.py models/llama --budget 4GB --prompt "Why is the sky blue?"

Without a path it makes a tiny random model, so that it runs anywhere in seconds.
"""

import argparse
import tempfile
from pathlib import Path

import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

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


def main(path: Path, budget: str, prompt: str, max_new_tokens: int) -> None:
    model = stream.load(path, budget=budget)
    with stream.closing(model):  # threads, files and memory go at the end of the block
        if (path / "tokenizer_config.json").exists():
            tokenizer = AutoTokenizer.from_pretrained(path)
            inputs = tokenizer(prompt, return_tensors="pt")
        else:
            tokenizer, inputs = None, {"input_ids": torch.tensor([[1, 2, 3]])}

        output = model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        print(output[0].tolist() if tokenizer is None else tokenizer.decode(output[0]))

        figures = stream.statistics(model)
        print(
            f"{format_bytes(figures.peak_bytes)} of {format_bytes(figures.weights_bytes)} were in memory at "
            f"most; each pass read {format_bytes(figures.streamed_bytes_per_pass)}"
        )
        for problem in stream.health(model).problems:
            print(f"health: {problem}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", help="directory of a Hugging Face model")
    parser.add_argument("--budget", default="4MB")
    parser.add_argument("--prompt", default="Why is the sky blue?")
    parser.add_argument("--max-new-tokens", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.model or make_tiny_model(Path(scratch) / "tiny-llama")
        main(folder, options.budget, options.prompt, options.max_new_tokens)
