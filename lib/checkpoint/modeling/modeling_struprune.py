# SPDX-License-Identifier: Apache-2.0
"""Pruned models whose blocks differ in width: the stock classes with their linear maps resized.

A stock block computes with whatever widths its maps have; only its constructor knows one width for all.
So the stock model is built first and every block's maps are then replaced by ones of the block's own
size, or by nothing where the block has lost its attention or its FFN. Attention, caches, masks, rope and
generation stay the stock code.
"""

import copy
from contextlib import contextmanager

import torch
from torch import nn
from transformers import LlamaForCausalLM, LlamaModel
from transformers.pytorch_utils import Conv1D

from .configuration_struprune import StrupruneLlamaConfig

# The maps of stock blocks by name: how wide is what they read and what they give, and which bias they have.
ATTENTION_MAPS = {
    "q_proj": ("hidden", "queries", "qkv"),
    "k_proj": ("hidden", "kv", "qkv"),
    "v_proj": ("hidden", "kv", "qkv"),
    "qkv_proj": ("hidden", "qkv", "qkv"),
    "c_attn": ("hidden", "qkv", "qkv"),
    "query_key_value": ("hidden", "qkv", "qkv"),
    "o_proj": ("q", "hidden", "o"),
    "out_proj": ("q", "hidden", "o"),
    "c_proj": ("q", "hidden", "o"),
    "dense": ("q", "hidden", "o"),
}
FFN_MAPS = {
    "gate_proj": ("hidden", "ffn", "ffnIn"),
    "up_proj": ("hidden", "ffn", "ffnIn"),
    "gate_up_proj": ("hidden", "gate_up", "ffnIn"),
    "input_linear": ("hidden", "gate_up", "ffnIn"),
    "w1": ("hidden", "ffn", "ffnIn"),
    "w3": ("hidden", "ffn", "ffnIn"),
    "fc1": ("hidden", "ffn", "ffnIn"),
    "c_fc": ("hidden", "ffn", "ffnIn"),
    "dense_h_to_4h": ("hidden", "ffn", "ffnIn"),
    "down_proj": ("ffn", "hidden", "down"),
    "output_linear": ("ffn", "hidden", "down"),
    "w2": ("ffn", "hidden", "down"),
    "fc2": ("ffn", "hidden", "down"),
    "c_proj": ("ffn", "hidden", "down"),
    "dense_4h_to_h": ("ffn", "hidden", "down"),
}


class WithHeads:
    """The model's configuration with one number of query heads, for the stock code that reads it there."""

    def __init__(self, model, heads):
        self.model = model
        self.num_attention_heads = heads

    def __getattr__(self, name):
        if name == "model":  # a copy that is not filled yet
            raise AttributeError(name)
        return getattr(self.model, name)


def resize_maps(module, maps, widths, biases):
    for name, (inputs, outputs, bias) in maps.items():
        if not hasattr(module, name):
            continue
        if isinstance(getattr(module, name), Conv1D):
            resized = Conv1D(widths[outputs], widths[inputs])
        else:
            resized = nn.Linear(widths[inputs], widths[outputs], bias=biases[bias])
        setattr(module, name, resized)


# Norms of the two sublayers.
NORMS = dict(attention=("input_layernorm",), ffn=("post_attention_layernorm",))


class Nothing(nn.Module):
    """Adds nothing to the residual stream."""

    def forward(self, hidden_states):
        return torch.zeros_like(hidden_states)


class NoAttention(Nothing):
    """The cache keeps one number a token for it, since its length is what caches tell positions by."""

    def __init__(self, layer_idx):
        super().__init__()
        self.layer_idx = layer_idx

    def forward(self, hidden_states, past_key_values=None, cache=None, layer_past=None, **_):
        known = (past_key_values, cache, layer_past)
        past_key_values = next((one for one in known if one is not None), None)
        if past_key_values is not None:
            batch, tokens, _hidden = hidden_states.shape
            counted = hidden_states.new_zeros(batch, 1, tokens, 1)
            past_key_values.update(counted, counted, self.layer_idx)
        return super().forward(hidden_states), None


def remove_norms(layer, names):
    for name in names:
        setattr(layer, name, nn.Identity())


def gates(layer):
    """2 where the map of queries has gates of what attention gives beside them, else 1."""
    attention = getattr(layer, "self_attn", None)
    if not (hasattr(attention, "q_proj") and hasattr(attention, "o_proj")):
        return 1
    return attention.q_proj.out_features // attention.o_proj.in_features


