"""A llama or gemma3 GGUF file as a transformers model in float32, dequantised by gguf-py. (transformers' own GGUF loader
wants accelerate.)"""

from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader, dequantize
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, PreTrainedModel

NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
GEMMA_NAMES = {
    **NAMES,
    "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm",
    "post_attention_norm": "post_attention_layernorm",
    "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp interleaves the two rope halves of every head: rows 0, 2, 4... are the first half."""
    per_head = weight.reshape(heads, -1, 2, weight.shape[1])
    return per_head.transpose(0, 2, 1, 3).reshape(weight.shape)


def config_of(arch, field, vocab, tied):
    common = dict(
        vocab_size=vocab,
        hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=field("attention.head_count"),
        num_key_value_heads=field("attention.head_count_kv"),
        max_position_embeddings=field("context_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        tie_word_embeddings=tied,
    )
    rope = {"rope_type": "default", "rope_theta": field("rope.freq_base")}
    if arch == "llama":
        return LlamaConfig(**common, rope_parameters=rope)
    head_dim = field("attention.key_length")
    return Gemma3TextConfig(
        **common,
        head_dim=head_dim,
        query_pre_attn_scalar=head_dim,
        sliding_window=field("attention.sliding_window"),
        rope_parameters={
            "full_attention": rope,
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    )


def load(path: Path) -> PreTrainedModel:
    reader = GGUFReader(path)
    arch = reader.fields["general.architecture"].contents()
    names = {"llama": NAMES, "gemma3": GEMMA_NAMES}[arch]

    def field(name):
        return reader.fields[f"{arch}.{name}"].contents()

    tensors = {}
    heads = {"attn_q": field("attention.head_count"), "attn_k": field("attention.head_count_kv")}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        name = OUTSIDE.get(tensor.name)
        if name is None:
            _, block, part, kind = tensor.name.split(".")
            name = f"model.layers.{block}.{names[part]}.{kind}"
            if arch == "llama" and part in heads:
                values = halves(values, heads[part])
        if arch == "gemma3" and "norm" in name:
            values = values - 1
        tensors[name] = torch.from_numpy(np.array(values, dtype=np.float32))
    tied = "lm_head.weight" not in tensors
    if tied:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    config = config_of(arch, field, tensors["model.embed_tokens.weight"].shape[0], tied)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    model.load_state_dict(tensors)
    return model
