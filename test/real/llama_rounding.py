"""llama.cpp's maps on quantised weights, in torch.

In front of a map whose weights are Q4_1 or Q8_0, llama.cpp rounds the activations too: 32 by 32, to 127 steps
of the largest. The scale that multiplies is kept in F16; Q4_1's minima are multiplied by the sum of the
rounded activations, which is an F16 as well.
"""

from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from gguf_model import NAMES, halves
from transformers import LlamaForCausalLM

BLOCK = 32


def f16(values: torch.Tensor) -> torch.Tensor:
    return values.half().float()


class RoundedLinear(torch.nn.Module):
    """`weight` [out, in], `minima` [out, in / 32] or None: what of the weight is the minima of its blocks."""

    def __init__(self, weight: torch.Tensor, minima: torch.Tensor | None):
        super().__init__()
        self.minima = minima
        self.above = weight if minima is None else weight - minima.repeat_interleave(BLOCK, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        blocks = x.unflatten(-1, (-1, BLOCK))
        largest = blocks.abs().amax(-1, keepdim=True)
        steps = torch.where(largest > 0, 127 / largest, 0)
        rounded, scale = torch.round(blocks * steps), largest / 127
        out = (rounded * f16(scale)).flatten(-2) @ self.above.T
        if self.minima is not None:
            sums = f16(scale * rounded.sum(-1, keepdim=True)).squeeze(-1)
            out = out + sums @ self.minima.T
        return out


def minima_of(tensor) -> np.ndarray | None:
    """Of a Q4_1 tensor: its blocks are an F16 scale, an F16 minimum and 32 halves of a byte."""
    kind = tensor.tensor_type.name
    if kind == "Q8_0":
        return None
    if kind != "Q4_1":
        raise ValueError(f"{tensor.name} is {kind}; Q4_1 and Q8_0 are known here")
    blocks = tensor.data.reshape(tensor.data.shape[0], -1, 20)
    return blocks[:, :, 2:4].copy().view(np.float16)[:, :, 0].astype(np.float32)


def round_activations(model: LlamaForCausalLM, path: Path) -> None:
    """Makes every map of the blocks of `model`, which was loaded from `path`, and its head one of llama.cpp's."""
    tensors = {tensor.name: tensor for tensor in GGUFReader(path).tensors}
    heads = {
        "attn_q": model.config.num_attention_heads,
        "attn_k": model.config.num_key_value_heads,
    }
    for index, layer in enumerate(model.model.layers):
        for part, place in NAMES.items():
            if part.endswith("norm"):
                continue
            minima = minima_of(tensors[f"blk.{index}.{part}.weight"])
            if minima is not None:
                ordered = halves(minima, heads[part]) if part in heads else minima
                minima = torch.from_numpy(ordered.copy())
            module, name = place.split(".")
            parent = getattr(layer, module)
            setattr(parent, name, RoundedLinear(getattr(parent, name).weight.detach(), minima))
    head = tensors.get("output.weight", tensors["token_embd.weight"])
    if minima_of(head) is not None:
        raise ValueError("a Q4_1 head is not known here")
    model.lm_head = RoundedLinear(model.lm_head.weight.detach(), None)
