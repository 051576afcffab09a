"""Gradients of a model's loss by torch's autograd.

fisher.py MODEL IDS OUT   MODEL is a llama GGUF file, IDS a JSON file
{"ids": [windows, window], "blocks": [...]}; OUT receives float32 [blocks, 2, hidden, hidden]: the sum over
all tokens of delta delta^T with delta = d(sum of the NLL)/d(residual stream after the attention's addition, 0,
or after the FFN's, 1). Prints the mean NLL.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from gguf_model import load


def main():
    wanted = json.loads(Path(sys.argv[2]).read_text())
    # In double: over 30 blocks float32 gradients differ from each other by as much as is tolerated.
    model = load(Path(sys.argv[1])).double()
    model.requires_grad_(False)
    model.get_input_embeddings().register_forward_hook(lambda _m, _i, out: out.requires_grad_())

    kept = {}

    def hold(block, site, tensor):
        tensor.retain_grad()
        kept[block, site] = tensor

    for block in wanted["blocks"]:
        layer = model.model.layers[block]
        layer.post_attention_layernorm.register_forward_pre_hook(
            lambda _m, inputs, b=block: hold(b, 0, inputs[0])
        )
        layer.register_forward_hook(lambda _m, _i, out, b=block: hold(b, 1, out))

    hidden = model.config.hidden_size
    grams = np.zeros((len(wanted["blocks"]), 2, hidden, hidden))
    losses = []
    for window in wanted["ids"]:
        ids = torch.tensor([window])
        loss = torch.nn.functional.cross_entropy(
            model(ids).logits[0, :-1], ids[0, 1:], reduction="sum"
        )
        loss.backward()
        losses.append(loss.item() / (len(window) - 1))
        for index, block in enumerate(wanted["blocks"]):
            for site in range(2):
                delta = kept[block, site].grad[0].double()
                grams[index, site] += (delta.T @ delta).numpy()
    grams.astype("<f4").tofile(sys.argv[3])
    print(sum(losses) / len(losses))


main()
