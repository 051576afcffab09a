# SPDX-License-Identifier: Apache-2.0
"""Configuration of pruned models whose blocks differ in width.

It is its family's stock configuration plus one entry, `struprune`:

    intermediate_sizes   FFN channels of every block; 0: it has no FFN
    attention_heads      query heads of every block; 0: it has no attention
    key_value_heads      key-value heads of every block
    experts              experts of every block, in mixtures of them; 0: it has an FFN of its own. Their width is the FFN's
    expert_keys          the stock keys of their number and their width
    head_dim             entries of one head, whatever the number of heads
    biases               which maps have one: qkv, o, ffnIn (gate and up, or fc1), down (or fc2)

The stock keys beside it (intermediate_size, num_attention_heads, ...) state the widest block, and
`per_layer_config` every block's own, as transformers has it from 5.16 on: runtimes such as vLLM size their caches by it.
"""

import sys
from types import SimpleNamespace

from transformers import LlamaConfig


class PerBlockWidths:
    @property
    def block_configs(self):
        """The same widths as vLLM's DeciLMForCausalLM reads them."""
        widths = self.struprune
        blocks = zip(widths["intermediate_sizes"], widths["attention_heads"], widths["key_value_heads"])
        return [
            SimpleNamespace(
                attention=SimpleNamespace(no_op=not groups, n_heads_in_group=heads // groups if groups else None),
                ffn=SimpleNamespace(no_op=not width, intermediate_size=width),
            )
            for width, heads, groups in blocks
        ]

    def to_dict(self):
        """PEFT reads this before it looks up, by the model's type, which maps LoRA adapts. Ours have the stock names."""
        peft = sys.modules.get("peft.utils.constants")
        if peft is not None:
            maps = peft.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
            stock = maps.get(self.model_type.removeprefix("struprune_"))
            if stock is not None:
                maps.setdefault(self.model_type, stock)
        return super().to_dict()

    def validate(self):
        """What transformers calls before it saves; the stock class's own reads one head count, which may differ between blocks."""
        self.validate_architecture()

    def validate_architecture(self):
        """Stock checks relate one head count to the hidden size; here head_dim stands on its own."""
        widths = getattr(self, "struprune", None)
        if widths is None:
            return
        for key in ("intermediate_sizes", "attention_heads", "key_value_heads"):
            if len(widths[key]) != self.num_hidden_layers:
                raise ValueError(f"struprune.{key} needs one entry for each of {self.num_hidden_layers} blocks")
        for heads, groups in zip(widths["attention_heads"], widths["key_value_heads"]):
            if heads % groups if groups else heads:
                raise ValueError(f"{heads} query heads cannot share {groups} key-value heads evenly")


class StrupruneLlamaConfig(PerBlockWidths, LlamaConfig):
    model_type = "struprune_llama"
