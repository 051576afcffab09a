"""A llama GGUF file as a transformers model in float32, dequantised by gguf-py. (transformers' own GGUF loader
wants accelerate.)"""

from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader, dequantize
from transformers import LlamaConfig, LlamaForCausalLM

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
OUTSIDE = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


def halves(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp interleaves the two rope halves of every head: rows 0, 2, 4... are the first half."""
    per_head = weight.reshape(heads, -1, 2, weight.shape[1])
    return per_head.transpose(0, 2, 1, 3).reshape(weight.shape)


def load(path: Path) -> LlamaForCausalLM:
    reader = GGUFReader(path)

    def field(name):
        return reader.fields[f"llama.{name}"].contents()

    tensors = {}
    heads = {"attn_q": field("attention.head_count"), "attn_k": field("attention.head_count_kv")}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        name = OUTSIDE.get(tensor.name)
        if name is None:
            _, block, part, kind = tensor.name.split(".")
            name = f"model.layers.{block}.{NAMES[part]}.{kind}"
            if part in heads:
                values = halves(values, heads[part])
        tensors[name] = torch.from_numpy(np.array(values, dtype=np.float32))
    tied = "lm_head.weight" not in tensors
    if tied:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    config = LlamaConfig(
        vocab_size=tensors["model.embed_tokens.weight"].shape[0],
        hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"),
        num_hidden_layers=field("block_count"),
        num_attention_heads=heads["attn_q"],
        num_key_value_heads=heads["attn_k"],
        max_position_embeddings=field("context_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"),
        rope_parameters={"rope_type": "default", "rope_theta": field("rope.freq_base")},
        tie_word_embeddings=tied,
    )
    model = LlamaForCausalLM._from_config(config, attn_implementation="eager").float().eval()
    model.load_state_dict(tensors)
    return model
