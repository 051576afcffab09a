"""Torch reference of structured magnitude, Wanda-sp, UniPruning's score, FLAP, Týr's local stage, FASP and GISP.

Usage: python3 test/oracles/baselines.py --model DIR --ids FILE.json --method magnitude-l2|wanda-sp|unipruning|flap|tyr-local|fasp|gisp
         --sparsity S [--allocation uniform|threshold] [--scope ffn|attention|all] [--multiple M]
FILE.json holds token ids, [windows][window], all windows of one length. S = removed / all linear weights of
all blocks. Prints JSON: kept FFN channels and KV heads of every block, NLL before and after, and
the smallest relative distance between what was kept and what was removed.
"""

import argparse
import json
import math
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import gisp  # noqa: E402
import rounds  # noqa: E402
import scores as baseline_scores  # noqa: E402
import sites as model_sites  # noqa: E402
import widths  # noqa: E402
from ridge import Ridge  # noqa: E402

METHODS = [*baseline_scores.METHODS, "tyr-local", "fasp", "gisp"]
SCOPES = {"ffn": ["ffn"], "attention": ["attention"], "all": ["attention", "ffn"]}


def keep_best(values, removed):
    """Indices to keep, and how far (relative) the worst of them is from the best that went."""
    # Of equal scores the higher index goes first.
    order = sorted(range(len(values)), key=lambda g: (values[g].item(), -g))
    margin = math.inf
    if 0 < removed < len(order):
        gone, kept = values[order[removed - 1]].item(), values[order[removed]].item()
        margin = (kept - gone) / max(abs(kept), abs(gone))
    return sorted(order[removed:]), margin


def prune_by_sum(site, x, removed):
    """FASP (arXiv 2501.09412): groups of the least Σ_i |W_ij| ‖X_j‖ go, and the rest is restored by least squares; with our
    ridge."""
    norms = torch.linalg.vector_norm(x, dim=0)
    weight = site.linear.weight.detach().double()
    values = (weight.abs() * norms).sum(0).view(-1, site.group_size).sum(1)
    keep, margin = keep_best(values, removed)
    alive = torch.zeros(site.groups, dtype=torch.bool)
    alive[keep] = True
    return Ridge(site, x).put(alive), margin


REFITTED = {"tyr-local": rounds.prune_site, "fasp": prune_by_sum}


def prune_refitted(model, ids, method, sites, counts):
    """[(groups kept, margin)] a site, on inputs of the model pruned so far."""
    return [
        REFITTED[method](site, model_sites.inputs_of(model, ids, site), count)
        for site, count in zip(sites, counts)
    ]


def prune_in_order(model, ids, sites, remove, multiple, max_share):
    """How many groups of every site went, and [(groups kept, margin)]: by one order of all sites' groups."""
    weights = [site.linear.weight.detach().clone() for site in sites]
    most = [widths.allowed(site, multiple, max_share)[-1] for site in sites]
    order = gisp.Order(model, ids, sites, most)
    counts, _ = widths.threshold(sites, order.places, remove, multiple, max_share, True)
    results = []
    for at, (site, weight, count) in enumerate(zip(sites, weights, counts)):
        with torch.no_grad():
            site.linear.weight.copy_(weight)
        keep, _ = keep_best(order.places[at], count)
        results.append((keep, order.margin_at(at, count)))
        model_sites.remove_groups(site, keep)
    return counts, results


def prune_by_scores(model, ids, method, sites, remove, allocation, multiple, max_share):
    """How many groups of every site went, and [(groups kept, margin)]."""
    score, sequential, mean_bias, raw = baseline_scores.METHODS[method]
    # Dense statistics: what methods without sequential inputs score on, and what every threshold is made of.
    moments = [model_sites.moments_of(model, ids, site) for site in sites]
    dense = [score(site, m) for site, m in zip(sites, moments)]
    between = math.inf
    if allocation == "uniform":
        counts = widths.uniform(sites, remove, multiple, max_share)
    else:
        counts, between = widths.threshold(sites, dense, remove, multiple, max_share, raw)

    results = []
    for site, count, old, values in zip(sites, counts, moments, dense):
        if sequential:
            values = score(site, model_sites.moments_of(model, ids, site))
        keep, margin = keep_best(values, count)
        results.append((keep, min(margin, between)))
        model_sites.remove_groups(site, keep, old.mean if mean_bias else None)
    return counts, results


def prune(model, ids, method, sparsity, allocation, scope, multiple=8, max_share=0.9):
    """Prunes the model in place (columns of the output maps are zeroed)."""
    all_sites = model_sites.sites_of(model)
    sites = [site for site in all_sites if site.scope in SCOPES[scope]]
    total = model_sites.linear_weights(model)
    remove = math.ceil(sparsity * total - 1e-9)
    before = model_sites.mean_nll(model, ids)
    if method in REFITTED:
        counts = widths.uniform(sites, remove, multiple, max_share)
        results = prune_refitted(model, ids, method, sites, counts)
    elif method == "gisp":
        counts, results = prune_in_order(model, ids, sites, remove, multiple, max_share)
    else:
        counts, results = prune_by_scores(
            model, ids, method, sites, remove, allocation, multiple, max_share
        )
    kept = {(site.block, site.scope): keep for site, (keep, _) in zip(sites, results)}

    def kept_of(block, scope, groups):
        return kept.get((block, scope), list(range(groups)))

    blocks = {site.block: {} for site in all_sites}
    for site in all_sites:
        key = "ffn" if site.scope == "ffn" else "kvHeads"
        blocks[site.block][key] = kept_of(site.block, site.scope, site.groups)
    removed = sum(site.cost * count for site, count in zip(sites, counts))
    return {
        "blocks": [blocks[b] for b in sorted(blocks)],
        "removedWeights": removed,
        "linearWeights": total,
        "nllBefore": round(before, 7),
        "nllAfter": round(model_sites.mean_nll(model, ids), 7),
        "margin": min(margin for _, margin in results),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--ids", required=True)
    parser.add_argument("--method", required=True, choices=METHODS)
    parser.add_argument("--sparsity", required=True, type=float)
    parser.add_argument("--allocation", default="uniform", choices=["uniform", "threshold"])
    parser.add_argument("--scope", default="ffn", choices=sorted(SCOPES))
    parser.add_argument("--multiple", default=8, type=int)
    parser.add_argument("--max-share", default=0.9, type=float)
    args = parser.parse_args()
    ids = torch.tensor(json.loads(pathlib.Path(args.ids).read_text()))
    model = model_sites.open_model(args.model)
    result = prune(
        model,
        ids,
        args.method,
        args.sparsity,
        args.allocation,
        args.scope,
        args.multiple,
        args.max_share,
    )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
