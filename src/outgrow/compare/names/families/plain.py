"""Names that people give to their own modules, and the ones of files and servers."""

__all__ = ["DUMP", "GGUF", "LLAMA_ORIGINAL", "PLAIN", "VLLM"]

from outgrow.compare.names.families.family import Family

LLAMA_ORIGINAL = Family(
    stages={
        "embed": "tok_embeddings",
        "layer": ".",
        "norm.attn": "attention_norm",
        "attn": "attention",
        "query": "attention.wq",
        "key": "attention.wk",
        "value": "attention.wv",
        "attn.out": "attention.wo",
        "norm.query": "attention.q_norm",
        "norm.key": "attention.k_norm",
        "norm.mlp": "ffn_norm",
        "mlp": "feed_forward",
        "mlp.gate": "feed_forward.w1",
        "mlp.up": "feed_forward.w3",
        "mlp.down": "feed_forward.w2",
        "norm.final": "norm",
        "head": "output",
    }
)
"""Llama as Meta published it; torchtitan, gpt-fast."""

VLLM = Family(
    stages={
        "embed": "embed_tokens",
        "layer": ".",
        "norm.attn": "input_layernorm",
        "attn": "self_attn",
        "qkv": "self_attn.qkv_proj",
        "norm.query": "self_attn.q_norm",
        "norm.key": "self_attn.k_norm",
        "attn.core": "self_attn.attn",
        "attn.out": "self_attn.o_proj",
        "norm.mlp": "post_attention_layernorm",
        "mlp": "mlp",
        "mlp.gate_up": "mlp.gate_up_proj",
        "mlp.act": "mlp.act_fn",
        "mlp.down": "mlp.down_proj",
        "mlp.router": "mlp.gate",
        "norm.final": "norm",
        "head": "lm_head",
    },
    known_by="{self_attn.qkv_proj,self_attn.attn,mlp.gate_up_proj}",
)
"""Models as vLLM and SGLang hold them."""

GGUF = Family(
    stages={
        "embed": "token_embd",
        "embed.position": "position_embd",
        "norm.attn": "attn_norm",
        "qkv": "attn_qkv",
        "query": "attn_q",
        "key": "attn_k",
        "value": "attn_v",
        "norm.query": "attn_q_norm",
        "norm.key": "attn_k_norm",
        "attn.out": "attn_output",
        "norm.attn_out": "post_attention_norm",
        "norm.mlp": "ffn_norm",
        "mlp.router": "ffn_gate_inp",
        "mlp.gate": "ffn_gate",
        "mlp.up": "ffn_up",
        "mlp.down": "ffn_down",
        "norm.mlp_out": "post_ffw_norm",
        "norm.final": "output_norm",
        "head": "output",
    },
    known_by="{attn_q,attn_k,attn_v,attn_qkv,attn_output,ffn_up,ffn_down,token_embd}",
)
"""Files of llama.cpp."""

DUMP = Family(
    stages={
        "post_ln_pre_attn": "post_ln_pre_attn",
        "qkv": "{qkv,fused_qkv}",
        "qk": "qk",
        "kv": "kv",
        "query": "{query,q}",
        "key": "{key,k}",
        "value": "{value,v}",
        "query_final": "query_final",
        "key_final": "key_final",
        "value_final": "value_final",
        "scaling": "scaling",
        "sliding": "sliding",
        "post_attn": "post_attn",
        "post_attn_pre_resid": "post_attn_pre_resid",
        "pre_mlp": "pre_mlp",
        "mlp.gate_up": "gate_up",
        "mlp.gate": "gate",
        "mlp.up": "up",
        "post_mlp": "post_mlp",
        "embed": "embed{,ding,dings}",
        "norm.final": "{final_norm,norm_final}",
        "head": "{head,lm_head}",
        "logits": "logits",
    }
)
"""Dumps as `{layer}_{stage}`."""

_ATTN = "{attn,attention,self_attn,self_attention,mha}"
_MLP = "{mlp,ffn,ff,feed_forward,feedforward}"
PLAIN = Family(
    stages={
        "embed": "{embed,embedding,embeddings,tok_emb,token_emb,tok_embed,token_embed,token_embedding}",
        "embed.position": "{pos_emb,pos_embed,position_embedding,pos_embedding}",
        "layer": ".",
        "norm.attn": "{ln_1,norm_1,attn_norm,norm_attn,attention_norm,pre_attn_norm,ln_attn}",
        "attn": _ATTN,
        "qkv": f"{_ATTN}.{{qkv,wqkv,qkv_proj,c_attn,to_qkv,in_proj}}",
        "query": f"{_ATTN}.{{q,wq,q_proj,query,query_proj,to_q,q_linear,linear_q}}",
        "key": f"{_ATTN}.{{k,wk,k_proj,key,key_proj,to_k,k_linear,linear_k}}",
        "value": f"{_ATTN}.{{v,wv,v_proj,value,value_proj,to_v,v_linear,linear_v}}",
        "kv": f"{_ATTN}.{{kv,wkv,kv_proj,to_kv}}",
        "qk": f"{_ATTN}.{{qk,wqk,qk_proj,to_qk}}",
        "norm.query": f"{_ATTN}.{{q_norm,norm_q,query_norm}}",
        "norm.key": f"{_ATTN}.{{k_norm,norm_k,key_norm}}",
        "attn.out": f"{_ATTN}.{{o,wo,o_proj,out,out_proj,proj,c_proj,to_out,output_proj,dense}}",
        "norm.mlp": "{ln_2,norm_2,mlp_norm,norm_mlp,ffn_norm,pre_mlp_norm,ln_mlp,ff_norm}",
        "mlp": _MLP,
        "mlp.gate_up": f"{_MLP}.{{gate_up,gate_up_proj,gate_and_up}}",
        "mlp.gate": f"{_MLP}.{{gate,gate_proj,w_gate}}",
        "mlp.up": f"{_MLP}.{{up,up_proj,w_up,fc1,c_fc,fc_in,lin1,linear1}}",
        "mlp.act": f"{_MLP}.{{act,activation,gelu,act_fn}}",
        "mlp.down": f"{_MLP}.{{down,down_proj,w_down,fc2,c_proj,fc_out,lin2,linear2}}",
        "norm.final": "{norm,final_norm,norm_f,ln_f,ln_final,norm_final,out_norm}",
        "head": "{head,lm_head,unembed,output_proj}",
        "logits": "logits",
    },
    note="the names are those of no known family, and were taken for what they say",
)
"""What people call the parts of their own transformers; considered last."""
