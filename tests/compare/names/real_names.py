"""The names of modules and parameters of real models, two layers each, as transformers builds them.

`python -m tests.compare.names.real_names` writes `real_names.json` anew; no weight is ever made.
"""

import json
import re
from pathlib import Path

FILE = Path(__file__).with_name("real_names.json")
CONFIGS = {
    "llama": ("LlamaConfig", "LlamaForCausalLM"),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM"),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM"),
    "mistral": ("MistralConfig", "MistralForCausalLM"),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM"),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM"),
    "olmo2": ("Olmo2Config", "Olmo2ForCausalLM"),
    "glm4": ("Glm4Config", "Glm4ForCausalLM"),
    "phi": ("PhiConfig", "PhiForCausalLM"),
    "phi3": ("Phi3Config", "Phi3ForCausalLM"),
    "mixtral": ("MixtralConfig", "MixtralForCausalLM"),
    "qwen3_moe": ("Qwen3MoeConfig", "Qwen3MoeForCausalLM"),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel"),
    "gpt_neo": ("GPTNeoConfig", "GPTNeoForCausalLM"),
    "gptj": ("GPTJConfig", "GPTJForCausalLM"),
    "gpt_neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM"),
    "bloom": ("BloomConfig", "BloomForCausalLM"),
    "falcon": ("FalconConfig", "FalconForCausalLM"),
    "mpt": ("MptConfig", "MptForCausalLM"),
    "starcoder2": ("Starcoder2Config", "Starcoder2ForCausalLM"),
    "bert": ("BertConfig", "BertForMaskedLM"),
    "roberta": ("RobertaConfig", "RobertaForMaskedLM"),
    "distilbert": ("DistilBertConfig", "DistilBertForMaskedLM"),
    "vit": ("ViTConfig", "ViTModel"),
    "t5": ("T5Config", "T5ForConditionalGeneration"),
    "bart": ("BartConfig", "BartForConditionalGeneration"),
    "whisper": ("WhisperConfig", "WhisperForConditionalGeneration"),
    "opt": ("OPTConfig", "OPTForCausalLM"),
    "deepseek3": ("DeepseekV3Config", "DeepseekV3ForCausalLM"),
}
_DEEPER = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.(?:[2-9]|[1-9][0-9])(?:\.|$)")


def build(name: str) -> dict[str, list[str]]:
    import torch
    import transformers

    config, model = (getattr(transformers, part) for part in CONFIGS[name])
    with torch.device("meta"):
        built = model(config(pad_token_id=0, bos_token_id=1, eos_token_id=2))
    modules = [name for name, _ in built.named_modules() if not _DEEPER.search(name)]
    parameters = [name for name, _ in built.named_parameters() if not _DEEPER.search(name)]
    return {"modules": modules, "parameters": parameters}


def read() -> dict[str, dict[str, list[str]]]:
    return json.loads(FILE.read_text())


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: build(name) for name in CONFIGS}, indent=1) + "\n")
