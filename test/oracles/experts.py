"""Which experts of a transformers model stay, by REAP's score and by the exact error, what the output maps of those
become by ridge regressions in double, one after the other, and what the model then gives.

An expert is gone when its router's logits are -inf: everything behind them is the model's own code.
"""

import contextlib
import pathlib

import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM

ROUNDS = 8
RIDGE, JITTER = 0.05, 1e-6
REFIT_ROUNDS, TOKENS_A_CHANNEL = 2, 64


def open_model(folder):
    if (pathlib.Path(folder) / "configuration_struprune.py").exists():
        raise ValueError("a stock class is wanted")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


class Layer:
    """A block's experts."""

    def __init__(self, block, module):
        self.block, self.module = block, module
        self.experts, self.gate = module.experts, module.gate
        self.count, self.top_k = self.gate.num_experts, self.gate.top_k
        self.route, self.gone = self.gate.forward, []
        self.gate.forward = self._routed

    def _routed(self, hidden):
        linear = F.linear

        def without(x, weight, bias=None):
            logits = linear(x, weight, bias)
            logits[..., self.gone] = -torch.inf
            return logits

        F.linear = without
        try:
            return self.route(hidden)
        finally:
            F.linear = linear

    @contextlib.contextmanager
    def less(self, gone):
        before, self.gone = self.gone, list(gone)
        try:
            yield
        finally:
            self.gone = before

    def output(self, x, gone=()):
        with self.less(gone):
            _, weights, chosen = self.gate(x)
            return self.experts(x, chosen, weights).double()

    def refit(self, x, dense):
        """Each of those that stay in turn, twice: its output map becomes the exact ridge solution for what is missing of `dense`."""
        _, weights, chosen = self.gate(x)
        for j in REFIT_ROUNDS * sorted(set(range(self.count)) - set(self.gone)):
            missing = dense - self.experts(x, chosen, weights).double()
            mine = (chosen == j).any(-1)
            gates = (weights * (chosen == j)).sum(-1)[mine].double()
            gate, up = F.linear(x[mine], self.experts.gate_up_proj[j]).double().chunk(2, dim=-1)
            read = gates[:, None] * self.experts.act_fn(gate) * up
            gram = read.T @ read
            diagonal = gram.diagonal()
            ridge = max(RIDGE, (TOKENS_A_CHANNEL * len(gram) / max(1, len(read))) ** 2)
            ridge = ridge * diagonal + (JITTER * diagonal.mean() if diagonal.sum() > 0 else 1)
            shift = torch.linalg.solve(gram + ridge.diag(), read.T @ missing[mine]).T
            self.experts.down_proj[j] += shift.float()

    def reap(self, x):
        """Scores, and tokens routed to each expert: arXiv 2510.13999's mean of g_j(x) |f_j(x)| over the tokens of j."""
        _, weights, chosen = self.gate(x)
        scores, tokens = [], []
        for j in range(self.count):
            mine = (chosen == j).any(-1)
            alone = self.experts(
                x[mine], torch.full((int(mine.sum()), 1), j), torch.ones(int(mine.sum()), 1)
            )
            gates = (weights * (chosen == j)).sum(-1)[mine]
            scores.append((gates.double() * alone.double().norm(dim=-1)).mean().item())
            tokens.append(int(mine.sum()))
        return scores, tokens


def layers_of(model):
    modules = [getattr(layer, "mlp", None) for layer in model.model.layers]
    return [Layer(i, module) for i, module in enumerate(modules) if hasattr(module, "experts")]


def inputs_of(model, layer, ids):
    """[tokens, hidden] that the layer's router reads."""
    seen = []
    handle = layer.gate.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(ids)
    handle.remove()
    (x,) = seen
    return x.reshape(-1, x.shape[-1])


def lowest(scores, count, margins):
    order = sorted(range(len(scores)), key=scores.__getitem__)
    finite = [scores[j] for j in order if scores[j] != float("inf")]
    if 0 < count < len(finite):
        margins.append((finite[count] - finite[count - 1]) / max(abs(value) for value in finite))
    return order[:count]


def by_error(layer, x, removed, margins):
    dense, gone = layer.output(x), []
    rounds = min(ROUNDS, removed)
    for turn in range(1, rounds + 1):
        more = int(removed * turn / rounds + 0.5) - len(gone)
        errors = [
            float("inf") if j in gone else (layer.output(x, [*gone, j]) - dense).square().sum().item()
            for j in range(layer.count)
        ]
        gone = sorted([*gone, *lowest(errors, more, margins)])
    return gone


@torch.no_grad()
def prune(model, ids, method, removed, refit=False):
    """Leaves the experts of every layer gone. Gives each layer's choice and the margin of the nearest decision."""
    found, margins = [], []
    layers = layers_of(model)
    dense_inputs = {layer.block: inputs_of(model, layer, ids) for layer in layers}
    for layer in layers:
        x = dense_inputs[layer.block] if method == "reap" else inputs_of(model, layer, ids)
        scores, tokens = layer.reap(x)
        gone = (
            lowest(scores, removed, margins)
            if method == "reap"
            else by_error(layer, x, removed, margins)
        )
        dense = layer.output(x)
        layer.gone = sorted(gone)
        if refit:
            layer.refit(x, dense)
        error = (layer.output(x, gone) - dense).square().sum() / dense.square().sum()
        found.append(
            {
                "block": layer.block,
                "kept": [j for j in range(layer.count) if j not in gone],
                "tokens": tokens,
                "relativeError": error.item(),
            }
        )
    return found, min(margins)


@torch.no_grad()
def mean_nll(model, ids):
    logits = model(ids).logits[:, :-1].double()
    return F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).item()
