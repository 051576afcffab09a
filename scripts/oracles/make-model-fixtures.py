"""Small random models of every family and what transformers computes with them.

Usage: PYTHONPATH=<torch, transformers, ...> python3 scripts/oracles/make-model-fixtures.py [OUT]

OUT (default test/fixtures/models) receives one Hugging Face folder a model, with
  expected.json  token ids, the positions whose logits are kept, NLL of every target, greedy tokens
  logits.f32     [windows, positions, vocab], little-endian float32
  fisher.f32     some models only: [blocks, 2, hidden, hidden]; index 0 of the second axis is the sum over
                 all tokens of delta delta^T with delta = d(sum of the window's NLL)/d(h after the
                 attention residual add), index 1 the same for h after the FFN residual add; where a norm
                 stands before the addition, its input is meant
  model.gguf     some models only: the same weights as llama.cpp's converter lays them out, with tensor names
                 from the gguf package and rope divisors from transformers; of one model in parts
and versions.json. All numbers come from float32 arithmetic on the weights as stored (eager attention).
"""

import importlib.metadata
import json
import math
import pathlib
import platform
import shutil
import sys

import gguf
import numpy as np
import safetensors.torch
import torch
import transformers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Ernie4_5Config,
    Gemma2Config,
    Gemma3Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GptOssConfig,
    GraniteConfig,
    GraniteMoeConfig,
    GraniteMoeHybridConfig,
    GraniteMoeSharedConfig,
    Idefics3Config,
    Lfm2Config,
    Lfm2MoeConfig,
    Lfm2VlConfig,
    LlamaConfig,
    LlavaConfig,
    Ministral3Config,
    MinistralConfig,
    Mistral3Config,
    MistralConfig,
    MixtralConfig,
    Olmo2Config,
    Olmo3Config,
    OlmoeConfig,
    OPTConfig,
    Phi3Config,
    Qwen2_5_VLConfig,
    Qwen2Config,
    Qwen2MoeConfig,
    Qwen2VLConfig,
    Qwen3_5Config,
    Qwen3_5MoeConfig,
    Qwen3_5MoeTextConfig,
    Qwen3_5TextConfig,
    Qwen3Config,
    Qwen3MoeConfig,
    Qwen3NextConfig,
    Qwen3VLConfig,
    Qwen3VLMoeConfig,
    SeedOssConfig,
    SmolLM3Config,
    SmolVLMConfig,
    Starcoder2Config,
)

VOCAB = 256
WINDOWS, WINDOW = 2, 48
POSITIONS = [0, 1, 5, 15, 16, 17, 31, 47]
PROMPT, CONTINUATION = 8, 8
# A greedy choice closer than this could flip with the order of a sum.
GREEDY_MARGIN = 2e-3

COMMON = dict(vocab_size=VOCAB, bos_token_id=1, eos_token_id=2, pad_token_id=None)
LLAMA3_ROPE = dict(
    rope_type="llama3",
    rope_theta=10000.0,
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=256,
)


def llama(**keys):
    base = dict(
        COMMON,
        hidden_size=64,
        intermediate_size=160,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
    )
    return LlamaConfig(**{**base, **keys})


def opt(**keys):
    base = dict(
        COMMON,
        hidden_size=64,
        ffn_dim=160,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        word_embed_proj_dim=64,
    )
    return OPTConfig(**{**base, **keys})


SMALL = dict(
    COMMON,
    hidden_size=64,
    intermediate_size=160,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
)
# Of Granite.
MULTIPLIERS = dict(
    embedding_multiplier=6.0,
    attention_multiplier=0.15,
    residual_multiplier=0.3,
    logits_scaling=4.0,
)


def gemma3(**keys):
    base = {
        **SMALL,
        **dict(
            num_hidden_layers=6,
            intermediate_size=96,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=16,
        ),
    }
    return Gemma3TextConfig(**{**base, **keys})


def gpt_oss(truncate=False, **keys):
    base = {
        **SMALL,
        **dict(
            head_dim=16,
            intermediate_size=48,
            num_experts_per_tok=2,
            sliding_window=16,
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=10000.0,
                factor=8.0,
                beta_fast=32.0,
                beta_slow=1.0,
                truncate=truncate,
                original_max_position_embeddings=64,
            ),
        ),
    }
    return GptOssConfig(**{**base, **keys})


def gpt_neox(**keys):
    base = {
        **{key: value for key, value in SMALL.items() if key != "num_key_value_heads"},
        **dict(num_hidden_layers=3, rope_parameters=dict(rope_theta=10000.0, partial_rotary_factor=0.25)),
    }
    return GPTNeoXConfig(**{**base, **keys})