def resize_block(layer, config, index):
    """Gives one decoder layer the widths and biases that config.struprune states for it."""
    own = config.struprune
    head_dim, channels = own["head_dim"], own["intermediate_sizes"][index]
    heads, groups = own["attention_heads"][index], own["key_value_heads"][index]
    widths = {
        "hidden": config.hidden_size,
        "q": heads * head_dim,
        "queries": heads * head_dim * gates(layer),
        "kv": groups * head_dim,
        "qkv": (heads + 2 * groups) * head_dim,
        "ffn": channels,
        "gate_up": 2 * channels,
    }

    attention = next((name for name in ("self_attn", "attn", "attention") if hasattr(layer, name)), None)
    if hasattr(layer, "conv") or hasattr(layer, "linear_attn"):
        pass  # in the place of attention, and as it was
    elif heads == 0:
        setattr(layer, attention, NoAttention(index))
        remove_norms(layer, NORMS["attention"])
    else:
        resize_maps(getattr(layer, attention), ATTENTION_MAPS, widths, own["biases"])
        count_heads(getattr(layer, attention), config, heads, groups)

    inside = next((name for name in ("mlp", "feed_forward", "shared_mlp") if hasattr(layer, name)), None)
    ffn = getattr(layer, inside) if inside else layer
    if "experts" in own and own["experts"][index] > 0:
        resize_experts(layer, config, index)  # one that all tokens pass beside them is as it was
    elif channels == 0:
        remove_norms(layer, NORMS["ffn"])
        if inside:
            setattr(layer, inside, Nothing())
        else:
            layer.fc1, layer.fc2 = nn.Identity(), Nothing()
    else:
        resize_maps(ffn, FFN_MAPS, widths, own["biases"])
        if hasattr(ffn, "intermediate_size"):
            ffn.intermediate_size = channels


def resize_experts(layer, config, index):
    """Makes the layer's experts anew: the stock class reads in its configuration how many there are and how wide."""
    own = config.struprune
    of_layer = copy.copy(config)
    of_layer.per_layer_config = None
    for key, value in zip(own["expert_keys"], (own["experts"][index], own["intermediate_sizes"][index])):
        setattr(of_layer, key, value)
    name = next(name for name in ("block_sparse_moe", "mlp", "feed_forward") if hasattr(layer, name))
    setattr(layer, name, type(getattr(layer, name))(of_layer))


def count_heads(attention, config, heads, groups):
    head_dim = config.struprune["head_dim"]
    attention.head_dim = head_dim
    attention.scaling = head_dim**-0.5
    # Which of these counts the attention reads differs between families and versions.
    counts = {
        "num_heads": heads,
        "num_key_value_heads": groups,
        "num_key_value_groups": heads // groups,
        "split_size": heads * head_dim,
    }
    for name, value in counts.items():
        if hasattr(attention, name):
            setattr(attention, name, value)
    if hasattr(attention, "sinks"):
        attention.sinks = nn.Parameter(torch.empty(heads))
    if hasattr(attention, "qkv_proj"):
        attention.config = WithHeads(config, heads)


@contextmanager
def widest_for_all(config):
    """Stock constructors read one width for all blocks, which transformers refuses as long as the blocks have their own."""
    layers = config.to_dict().get("per_layer_config")
    config.per_layer_config = None
    try:
        yield
    finally:
        config.per_layer_config = layers


class StrupruneLlamaModel(LlamaModel):
    config_class = StrupruneLlamaConfig

    def __init__(self, config):
        with widest_for_all(config):
            super().__init__(config)
        decoder = getattr(self, "decoder", self)
        layers = decoder.h if hasattr(decoder, "h") else decoder.layers
        for index, layer in enumerate(layers):
            resize_block(layer, config, index)
        if hasattr(self, "rotary_emb"):
            self.rotary_emb.config = WithHeads(config, config.hidden_size // config.struprune["head_dim"])
        self.post_init()


def rename_as(stock, own):
    """transformers 5 renames tensors of some files by the name of the class that loads them."""
    try:
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping as known
        from transformers.conversion_mapping import register_checkpoint_conversion_mapping as register
    except ImportError:
        return
    renamed = known(stock.__name__)
    if renamed is not None:
        register(own.__name__, renamed, overwrite=True)


class StrupruneLlamaForCausalLM(LlamaForCausalLM):
    config_class = StrupruneLlamaConfig

    def __init__(self, config):
        with widest_for_all(config):
            super().__init__(config)
        setattr(self, self.base_model_prefix, StrupruneLlamaModel(config))
        self.post_init()


rename_as(LlamaForCausalLM, StrupruneLlamaForCausalLM)
