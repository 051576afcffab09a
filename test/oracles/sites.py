"""Prunable sites of a transformers model, for the torch references. Knows Llama-like models, OPT, GPT-2 and GPT-NeoX.

A site is the output map of a block's attention (o) or FFN (down), whose input columns are cut in groups:
a KV head's query heads, or one FFN channel.
"""

import dataclasses

import torch
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D


@dataclasses.dataclass
class Site:
    block: int
    scope: str  # 'attention' or 'ffn'
    linear: torch.nn.Linear  # the output map, weight [out, in]
    group_size: int
    cost: int  # linear weights that go with one group

    @property
    def groups(self):
        return self.linear.in_features // self.group_size


@dataclasses.dataclass
class Moments:
    """Of a site's inputs X [tokens, in], in float64."""

    tokens: int
    mean: torch.Tensor
    square: torch.Tensor  # sum of x^2
    variance: torch.Tensor  # sample variance, n - 1


class _Seen(Exception):
    pass


def open_model(folder):
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, Conv1D):
                setattr(module, name, linear_of(child))
    return model.eval()


def linear_of(conv):
    """The same map, stored [out, in]."""
    linear = torch.nn.Linear(*conv.weight.shape)
    linear.weight = torch.nn.Parameter(conv.weight.detach().T.contiguous())
    linear.bias = conv.bias
    return linear


def layers_of(model):
    decoder = getattr(model.base_model, "decoder", model.base_model)
    return decoder.h if hasattr(decoder, "h") else decoder.layers


def maps_of(module, names):
    return [getattr(module, name) for name in names if hasattr(module, name)]


def sites_of(model):
    """Attention and FFN of every block, in the order in which they run."""
    heads = model.config.num_attention_heads
    kv_heads = getattr(model.config, "num_key_value_heads", None) or heads
    sites = []
    for block, layer in enumerate(layers_of(model)):
        (attention,) = maps_of(layer, ["self_attn", "attn", "attention"])
        ffn = getattr(layer, "mlp", layer)
        into = maps_of(attention, ["q_proj", "k_proj", "v_proj", "qkv_proj", "c_attn", "query_key_value"])
        ffn_in = maps_of(ffn, ["gate_proj", "up_proj", "gate_up_proj", "fc1", "c_fc", "dense_h_to_4h"])
        (output,) = maps_of(attention, ["o_proj", "out_proj", "c_proj", "dense"])
        (down,) = maps_of(ffn, ["down_proj", "fc2", "c_proj", "dense_4h_to_h"])
        for scope, linear, sources, groups in (
            ("attention", output, into, kv_heads),
            ("ffn", down, ffn_in, down.in_features),
        ):
            weights = sum(m.weight.numel() for m in [*sources, linear])
            assert linear.in_features % groups == 0 and weights % groups == 0
            sites.append(Site(block, scope, linear, linear.in_features // groups, weights // groups))
    return sites


def linear_weights(model):
    """All weights of linear maps inside the blocks: what sparsity is a share of."""
    return sum(
        m.weight.numel() for m in layers_of(model).modules() if isinstance(m, torch.nn.Linear)
    )


def inputs_of(model, ids, site):
    """The site's inputs [tokens, in], in float64, when the model, as it is now, reads ids [windows, window]."""
    seen = []

    def hold(_module, inputs):
        seen.append(inputs[0].reshape(-1, inputs[0].shape[-1]).double())
        raise _Seen

    hook = site.linear.register_forward_pre_hook(hold)
    with torch.no_grad():
        for window in ids:
            try:
                model(window[None])
            except _Seen:
                pass
    hook.remove()
    return torch.cat(seen)


def moments_of(model, ids, site):
    x = inputs_of(model, ids, site)
    return Moments(len(x), x.mean(0), x.square().sum(0), x.var(0, correction=1))


def remove_groups(site, keep, fill=None):
    """Zeroes the columns that go; `fill` [in]: what they are replaced by, into the bias."""
    gone = torch.ones(site.groups, dtype=torch.bool)
    gone[keep] = False
    columns = gone.repeat_interleave(site.group_size)
    with torch.no_grad():
        if fill is not None:
            constant = site.linear.weight[:, columns].double() @ fill[columns]
            bias = site.linear.bias
            total = constant if bias is None else bias.double() + constant
            site.linear.bias = torch.nn.Parameter(total.float())
        site.linear.weight[:, columns] = 0


def mean_nll(model, ids):
    with torch.no_grad():
        logits = torch.cat([model(window[None]).logits for window in ids])[:, :-1].double()
    return torch.nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), ids[:, 1:].reshape(-1)
    ).item()
