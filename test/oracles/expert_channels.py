"""Which channels inside the experts of a transformers model stay, by magnitudes, Wanda's score or backward elimination in
double, and what their output maps become by ridge regression on the tokens that are routed to each.

A channel is gone when its column of the output map is zero: everything else is the model's own code.
"""

import torch
import torch.nn.functional as F

from experts import inputs_of, layers_of
from ridge import JITTER, ridge_of


def read_by(layer, x, j):
    """[tokens, channels] that the output map of expert j reads, times its weights for the tokens that are routed to it."""
    _, weights, chosen = layer.gate(x)
    mine = (chosen == j).any(-1)
    gates = (weights * (chosen == j)).sum(-1)[mine].double()
    gate, up = F.linear(x[mine], layer.experts.gate_up_proj[j]).double().chunk(2, dim=-1)
    return gates[:, None] * layer.experts.act_fn(gate) * up


def lowest(scores, count, margins):
    order = scores.argsort()
    margins.append(((scores[order[count]] - scores[order[count - 1]]) / scores.max()).item())
    return order[:count].tolist()


def by_elimination(gram, target, removed, margins):
    """One channel after the other goes without which the penalised error of the others, refitted, is least."""
    alive = list(range(len(gram)))
    for _ in range(removed):
        inverse = torch.linalg.inv(gram[alive][:, alive])
        fitted = inverse @ target[alive]
        costs = fitted.square().sum(1) / inverse.diagonal()
        first, second = costs.topk(2, largest=False).values.tolist()
        margins.append((second - first) / second)
        del alive[costs.argmin().item()]
    return [j for j in range(len(gram)) if j not in alive]


def cut(layer, x, j, method, removed, refit, margins):
    """Leaves an expert's map without its channels. Gives those that stay, its tokens, and the error as a share of its energy."""
    read = read_by(layer, x, j)
    weight = layer.experts.down_proj[j].double().T  # [channels, hidden]
    gram = read.T @ read
    if method == "magnitude-l2":
        gone = lowest(weight.norm(dim=1), removed, margins)
    elif method == "wanda-sp":
        gone = lowest(weight.abs().mean(1) * read.norm(dim=0), removed, margins)
    else:
        ridge = ridge_of(len(gram), len(read))
        diagonal = gram.diagonal()
        ridged = gram + torch.diag(ridge * diagonal + JITTER * diagonal.mean())
        gone = by_elimination(ridged, ridged @ weight, removed, margins)
    stay = [i for i in range(len(gram)) if i not in gone]
    left = torch.zeros_like(weight)
    left[stay] = (
        torch.linalg.solve(ridged[stay][:, stay], (ridged @ weight)[stay]) if refit else weight[stay]
    )
    layer.experts.down_proj[j] = left.T.float()
    error = (read @ (left - weight)).square().sum() / (read @ weight).square().sum()
    return stay, len(read), error.item()


@torch.no_grad()
def prune(model, ids, method, removed, refit=False):
    """Leaves so many channels of every expert gone. Gives each layer's choices and the margin of the nearest decision."""
    found, margins = [], []
    for layer in layers_of(model):
        x = inputs_of(model, layer, ids)
        cuts = [cut(layer, x, j, method, removed, refit, margins) for j in range(layer.count)]
        kept, tokens, errors = (list(each) for each in zip(*cuts))
        found.append({"block": layer.block, "kept": kept, "tokens": tokens, "errors": errors})
    return found, min(margins)
