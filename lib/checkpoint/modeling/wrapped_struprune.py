# SPDX-License-Identifier: Apache-2.0
"""A model of text and images whose text model was pruned to blocks of unlike widths: the stock class with those blocks resized.

config.json is the stock one plus the entry `struprune` (configuration_struprune.py), which says how wide the text model's blocks
are; its text_config states the widths from before. What sees images is the stock code.
"""

from transformers import LlavaConfig, LlavaForConditionalGeneration

from .modeling_struprune import resize_block


class StrupruneLlavaConfig(LlavaConfig):
    model_type = "struprune_llava"


class StrupruneLlavaForConditionalGeneration(LlavaForConditionalGeneration):
    config_class = StrupruneLlavaConfig

    def __init__(self, config):
        super().__init__(config)
        text = config.text_config
        text.struprune = config.struprune
        decoder = self.model.language_model if hasattr(self.model, "language_model") else self.model.text_model
        for index, layer in enumerate(decoder.layers):
            resize_block(layer, text, index)
        self.post_init()
