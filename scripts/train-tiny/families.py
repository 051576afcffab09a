"""The tiny models, as the config.json that is shipped."""

from dataclasses import dataclass
from typing import Any

import vocabulary

SHARED = {
    'vocab_size': vocabulary.SIZE,
    'max_position_embeddings': 512,
    'bos_token_id': vocabulary.BOUNDARY_ID,
    'eos_token_id': vocabulary.BOUNDARY_ID,
    'pad_token_id': vocabulary.PADDING_ID,
    'tie_word_embeddings': True,
    'torch_dtype': 'float16',
    'use_cache': True,
    'attention_dropout': 0.0,
}


@dataclass
class Family:
    folder: str
    config: dict[str, Any]
    steps: int


FAMILIES = {
    'llama': Family(
        folder='tiny',
        config={
            'architectures': ['LlamaForCausalLM'],
            'model_type': 'llama',
            **SHARED,
            'hidden_size': 128,
            'intermediate_size': 512,
            'num_hidden_layers': 6,
            'num_attention_heads': 8,
            'num_key_value_heads': 4,
            'head_dim': 16,
            'hidden_act': 'silu',
            'rms_norm_eps': 1e-5,
            'rope_theta': 10000.0,
            'rope_scaling': None,
            'attention_bias': False,
            'mlp_bias': False,
            'initializer_range': 0.02,
        },
        steps=1700,
    ),
    'opt': Family(
        folder='tiny-opt',
        config={
            'architectures': ['OPTForCausalLM'],
            'model_type': 'opt',
            **SHARED,
            'hidden_size': 96,
            'word_embed_proj_dim': 96,
            'ffn_dim': 384,
            'num_hidden_layers': 5,
            'num_attention_heads': 6,
            'activation_function': 'relu',
            'do_layer_norm_before': True,
            'enable_bias': True,
            'layer_norm_elementwise_affine': True,
            '_remove_final_layer_norm': False,
            'dropout': 0.0,
            'layerdrop': 0.0,
            'init_std': 0.02,
        },
        steps=900,
    ),
    'qwen3-moe': Family(
        folder='tiny-moe',
        config={
            'architectures': ['Qwen3MoeForCausalLM'],
            'model_type': 'qwen3_moe',
            **SHARED,
            'hidden_size': 128,
            'intermediate_size': 256,
            'num_hidden_layers': 4,
            'num_attention_heads': 8,
            'num_key_value_heads': 4,
            'head_dim': 16,
            'num_experts': 16,
            'num_experts_per_tok': 4,
            'moe_intermediate_size': 64,
            'norm_topk_prob': True,
            'decoder_sparse_step': 1,
            'mlp_only_layers': [],
            'router_aux_loss_coef': 0.01,
            'hidden_act': 'silu',
            'rms_norm_eps': 1e-6,
            'rope_theta': 10000.0,
            'rope_scaling': None,
            'attention_bias': False,
            'use_sliding_window': False,
            'initializer_range': 0.02,
        },
        steps=900,
    ),
}
