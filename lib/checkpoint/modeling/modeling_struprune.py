# SPDX-License-Identifier: Apache-2.0
"""Pruned models whose blocks differ in width: the stock classes with their linear maps resized.

A stock block computes with whatever widths its maps have; only its constructor knows one width for all.
So the stock model is built first and every block's maps are then replaced by ones of the block's own
size. Attention, caches, masks, rope and generation stay the stock code.
"""

from contextlib import contextmanager

from torch import nn
from transformers import LlamaForCausalLM, LlamaModel

from .configuration_struprune import StrupruneLlamaConfig


def resize_block(layer, config, index):
    """Gives one decoder layer the widths and biases that config.struprune states for it."""
    widths = config.struprune
    hidden, head_dim = config.hidden_size, widths["head_dim"]
    heads, groups = widths["attention_heads"][index], widths["key_value_heads"][index]
    channels, biases = widths["intermediate_sizes"][index], widths["biases"]

    attention = layer.self_attn
    attention.q_proj = nn.Linear(hidden, heads * head_dim, bias=biases["qkv"])
    attention.k_proj = nn.Linear(hidden, groups * head_dim, bias=biases["qkv"])
    attention.v_proj = nn.Linear(hidden, groups * head_dim, bias=biases["qkv"])
    output = "o_proj" if hasattr(attention, "o_proj") else "out_proj"
    setattr(attention, output, nn.Linear(heads * head_dim, hidden, bias=biases["o"]))
    attention.head_dim = head_dim
    attention.scaling = head_dim**-0.5
    # Which of these counts the attention reads differs between families and versions.
    counts = {
        "num_heads": heads,
        "num_key_value_heads": groups,
        "num_key_value_groups": heads // groups,
    }
    for name, value in counts.items():
        if hasattr(attention, name):
            setattr(attention, name, value)

    if hasattr(layer, "mlp"):
        ffn, names = layer.mlp, ("gate_proj", "up_proj", "down_proj")
        ffn.intermediate_size = channels
    else:
        ffn, names = layer, ("fc1", "fc2")
    for name in names[:-1]:
        setattr(ffn, name, nn.Linear(hidden, channels, bias=biases["ffnIn"]))
    setattr(ffn, names[-1], nn.Linear(channels, hidden, bias=biases["down"]))


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
        for index, layer in enumerate(decoder.layers):
            resize_block(layer, config, index)
        self.post_init()


class StrupruneLlamaForCausalLM(LlamaForCausalLM):
    config_class = StrupruneLlamaConfig

    def __init__(self, config):
        with widest_for_all(config):
            super().__init__(config)
        self.model = StrupruneLlamaModel(config)
        self.post_init()
