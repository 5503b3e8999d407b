"""How families of models spell the parts of a transformer: one row each."""

__all__ = ["FAMILIES", "Family", "expand"]

from outgrow.compare.names.families.encoder import BERT, DISTILBERT, T5, TORCH, VIT
from outgrow.compare.names.families.family import Family, expand
from outgrow.compare.names.families.gpt import BLOOM, GPT2, GPT_NEOX, GPTJ, MEGATRON, MPT
from outgrow.compare.names.families.hugging_face import (
    DEEPSEEK,
    GEMMA,
    GLM4,
    LLAMA,
    MIXTRAL,
    MIXTRAL_OLD,
    OLMO2,
    PHI,
    PHI3,
)
from outgrow.compare.names.families.plain import DUMP, GGUF, LLAMA_ORIGINAL, PLAIN, VLLM

FAMILIES: dict[str, Family] = {
    "dump": DUMP,
    "llama": LLAMA,
    "llama-original": LLAMA_ORIGINAL,
    "vllm": VLLM,
    "gguf": GGUF,
    "megatron": MEGATRON,
    "gemma": GEMMA,
    "olmo2": OLMO2,
    "glm4": GLM4,
    "phi": PHI,
    "phi3": PHI3,
    "mixtral": MIXTRAL,
    "mixtral-old": MIXTRAL_OLD,
    "deepseek": DEEPSEEK,
    "gpt2": GPT2,
    "gptj": GPTJ,
    "gpt-neox": GPT_NEOX,
    "bloom": BLOOM,
    "mpt": MPT,
    "bert": BERT,
    "distilbert": DISTILBERT,
    "vit": VIT,
    "t5": T5,
    "torch": TORCH,
    "plain": PLAIN,
}
"""By name; the last one is considered only for spellings that no other has."""
