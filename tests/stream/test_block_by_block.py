import pytest
import torch

from outgrow.stream.block_by_block import open_block_by_block
from tests.stream.tiny_models import FAMILIES, make_model, save

transformers = pytest.importorskip("transformers")
CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["llama", "llama tied", "gpt2: Conv1D, tied, saved without its prefix"])
def test_it_gives_the_bits_of_the_whole_model(tmp_path, family):
    made = make_model(*FAMILIES[family])
    save(made, tmp_path)
    # Not the one just made: buffers that are not saved have odd values there.
    whole = type(made).from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    tokens = torch.tensor([[3, 14, 15, 9, 26, 5]])
    with open_block_by_block(tmp_path, dtype=torch.bfloat16, device=CPU) as model, torch.inference_mode():
        assert torch.equal(model(tokens).logits, whole(tokens).logits)


def test_weights_are_in_memory_only_while_their_module_runs(tmp_path):
    save(make_model(*FAMILIES["llama"]), tmp_path)
    held = []
    with open_block_by_block(tmp_path, dtype=torch.bfloat16, device=CPU) as model, torch.inference_mode():
        middle = model.model.layers[0].mlp.down_proj
        middle.register_forward_pre_hook(
            lambda *_: held.extend(name for name, weight in model.named_parameters() if not weight.is_meta)
        )
        model(torch.tensor([[1, 2]]))
        assert all(weight.is_meta for weight in model.parameters())
    assert held == ["model.layers.0.mlp.down_proj.weight"]


def test_a_forward_that_fails_drops_its_weights(tmp_path):
    save(make_model(*FAMILIES["llama"]), tmp_path)
    with open_block_by_block(tmp_path, dtype=torch.bfloat16, device=CPU) as model, torch.inference_mode():
        with pytest.raises(RuntimeError):
            model.lm_head(torch.ones(1, 3, dtype=torch.bfloat16))
        assert model.lm_head.weight.is_meta
