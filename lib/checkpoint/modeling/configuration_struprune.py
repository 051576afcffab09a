# SPDX-License-Identifier: Apache-2.0
"""Configuration of pruned models whose blocks differ in width.

It is its family's stock configuration plus one entry, `struprune`:

    intermediate_sizes   FFN channels of every block
    attention_heads      query heads of every block
    key_value_heads      key-value heads of every block
    head_dim             entries of one head, whatever the number of heads
    biases               which maps have one: qkv, o, ffnIn (gate and up, or fc1), down (or fc2)

The stock keys beside it (intermediate_size, num_attention_heads, ...) state the widest block.
"""

from transformers import LlamaConfig


class PerBlockWidths:
    def validate_architecture(self):
        """Stock checks relate one head count to the hidden size; here head_dim stands on its own."""
        widths = getattr(self, "struprune", None)
        if widths is None:
            return
        for key in ("intermediate_sizes", "attention_heads", "key_value_heads"):
            if len(widths[key]) != self.num_hidden_layers:
                raise ValueError(f"struprune.{key} needs one entry for each of {self.num_hidden_layers} blocks")
        for heads, groups in zip(widths["attention_heads"], widths["key_value_heads"]):
            if heads % groups != 0:
                raise ValueError(f"{heads} query heads cannot share {groups} key-value heads evenly")


class StrupruneLlamaConfig(PerBlockWidths, LlamaConfig):
    model_type = "struprune_llama"
