"""Torch reference of the local stage of Týr-the-Pruner (arXiv 2503.09657) at one sparsity.

Groups go in rounds; what stays is the ridge solution after every round. A round removes the groups of the least
sum over outputs of W_g (inv(inv(H_KK)_gg) W_g / 2 + C_g), C = H W of the dense weight.
"""

import math

import torch
from ridge import Ridge

ROUNDS = {"ffn": 16, "attention": 1}


def part_sizes(total, rounds):
    """As equal as can be, larger ones first."""
    count = min(rounds, total)
    small, larger = divmod(total, max(count, 1))
    return [small + 1] * larger + [small] * (count - larger)


def prune_site(site, x, removed):
    """Removes `removed` groups of a site with inputs x [tokens, in] in place; what stays, and the smallest relative
    distance between what went and what stayed in a round."""
    ridge = Ridge(site, x)
    alive = torch.ones(site.groups, dtype=torch.bool)
    margin = math.inf
    for count in part_sizes(removed, ROUNDS[site.scope]):
        columns, inverse, fitted = ridge.solution(alive)
        blocks = []
        for start in range(0, len(fitted), site.group_size):
            part = slice(start, start + site.group_size)
            mine = fitted[part]
            rise = torch.linalg.inv(inverse[part, part]) @ mine / 2
            blocks.append((mine * (rise + ridge.target[columns][part])).sum())
        scores = torch.stack(blocks)
        order = torch.argsort(scores, stable=True)
        gone, kept = scores[order[count - 1]].item(), scores[order[count]].item()
        margin = min(margin, (kept - gone) / max(abs(kept), abs(gone)))
        groups = torch.nonzero(alive)[:, 0]
        alive[groups[order[:count]]] = False
    return ridge.put(alive), margin