def lfm2(**keys):
    base = {
        **SMALL,
        **dict(
            num_hidden_layers=4,
            intermediate_size=96,
            layer_types=["conv", "full_attention", "conv", "full_attention"],
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
    }
    return Lfm2Config(**{**base, **keys})


def qwen35(**keys):
    base = {
        **SMALL,
        **dict(
            num_hidden_layers=4,
            intermediate_size=96,
            head_dim=32,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            linear_key_head_dim=16,
            linear_value_head_dim=16,
        ),
    }
    return Qwen3_5TextConfig(**{**base, **keys})


# Experts, and one that all tokens pass.
SHARED_MOE = dict(
    num_experts=6,
    num_experts_per_tok=2,
    moe_intermediate_size=32,
    shared_expert_intermediate_size=40,
)


def qwen3_next(**keys):
    base = {
        **SMALL,
        **SHARED_MOE,
        **dict(
            num_hidden_layers=4,
            intermediate_size=96,
            head_dim=32,
            linear_num_key_heads=2,
            linear_num_value_heads=6,
            linear_key_head_dim=16,
            linear_value_head_dim=8,
            mlp_only_layers=[1],
        ),
    }
    return Qwen3NextConfig(**{**base, **keys})


def qwen35_moe(**keys):
    base = {
        **{name: value for name, value in SMALL.items() if name != "intermediate_size"},
        **SHARED_MOE,
        **dict(
            num_hidden_layers=4,
            head_dim=32,
            linear_num_key_heads=2,
            linear_num_value_heads=4,
            linear_key_head_dim=16,
            linear_value_head_dim=16,
        ),
    }
    return Qwen3_5MoeTextConfig(**{**base, **keys})


def lfm2_moe(**keys):
    base = {
        **SMALL,
        **dict(
            num_hidden_layers=4,
            intermediate_size=96,
            layer_types=["conv", "conv", "full_attention", "conv"],
            num_dense_layers=1,
            num_experts=6,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
        ),
    }
    return Lfm2MoeConfig(**{**base, **keys})


def gemma2(**keys):
    base = {
        **SMALL,
        **dict(
            num_hidden_layers=4,
            intermediate_size=96,
            head_dim=16,
            query_pre_attn_scalar=16,
            sliding_window=16,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=4.0,
        ),
    }
    return Gemma2Config(**{**base, **keys})


def phi3(**keys):
    return Phi3Config(**{**SMALL, **keys})


# What sees images, and ids of its tokens, which are not among those of the texts.
VISION = dict(hidden_size=32, intermediate_size=32, image_size=28, patch_size=14)
LAYERS = dict(num_hidden_layers=1, num_attention_heads=2)
IMAGE = 3
QWEN_VISION = dict(
    depth=1,
    num_heads=2,
    hidden_size=32,
    intermediate_size=32,
    patch_size=14,
    spatial_merge_size=2,
    temporal_patch_size=2,
    out_hidden_size=64,
)
QWEN_IMAGES = dict(image_token_id=IMAGE, video_token_id=0, vision_start_token_id=1, vision_end_token_id=2)

# name: (config, stored dtype, shard size or None, whether the Fisher Grams are kept)
MODELS = {
    "opt-pre": (opt(), torch.float32, None, True),
    "opt-post": (
        opt(do_layer_norm_before=False, word_embed_proj_dim=48),
        torch.float16,
        None,
        False,
    ),
    "llama2": (llama(num_hidden_layers=3), torch.float16, None, False),
    "llama3": (
        llama(
            hidden_size=96,
            intermediate_size=192,
            num_attention_heads=6,
            num_key_value_heads=2,
            rope_parameters=dict(LLAMA3_ROPE),
        ),
        torch.bfloat16,
        "120KB",
        False,
    ),
    "llama3-tied": (
        llama(
            num_key_value_heads=2, tie_word_embeddings=True, rope_parameters=dict(LLAMA3_ROPE)
        ),
        torch.float32,
        None,
        True,
    ),
    "llama-bias": (
        llama(
            attention_bias=True,
            mlp_bias=True,
            num_key_value_heads=2,
            rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0),
        ),
        torch.float16,
        None,
        False,
    ),
    "mistral": (
        MistralConfig(**SMALL, head_dim=24, sliding_window=16, rms_norm_eps=1e-5),
        torch.bfloat16,
        None,
        False,
    ),
    "qwen2": (
        Qwen2Config(
            **SMALL,
            tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        torch.float16,
        None,
        False,
    ),
    "qwen3": (
        Qwen3Config(
            **SMALL,
            head_dim=32,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0),
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "gemma3": (gemma3(), torch.float16, None, False),
    "gemma3-unlike": (
        gemma3(
            num_hidden_layers=2,
            layer_types=["full_attention", "sliding_attention"],
            query_pre_attn_scalar=24,
            attention_bias=True,
            tie_word_embeddings=False,
            rope_parameters=dict(
                full_attention=dict(rope_type="linear", rope_theta=1000000.0, factor=8.0),
                sliding_attention=dict(rope_type="default", rope_theta=5000.0),
            ),
        ),
        torch.float32,
        None,
        True,
    ),
    # Windows are longer than the original context, the text that goes on is not.
    "phi3": (
        phi3(
            tie_word_embeddings=True,
            partial_rotary_factor=0.75,
            original_max_position_embeddings=32,
            rope_parameters=dict(
                rope_type="longrope",
                rope_theta=10000.0,
                short_factor=[1.0, 1.0, 1.1, 1.2, 1.5, 2.0],
                long_factor=[1.0, 1.25, 1.7, 3.5, 9.0, 24.0],
            ),
        ),
        torch.float16,
        None,
        True,
    ),
    "phi3-plain": (
        phi3(num_key_value_heads=4, sliding_window=16, rope_parameters=dict(rope_type="default", rope_theta=5000.0)),
        torch.bfloat16,
        "60KB",
        False,
    ),
    "gpt2": (
        GPT2Config(**COMMON, n_embd=64, n_layer=2, n_head=4, n_inner=160, n_positions=64),
        torch.float32,
        None,
        True,
    ),
    "starcoder2": (
        Starcoder2Config(
            **SMALL,
            sliding_window=None,
            rope_parameters=dict(rope_type="default", rope_theta=100000.0),
        ),
        torch.float16,
        None,
        True,
    ),
    "starcoder2-bare": (
        Starcoder2Config(
            **SMALL,
            use_bias=False,
            sliding_window=16,
            tie_word_embeddings=False,
            rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0),
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "olmo2": (Olmo2Config(**SMALL), torch.float16, None, True),
    "smollm3": (
        SmolLM3Config(**{**SMALL, **dict(num_hidden_layers=4, intermediate_size=96)}),
        torch.float16,
        None,
        False,
    ),
    "granite": (
        GraniteConfig(
            **SMALL,
            **MULTIPLIERS,
            tie_word_embeddings=True,
        ),
        torch.float16,
        None,
        True,
    ),
    "ministral": (
        MinistralConfig(
            **SMALL,
            head_dim=24,
            sliding_window=16,
            layer_types=["full_attention", "sliding_attention"],
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=10000.0,
                factor=16.0,
                original_max_position_embeddings=32,
                beta_fast=8.0,
                beta_slow=1.0,
            ),
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "qwen2-sliding": (
        Qwen2Config(
            **SMALL,
            use_sliding_window=True,
            sliding_window=16,
            max_window_layers=1,
            rope_parameters=dict(rope_type="dynamic", rope_theta=10000.0, factor=4.0),
        ),
        torch.float16,
        None,
        False,
    ),
    "qwen3-yarn": (
        Qwen3Config(
            **SMALL,
            head_dim=16,
            tie_word_embeddings=True,
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=10000.0,
                factor=16.0,
                original_max_position_embeddings=32,
            ),
        ),
        torch.float16,
        None,
        False,
    ),
    "mixtral": (
        MixtralConfig(
            **{**SMALL, "intermediate_size": 48},
            num_local_experts=4,
            num_experts_per_tok=2,
            sliding_window=16,
        ),
        torch.float16,
        None,
        False,
    ),
    "qwen2-moe": (
        Qwen2MoeConfig(
            **{**SMALL, "intermediate_size": 96},
            num_experts=6,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=40,
        ),
        torch.float32,
        None,
        False,
    ),
    "qwen3-moe": (
        Qwen3MoeConfig(
            **{**SMALL, "intermediate_size": 96, "num_hidden_layers": 3},
            head_dim=16,
            num_experts=8,
            num_experts_per_tok=3,
            moe_intermediate_size=24,
            norm_topk_prob=True,
            mlp_only_layers=[1],
        ),
        torch.bfloat16,
        "60KB",
        False,
    ),
    "olmoe": (
        OlmoeConfig(
            **{**SMALL, "intermediate_size": 32},
            num_experts=8,
            num_experts_per_tok=3,
        ),
        torch.float16,
        None,
        False,
    ),
    "qwen3-sliding": (
        Qwen3Config(
            **SMALL,
            head_dim=16,
            use_sliding_window=True,
            sliding_window=16,
            max_window_layers=1,
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        torch.float16,
        None,
        False,
    ),
    "qwen3-moe-even": (
        Qwen3MoeConfig(
            **{**SMALL, "intermediate_size": 96},
            head_dim=16,
            num_experts=6,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            norm_topk_prob=True,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "olmoe-alike": (
        OlmoeConfig(
            **{**SMALL, "intermediate_size": 32, "num_key_value_heads": 4},
            num_experts=6,
            num_experts_per_tok=2,
        ),
        torch.float16,
        None,
        False,
    ),
    "gemma2": (gemma2(), torch.float16, None, False),
    "gemma2-unlike": (
        gemma2(
            num_hidden_layers=2,
            layer_types=["full_attention", "sliding_attention"],
            query_pre_attn_scalar=24,
            attention_bias=True,
            tie_word_embeddings=False,
        ),
        torch.float32,
        None,
        True,
    ),
    "granite-moe": (
        GraniteMoeConfig(
            **{**SMALL, "intermediate_size": 24},
            num_local_experts=6,
            num_experts_per_tok=2,
            **MULTIPLIERS,
            tie_word_embeddings=True,
        ),
        torch.float16,
        None,
        False,
    ),
    "llama-fp8": (llama(num_key_value_heads=2), torch.bfloat16, None, False),
    # Gates that their limit cuts.
    "gpt-oss": (
        gpt_oss(num_hidden_layers=3, num_local_experts=6, swiglu_limit=1.2, swiglu_alpha=1.3),
        torch.float16,
        None,
        False,
    ),
    "gpt-oss-mxfp4": (
        gpt_oss(intermediate_size=64, num_local_experts=4, truncate=True),
        torch.bfloat16,
        None,
        False,
    ),
    # Of 140 channels two thirds, up to a multiple of 32.
    "lfm2": (
        lfm2(intermediate_size=140, block_multiple_of=32),
        torch.float16,
        None,
        False,
    ),
    "lfm2-unlike": (
        lfm2(
            layer_types=["full_attention", "conv", "full_attention"],
            num_hidden_layers=3,
            block_auto_adjust_ff_dim=False,
            conv_L_cache=4,
            conv_bias=True,
            tie_word_embeddings=False,
        ),
        torch.bfloat16,
        "80KB",
        False,
    ),
    # Text models inside of models of text and images.
    "gemma3-vision": (
        Gemma3Config(
            text_config=gemma3(num_hidden_layers=2),
            vision_config=dict(model_type="siglip_vision_model", **VISION, **LAYERS),
            mm_tokens_per_image=4,
            image_token_index=IMAGE,
            boi_token_index=0,
            eoi_token_index=0,
        ),
        torch.bfloat16,
        "150KB",
        False,
    ),
    "mistral3-vision": (
        Mistral3Config(
            text_config=MistralConfig(**SMALL, head_dim=24, sliding_window=None),
            vision_config=dict(model_type="pixtral", head_dim=16, **VISION, **LAYERS),
            image_token_index=IMAGE,
            spatial_merge_size=1,
            tie_word_embeddings=False,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "qwen2.5-vision": (
        Qwen2_5_VLConfig(
            text_config=dict(
                SMALL,
                rope_parameters=dict(
                    rope_type="default", rope_theta=1000000.0, mrope_section=[2, 3, 3]
                ),
            ),
            vision_config=dict(QWEN_VISION, window_size=56, fullatt_block_indexes=[0]),
            **QWEN_IMAGES,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "qwen3-vision": (
        Qwen3VLConfig(
            text_config=dict(
                SMALL,
                head_dim=32,
                rope_parameters=dict(
                    rope_type="default", rope_theta=500000.0, mrope_section=[6, 5, 5]
                ),
            ),
            vision_config=dict(
                QWEN_VISION, num_position_embeddings=16, deepstack_visual_indexes=[0]
            ),
            **QWEN_IMAGES,
            tie_word_embeddings=True,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "smolvlm": (
        SmolVLMConfig(
            text_config=llama(num_key_value_heads=2, pad_token_id=0),
            vision_config=dict(**VISION, **LAYERS),
            scale_factor=2,
            image_token_id=IMAGE,
            tie_word_embeddings=False,
        ),
        torch.float16,
        None,
        False,
    ),
    "llava": (
        LlavaConfig(
            text_config=llama(num_key_value_heads=2),
            vision_config=dict(model_type="clip_vision_model", projection_dim=32, **VISION, **LAYERS),
            image_token_index=IMAGE,
            image_seq_length=4,
            vision_feature_layer=-1,
        ),
        torch.float16,
        None,
        False,
    ),
    "qwen3.5": (
        qwen35(),
        torch.float16,
        None,
        False,
    ),
    # As many value heads as key heads, a longer kernel, biases, and a rope that turns half of a head.
    "qwen3.5-unlike": (
        qwen35(
            num_hidden_layers=2,
            layer_types=["full_attention", "linear_attention"],
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_conv_kernel_dim=5,
            attention_bias=True,
            tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0, partial_rotary_factor=0.5),
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "qwen3.5-vision": (
        Qwen3_5Config(
            text_config=qwen35(
                num_hidden_layers=2,
                layer_types=["linear_attention", "full_attention"],
                rope_parameters=dict(
                    rope_type="default",
                    rope_theta=1000000.0,
                    partial_rotary_factor=0.25,
                    mrope_section=[2, 1, 1],
                    mrope_interleaved=True,
                ),
            ).to_dict(),
            vision_config=dict(QWEN_VISION, num_position_embeddings=16),
            **QWEN_IMAGES,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "qwen2-vision": (
        Qwen2VLConfig(
            text_config=dict(
                SMALL,
                rope_parameters=dict(
                    rope_type="default", rope_theta=1000000.0, mrope_section=[2, 3, 3]
                ),
            ),
            vision_config=dict(
                depth=1,
                embed_dim=32,
                hidden_size=64,
                mlp_ratio=1,
                num_heads=2,
                patch_size=14,
                spatial_merge_size=2,
                temporal_patch_size=2,
            ),
            **QWEN_IMAGES,
            tie_word_embeddings=True,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "idefics3": (
        Idefics3Config(
            text_config=llama(num_key_value_heads=2, pad_token_id=0),
            vision_config=dict(**VISION, **LAYERS),
            scale_factor=2,
            image_token_id=IMAGE,
            tie_word_embeddings=False,
        ),
        torch.float16,
        None,
        False,
    ),
    # Pythia's, and with the GELU that llama.cpp has.
    "gpt-neox": (gpt_neox(), torch.float16, None, True),
    "gpt-neox-tanh": (gpt_neox(hidden_act="gelu_fast"), torch.bfloat16, None, False),
    "gpt-neox-serial": (
        gpt_neox(
            use_parallel_residual=False,
            attention_bias=False,
            hidden_act="gelu_pytorch_tanh",
            rope_parameters=dict(rope_theta=10000.0, partial_rotary_factor=1.0),
        ),
        torch.float16,
        None,
        True,
    ),
    "olmo3": (
        Olmo3Config(
            **{**SMALL, **dict(num_hidden_layers=4, intermediate_size=96)},
            sliding_window=16,
            rope_parameters=dict(
                sliding_attention=dict(rope_type="default", rope_theta=10000.0),
                full_attention=dict(
                    rope_type="yarn",
                    rope_theta=10000.0,
                    factor=4.0,
                    original_max_position_embeddings=32,
                ),
            ),
        ),
        torch.float16,
        None,
        True,
    ),
    "seed-oss": (SeedOssConfig(**SMALL, head_dim=24), torch.float16, None, True),
    "seed-oss-biases": (
        SeedOssConfig(**SMALL, attention_out_bias=True, mlp_bias=True, head_dim=None),
        torch.bfloat16,
        None,
        False,
    ),
    "granite4": (
        GraniteMoeHybridConfig(
            **SMALL,
            shared_intermediate_size=144,
            num_local_experts=0,
            num_experts_per_tok=0,
            position_embedding_type="rope",
            layer_types=["full_attention"] * 2,
            tie_word_embeddings=True,
            **MULTIPLIERS,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "ernie4.5": (Ernie4_5Config(**SMALL, head_dim=24), torch.float16, None, True),
    "ernie4.5-biases": (
        Ernie4_5Config(**SMALL, head_dim=16, use_bias=True, tie_word_embeddings=False),
        torch.bfloat16,
        None,
        False,
    ),
    # Maps of queries, keys, values and gates joined by key heads, three value heads of another width for each; block 1 is dense.
    "qwen3-next": (
        qwen3_next(),
        torch.float16,
        None,
        False,
    ),
    # Experts in every second block, whose probabilities do not sum to 1; as many value heads as key heads; biases.
    "qwen3-next-unlike": (
        qwen3_next(
            num_hidden_layers=3,
            layer_types=["full_attention", "linear_attention", "full_attention"],
            mlp_only_layers=[],
            decoder_sparse_step=2,
            norm_topk_prob=False,
            linear_num_value_heads=2,
            linear_key_head_dim=8,
            linear_value_head_dim=16,
            linear_conv_kernel_dim=5,
            attention_bias=True,
            tie_word_embeddings=True,
            rope_parameters=dict(rope_type="default", rope_theta=1000000.0, partial_rotary_factor=0.5),
        ),
        torch.bfloat16,
        "100KB",
        False,
    ),
    "qwen3.5-moe": (
        qwen35_moe(),
        torch.float16,
        None,
        False,
    ),
    # The first block is dense; biases of experts only choose.
    "lfm2-moe": (
        lfm2_moe(),
        torch.float16,
        None,
        False,
    ),
    # No biases of experts, and probabilities as their sigmoids are.
    "lfm2-moe-unlike": (
        lfm2_moe(
            num_hidden_layers=3,
            layer_types=["full_attention", "conv", "full_attention"],
            num_dense_layers=2,
            use_expert_bias=False,
            norm_topk_prob=False,
            conv_bias=True,
            conv_L_cache=4,
            tie_word_embeddings=False,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    # An expert that all tokens pass, without a gate.
    "granite-moe-shared": (
        GraniteMoeSharedConfig(
            **{**SMALL, "intermediate_size": 24},
            num_local_experts=6,
            num_experts_per_tok=2,
            shared_intermediate_size=40,
            **MULTIPLIERS,
            tie_word_embeddings=True,
        ),
        torch.float16,
        None,
        False,
    ),
    # Its experts are stacked in the file.
    "qwen3.5-moe-vision": (
        Qwen3_5MoeConfig(
            text_config=qwen35_moe(
                num_hidden_layers=2,
                layer_types=["linear_attention", "full_attention"],
                rope_parameters=dict(
                    rope_type="default",
                    rope_theta=1000000.0,
                    partial_rotary_factor=0.25,
                    mrope_section=[2, 1, 1],
                    mrope_interleaved=True,
                ),
            ).to_dict(),
            vision_config=dict(QWEN_VISION, num_position_embeddings=16),
            **QWEN_IMAGES,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    # As llama.cpp holds it: experts in every block, keys and values of a delta rule as wide.
    "qwen3-next-plain": (
        qwen3_next(linear_value_head_dim=16, mlp_only_layers=[]),
        torch.float16,
        None,
        False,
    ),
    # As llama.cpp holds it: without yarn of its own.
    "ministral-plain": (
        MinistralConfig(
            **SMALL,
            head_dim=24,
            sliding_window=16,
            layer_types=["sliding_attention", "full_attention"],
            rope_parameters=dict(rope_type="default", rope_theta=10000.0),
        ),
        torch.float16,
        None,
        False,
    ),
    "qwen2-moe-sliding": (
        Qwen2MoeConfig(
            **{**SMALL, "intermediate_size": 96, "num_hidden_layers": 4},
            num_experts=6,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            shared_expert_intermediate_size=40,
            use_sliding_window=True,
            sliding_window=16,
            max_window_layers=3,
        ),
        torch.float16,
        None,
        False,
    ),
    "lfm2-vision": (
        Lfm2VlConfig(
            text_config=lfm2(intermediate_size=140, block_multiple_of=32).to_dict(),
            vision_config=dict(VISION, **LAYERS, num_patches=16, model_type="siglip2_vision_model"),
            image_token_id=IMAGE,
            projector_hidden_size=32,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    # Within the positions that yarn stretches queries are scaled by 1.
    "ministral3": (
        Ministral3Config(
            **SMALL,
            head_dim=24,
            rope_parameters=dict(
                rope_type="yarn",
                rope_theta=10000.0,
                factor=8.0,
                original_max_position_embeddings=64,
                beta_fast=32.0,
                beta_slow=1.0,
                mscale=1.0,
                mscale_all_dim=1.0,
                llama_4_scaling_beta=0.1,
            ),
        ),
        torch.float16,
        None,
        False,
    ),
    "qwen3-moe-vision": (
        Qwen3VLMoeConfig(
            text_config=dict(
                SMALL,
                intermediate_size=96,
                head_dim=32,
                num_experts=6,
                num_experts_per_tok=2,
                moe_intermediate_size=24,
                rope_parameters=dict(
                    rope_type="default", rope_theta=500000.0, mrope_section=[6, 5, 5]
                ),
            ),
            vision_config=dict(
                QWEN_VISION, num_position_embeddings=16, deepstack_visual_indexes=[0]
            ),
            **QWEN_IMAGES,
            tie_word_embeddings=False,
        ),
        torch.bfloat16,
        None,
        False,
    ),
    "qwen3-moe-fp8": (
        Qwen3MoeConfig(
            **{**SMALL, "intermediate_size": 96},
            head_dim=16,
            num_experts=4,
            num_experts_per_tok=2,
            moe_intermediate_size=32,
            norm_topk_prob=True,
        ),
        torch.bfloat16,
        None,
        False,
    ),
}

# With names as transformers 5 has them in memory, not as older versions wrote them.
NEW_NAMES = ["mistral3-vision"]

# Matrices of the blocks as E4M3, with a scale for every 32 x 32 of them: real models have 128 x 128. transformers reads
# whole blocks alone.
FP8 = ["llama-fp8", "qwen3-moe-fp8"]
FP8_BLOCK, FP8_LARGEST = 32, 448.0

# Experts as values of 4 bits, with a power of two for every 32 of a row, as OpenAI writes them.
MXFP4 = ["gpt-oss-mxfp4"]
MXFP4_BLOCK, MXFP4_VALUES = 32, [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]

# Written as transformers has them in memory: the experts of a block in one tensor.
STACKED = ["olmoe", "qwen3.5-moe-vision"]

# What their code calls the tables of tokens and positions, the maps that give to the stream, and the norm before the FFN.
TOKENS, PLACES = ("embed_tokens", "wte", "embed_in"), ("embed_positions", "wpe")
OUTPUTS = tuple(
    f"{name}.weight"
    for name in ("down_proj", "fc2", "o_proj", "out_proj", "c_proj", "dense", "dense_4h_to_h")
)
FFN_NORMS = ("post_attention_layernorm", "final_layer_norm", "ln_2")


def fill(model, seed):
    """Random weights that keep activations and logits near 1, with channels of unlike importance."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like, std):
        return torch.randn(like.shape, generator=generator) * std

    # Gemma's norms are stored less 1, as Qwen3.5's but one are, and its embeddings are scaled up.
    gemma = isinstance(model.config.get_text_config(), (Gemma2Config, Gemma3TextConfig))
    delta = (Qwen3NextConfig, Qwen3_5TextConfig, Qwen3_5MoeTextConfig)
    qwen35 = isinstance(model.config.get_text_config(), delta)
    with torch.no_grad():
        for name, value in sorted(model.named_parameters()):
            if name.endswith("sinks"):
                value.copy_(normal(value, 2.0))
            elif value.dim() == 1:
                around_zero = gemma or name.endswith("bias") or (qwen35 and "linear_attn.norm" not in name)
                value.copy_(normal(value, 0.2) + (0.0 if around_zero else 1.0))
            elif any(table in name for table in PLACES):
                value.copy_(normal(value, 0.3))
            elif any(table in name for table in TOKENS):
                value.copy_(normal(value, 0.5 / math.sqrt(value.shape[1]) if gemma else 0.5))
            else:
                # GPT-2's maps are stored [in, out].
                rows = value.T if isinstance(model.config, GPT2Config) else value
                rows.copy_(normal(rows, 1.5 / math.sqrt(rows.shape[-1])))
                if name.endswith(OUTPUTS):
                    spread = torch.randn(rows.shape[1], generator=generator) * 0.5
                    rows.mul_(spread.exp())
        for name, value in model.named_buffers():
            if name.endswith("expert_bias"):
                value.copy_(normal(value, 0.2))
        model.tie_weights()
        # The output scale is set last: one pass says how large the logits are.
        probe = torch.randint(4, VOCAB, (1, WINDOW), generator=generator)
        std = model(probe).logits.std()
        head = model.get_output_embeddings().weight
        head.mul_(1.5 / std)


def keep_residuals(model):
    """Hooks that keep the residual stream after the attention and after the FFN of every block."""
    decoder = getattr(model.base_model, "decoder", model.base_model)
    layers = decoder.h if hasattr(decoder, "h") else decoder.layers
    kept = [[None, None] for _ in layers]

    def hold(block, index, tensor):
        tensor.retain_grad()
        kept[block][index] = tensor

    for block, layer in enumerate(layers):
        if hasattr(layer, "post_feedforward_layernorm"):
            # What the output maps give, before its norm.
            for index, norm in enumerate(
                [layer.post_attention_layernorm, layer.post_feedforward_layernorm]
            ):
                norm.register_forward_pre_hook(lambda _, inputs, b=block, i=index: hold(b, i, inputs[0]))
            continue
        if getattr(layer, "use_parallel_residual", False):
            # What attention gives has the gradient of the sum that it is a part of.
            layer.attention.register_forward_hook(lambda _m, _i, output, b=block: hold(b, 0, output[0]))
            layer.register_forward_hook(lambda _m, _i, output, b=block: hold(b, 1, output))
            continue
        # In pre-norm blocks the input of the FFN's norm is the stream after the attention's addition.
        norm = next(getattr(layer, name) for name in FFN_NORMS if hasattr(layer, name))
        norm.register_forward_pre_hook(lambda _, inputs, b=block: hold(b, 0, inputs[0]))
        layer.register_forward_hook(lambda _m, _i, output, b=block: hold(b, 1, output))
    return kept


def token_nll(logits, ids):
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].reshape(-1, VOCAB), ids[:, 1:].reshape(-1), reduction="none"
    )
    return losses.view(ids.shape[0], -1)


def fisher_grams(model, ids):
    kept = keep_residuals(model)
    token_nll(model(ids).logits, ids).sum().backward()
    hidden = model.config.hidden_size
    grams = np.empty((len(kept), 2, hidden, hidden), dtype="<f4")
    for block, tensors in enumerate(kept):
        for index, tensor in enumerate(tensors):
            delta = tensor.grad.reshape(-1, hidden).double()
            assert delta.shape[0] == WINDOWS * WINDOW
            grams[block, index] = (delta.T @ delta).float().numpy()
    return grams


def greedy(model, prompt):
    ids = list(prompt)
    for _ in range(CONTINUATION):
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        best = logits.topk(2)
        margin = (best.values[0] - best.values[1]).item()
        assert margin > GREEDY_MARGIN, f"greedy choice too close: {margin}"
        ids.append(best.indices[0].item())
    return ids[len(prompt) :]


def to_fp8(folder):
    """Rewrites a folder as DeepSeek-V3's and Qwen3's FP8 checkpoints are."""
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    for name in [name for name in tensors if "_proj.weight" in name]:
        weight = tensors[name].float()
        spread = torch.ones(FP8_BLOCK, FP8_BLOCK)
        scales = torch.empty([-(-length // FP8_BLOCK) for length in weight.shape])
        for i, rows in enumerate(weight.split(FP8_BLOCK)):
            for j, block in enumerate(rows.split(FP8_BLOCK, 1)):
                scales[i, j] = block.abs().max() / FP8_LARGEST
        each = torch.kron(scales, spread)[: weight.shape[0], : weight.shape[1]]
        tensors[name] = (weight / each).to(torch.float8_e4m3fn)
        tensors[f"{name}_scale_inv"] = scales
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {
        "activation_scheme": "dynamic",
        "fmt": "e4m3",
        "quant_method": "fp8",
        "weight_block_size": [FP8_BLOCK, FP8_BLOCK],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def to_mxfp4(folder):
    """Rewrites a folder of gpt-oss as OpenAI's checkpoints are: matrices [experts, out, in], rows of gate and up in turn."""
    path = folder / "model.safetensors"
    tensors = safetensors.torch.load_file(path)
    values = torch.tensor(MXFP4_VALUES)
    for name in [name for name in tensors if name.endswith(("gate_up_proj", "down_proj"))]:
        weight = tensors.pop(name).float().transpose(1, 2)
        blocks = weight.reshape(*weight.shape[:2], -1, MXFP4_BLOCK)
        powers = blocks.abs().amax(-1, keepdim=True).log2().floor() - 2
        fours = (torch.ldexp(blocks, -powers).unsqueeze(-1) - values).abs().argmin(-1).to(torch.uint8)
        tensors[f"{name}_blocks"] = fours[..., ::2] | fours[..., 1::2] << 4
        tensors[f"{name}_scales"] = (powers.squeeze(-1) + 127).to(torch.uint8)
    safetensors.torch.save_file(tensors, path, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    kept = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
    config["quantization_config"] = {"modules_to_not_convert": kept, "quant_method": "mxfp4"}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


# Model: llama.cpp's architecture, and whether it interleaves the rope halves of q and k.
GGUF_MODELS = {
    "llama3-tied": (gguf.MODEL_ARCH.LLAMA, True),
    "qwen2": (gguf.MODEL_ARCH.QWEN2, False),
    "gemma3": (gguf.MODEL_ARCH.GEMMA3, False),
    "gemma2": (gguf.MODEL_ARCH.GEMMA2, False),
    "phi3": (gguf.MODEL_ARCH.PHI3, False),
    "gpt2": (gguf.MODEL_ARCH.GPT2, False),
    "starcoder2": (gguf.MODEL_ARCH.STARCODER2, False),
    "olmo2": (gguf.MODEL_ARCH.OLMO2, False),
    "smollm3": (gguf.MODEL_ARCH.SMOLLM3, True),
    "granite": (gguf.MODEL_ARCH.GRANITE, True),
    "qwen3-yarn": (gguf.MODEL_ARCH.QWEN3, False),
    "gpt-oss-mxfp4": (gguf.MODEL_ARCH.GPT_OSS, False),
    "lfm2": (gguf.MODEL_ARCH.LFM2, False),
    "gpt-neox-tanh": (gguf.MODEL_ARCH.GPTNEOX, False),
    "olmo3": (gguf.MODEL_ARCH.OLMO2, False),
    "seed-oss": (gguf.MODEL_ARCH.SEED_OSS, False),
    "ernie4.5": (gguf.MODEL_ARCH.ERNIE4_5, False),
    "qwen3.5": (gguf.MODEL_ARCH.QWEN35, False),
    "qwen3.5-moe": (gguf.MODEL_ARCH.QWEN35MOE, False),
    "qwen3-next-plain": (gguf.MODEL_ARCH.QWEN3NEXT, False),
    "ministral3": (gguf.MODEL_ARCH.MISTRAL3, True),
}
QWEN35 = (gguf.MODEL_ARCH.QWEN35, gguf.MODEL_ARCH.QWEN35MOE)


# Written in parts of so many tensors.
SPLIT = {"smollm3": 16}


def interleave(rows, heads):
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def add_experts(writer, names, folder, name, value):
    """Biases as floats; of matrices the blocks of GGUF's MXFP4: the power of two, then halves of 16 bytes as GGUF's fours lie."""
    layer, what = name.split(".experts.")
    kind = "bias" if what.endswith("_bias") else "weight"
    parts = {"down_proj": value}
    if what.startswith("gate_up"):
        parts = {"gate_proj": value[:, ::2], "up_proj": value[:, 1::2]}
    if kind == "weight":
        scales = safetensors.torch.load_file(folder / "model.safetensors")[name.replace("_blocks", "_scales")]
    for i, (part, of) in enumerate(parts.items()):
        to = names.get_name(f"{layer}.experts.{part}", ()) + f".{kind}"
        if kind == "bias":
            writer.add_tensor(to, of.float().numpy())
            continue
        # [experts, rows, blocks, 32]
        fours = torch.stack([of & 15, of >> 4], dim=-1).flatten(-2)
        bytes_ = fours[..., :16] | fours[..., 16:] << 4
        powers = scales[:, i :: len(parts)] if len(parts) > 1 else scales
        blocks = torch.cat([powers.unsqueeze(-1), bytes_], dim=-1).flatten(-2).contiguous()
        writer.add_tensor(to, blocks.numpy(), raw_dtype=gguf.GGMLQuantizationType.MXFP4)


def value_heads_apart(rows, config, first=0, axis=0):
    """Value heads of a key head are neighbours in transformers, and as many apart as there are key heads in llama.cpp."""
    rows = np.moveaxis(rows, axis, 0)
    keys, values = config.linear_num_key_heads, config.linear_num_value_heads
    heads = rows[first:].reshape(keys, values // keys, -1, *rows.shape[1:]).swapaxes(0, 1)
    rows = np.concatenate([rows[:first], heads.reshape(rows[first:].shape)])
    return np.ascontiguousarray(np.moveaxis(rows, 0, axis))


def by_key_heads(rows, config):
    """Queries, keys, values and gates that are joined key head by key head: the first three one after the other, and the gates."""
    heads, width = config.linear_num_key_heads, config.linear_key_head_dim
    values = config.linear_num_value_heads // heads * config.linear_value_head_dim
    parts = np.split(rows.reshape(heads, -1, rows.shape[1]), np.cumsum([width, width, values]), axis=1)
    *qkv, gates = [part.reshape(-1, rows.shape[1]) for part in parts]
    return np.concatenate(qkv), np.ascontiguousarray(gates)


def of_delta(name, rows, config):
    """Of a delta rule: the name that gguf's table knows, and the values as llama.cpp reads them."""
    keys = 2 * config.linear_num_key_heads * config.linear_key_head_dim
    what = name.split("linear_attn.")[1]
    if config.model_type == "qwen3_next":
        if what == "A_log":
            return name, -np.exp(rows)
        return name.replace("dt_bias", "dt_proj.bias"), rows.squeeze(1) if what == "conv1d.weight" else rows
    if what == "A_log":
        return name, value_heads_apart(-np.exp(rows), config)
    if what == "dt_bias":
        return name.replace("dt_bias", "dt_proj.bias"), value_heads_apart(rows, config)
    if what == "conv1d.weight":
        return name, value_heads_apart(rows.squeeze(1), config, keys)
    if what == "in_proj_qkv.weight":
        return name, value_heads_apart(rows, config, keys)
    if what == "out_proj.weight":
        return name, value_heads_apart(rows, config, axis=1)
    return name, rows if what == "norm.weight" else value_heads_apart(rows, config)


def write_gguf(folder, model, arch, interleaved, dtype):
    config = model.config
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    writer = gguf.GGUFWriter(
        folder / "model.gguf", gguf.MODEL_ARCH_NAMES[arch], split_max_tensors=SPLIT.get(folder.name, 0)
    )
    gpt2, gemma = arch == gguf.MODEL_ARCH.GPT2, arch in (gguf.MODEL_ARCH.GEMMA2, gguf.MODEL_ARCH.GEMMA3)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    lfm2 = arch == gguf.MODEL_ARCH.LFM2
    next_ = arch == gguf.MODEL_ARCH.QWEN3NEXT
    qwen35, moe = arch in QWEN35 or next_, arch == gguf.MODEL_ARCH.QWEN35MOE or next_
    if lfm2:
        width = model.model.layers[0].feed_forward.w1.out_features
    elif moe:
        width = config.moe_intermediate_size
    else:
        width = config.n_inner if gpt2 else config.intermediate_size
    writer.add_feed_forward_length(width)
    writer.add_head_count(config.num_attention_heads)
    gpt_neox = arch == gguf.MODEL_ARCH.GPTNEOX
    if gpt_neox:
        writer.add_layer_norm_eps(config.layer_norm_eps)
        writer.add_parallel_residual(config.use_parallel_residual)
        writer.add_rope_dimension_count(model.gpt_neox.layers[0].attention.rotary_ndims)
    elif arch == gguf.MODEL_ARCH.STARCODER2:
        writer.add_layer_norm_eps(config.norm_epsilon)
    elif gpt2:
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        writer.add_layer_norm_rms_eps(config.norm_eps if lfm2 else config.rms_norm_eps)
    if gpt2:
        rope = {"rope_type": "none"}
    else:
        groups = config.num_attention_heads if gpt_neox else config.num_key_value_heads
        writer.add_head_count_kv([0 if kind == "conv" else groups for kind in config.layer_types] if lfm2 else groups)
        rope = config.rope_parameters.get("full_attention", config.rope_parameters)
        writer.add_rope_freq_base(rope["rope_theta"])
    if lfm2:
        writer.add_shortconv_l_cache(config.conv_L_cache)
    if qwen35:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
        writer.add_ssm_conv_kernel(config.linear_conv_kernel_dim)
        writer.add_ssm_state_size(config.linear_key_head_dim)
        writer.add_ssm_group_count(config.linear_num_key_heads)
        writer.add_ssm_time_step_rank(config.linear_num_value_heads)
        writer.add_ssm_inner_size(config.linear_value_head_dim * config.linear_num_value_heads)
        writer.add_full_attention_interval(4)
        writer.add_rope_dimension_count(int(config.head_dim * rope["partial_rotary_factor"]))
        if not next_:
            writer.add_rope_dimension_sections([11, 11, 10, 0])
    if moe:
        writer.add_expert_count(config.num_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.moe_intermediate_size)
        writer.add_expert_shared_feed_forward_length(config.shared_expert_intermediate_size)
    if arch == gguf.MODEL_ARCH.GRANITE:
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if arch == gguf.MODEL_ARCH.GEMMA2:
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    gpt_oss = arch == gguf.MODEL_ARCH.GPT_OSS
    if gpt_oss:
        writer.add_expert_count(config.num_local_experts)
        writer.add_expert_used_count(config.num_experts_per_tok)
        writer.add_expert_feed_forward_length(config.intermediate_size)
    mistral3 = arch == gguf.MODEL_ARCH.MISTRAL3
    if mistral3:
        writer.add_rope_scaling_yarn_log_mul(rope["mscale_all_dim"])
        writer.add_attn_temperature_scale(rope["llama_4_scaling_beta"])
        writer.add_rope_dimension_count(config.head_dim)
    if gemma or gpt_oss or mistral3 or arch in (gguf.MODEL_ARCH.SEED_OSS, gguf.MODEL_ARCH.ERNIE4_5):
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if gemma or gpt_oss or config.model_type == "olmo3":
        writer.add_sliding_window(config.sliding_window)
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_eos_token_id(config.eos_token_id)
    head_dim = config.hidden_size // config.num_attention_heads
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if gpt_oss and ".experts." in name:
            continue
        rows = value.float().numpy()
        if gpt_oss and "sinks" in name:
            name += ".weight"
        if (gemma or qwen35) and "norm" in name and "linear_attn" not in name:
            rows = rows + 1
        if next_ and name.endswith("in_proj_qkvz.weight"):
            rows, gates = by_key_heads(rows, config)
            half = np.float16 if dtype == torch.float16 else np.float32
            writer.add_tensor(names.get_name(name.replace("qkvz", "z"), (".weight",)), gates.astype(half))
            name = name.replace("qkvz", "qkv")
        elif qwen35 and "linear_attn" in name:
            name, rows = of_delta(name, rows, config)
        if moe and "shared_expert_gate" in name:
            rows = rows.squeeze(0)
        if moe and name.endswith("experts.gate_up_proj"):
            gate, rows = np.split(rows, 2, axis=1)
            half = np.float16 if dtype == torch.float16 else np.float32
            to = names.get_name(name.replace("gate_up_proj", "gate_proj")) + ".weight"
            writer.add_tensor(to, np.ascontiguousarray(gate).astype(half))
            name, rows = name.replace("gate_up_proj", "up_proj"), np.ascontiguousarray(rows)
        if gpt2 and rows.ndim > 1 and "wte" not in name and "wpe" not in name:
            rows = rows.T
        if gpt_neox and "query_key_value" in name:
            heads = rows.reshape(config.num_attention_heads, 3, head_dim, *rows.shape[1:])
            rows = heads.swapaxes(0, 1).reshape(rows.shape)
        if interleaved and "q_proj" in name:
            rows = interleave(rows, config.num_attention_heads)
        if interleaved and "k_proj" in name:
            rows = interleave(rows, config.num_key_value_heads)
        if lfm2 and "conv.conv" in name:
            rows = rows.squeeze(1)
        kept = ("conv.conv", "conv1d", "mlp.gate.", "shared_expert_gate")
        half = rows.ndim > 1 and dtype == torch.float16 and not any(part in name for part in kept)
        stored = rows.astype(np.float16 if half else np.float32)
        to = names.get_name(name, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(to + ".weight" if moe and ".experts." in name else to, stored)
    if gpt_oss:
        for name, value in safetensors.torch.load_file(folder / "model.safetensors").items():
            if ".experts." in name and not name.endswith("_scales"):
                add_experts(writer, names, folder, name, value)
    if rope["rope_type"] == "longrope":
        writer.add_rope_dimension_count(int(head_dim * rope["partial_rotary_factor"]))
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_attn_factors(model.model.rotary_emb.attention_scaling)
        for length in ("short", "long"):
            divisors = np.array(rope[f"{length}_factor"], dtype=np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", divisors)
    if rope["rope_type"] == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(rope["factor"])
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if rope["rope_type"] == "llama3":
        plain = rope["rope_theta"] ** (-torch.arange(0, head_dim, 2) / head_dim)
        divisors = (plain / model.model.rotary_emb.inv_freq).numpy().astype(np.float32)
        writer.add_tensor("rope_freqs.weight", divisors)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(folder, seed, config, dtype, shard_size, with_fisher):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    auto = AutoModelForImageTextToText if hasattr(config, "vision_config") else AutoModelForCausalLM
    model = auto.from_config(config, attn_implementation="eager").eval()
    fill(model, seed)
    model.to(dtype).save_pretrained(
        folder,
        save_original_format=folder.name not in STACKED + NEW_NAMES,
        **({"max_shard_size": shard_size} if shard_size else {}),
    )

    if folder.name in FP8:
        to_fp8(folder)
    if folder.name in MXFP4:
        to_mxfp4(folder)
    stored = auto.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    generator = torch.Generator().manual_seed(seed + 1000)
    ids = torch.randint(4, VOCAB, (WINDOWS, WINDOW), generator=generator)
    with torch.no_grad():
        logits = stored(ids).logits
    assert 0.3 < logits.std() < 10, logits.std()
    logits[:, POSITIONS].numpy().astype("<f4").tofile(folder / "logits.f32")
    expected = {
        "inputIds": ids.tolist(),
        "positions": POSITIONS,
        "logits": {"file": "logits.f32", "shape": [WINDOWS, len(POSITIONS), VOCAB]},
        "nll": [[round(v, 7) for v in row] for row in token_nll(logits.double(), ids).tolist()],
        "greedy": {
            "prompt": ids[0, :PROMPT].tolist(),
            "continuation": greedy(stored, ids[0, :PROMPT].tolist()),
        },
        "fisher": None,
    }
    if with_fisher:
        grams = fisher_grams(stored, ids)
        grams.tofile(folder / "fisher.f32")
        expected["fisher"] = {"file": "fisher.f32", "shape": list(grams.shape), "tokens": ids.numel()}
    if folder.name in GGUF_MODELS:
        write_gguf(folder, stored, *GGUF_MODELS[folder.name], dtype)
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def main():
    torch.set_num_threads(1)
    here = pathlib.Path(__file__).resolve().parent
    default = here.parent.parent / "test" / "fixtures" / "models"
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    for seed, (name, arguments) in enumerate(MODELS.items(), start=11):
        make(out / name, seed, *arguments)
        print(name)
    versions = {
        "script": "scripts/oracles/make-model-fixtures.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
        "gguf": importlib.metadata.version("gguf"),
    }
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
