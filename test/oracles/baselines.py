"""Torch reference of structured magnitude, Wanda-sp and FLAP, written from the papers.

Usage: python3 test/oracles/baselines.py --model DIR --ids FILE.json --method magnitude|wanda-sp|flap
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
import scores as baseline_scores  # noqa: E402
import sites as model_sites  # noqa: E402
import widths  # noqa: E402

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


def prune(model, ids, method, sparsity, allocation, scope, multiple=8, max_share=0.9):
    """Prunes the model in place (columns of the output maps are zeroed)."""
    score, sequential, mean_bias, raw = baseline_scores.METHODS[method]
    all_sites = model_sites.sites_of(model)
    sites = [site for site in all_sites if site.scope in SCOPES[scope]]
    total = model_sites.linear_weights(model)
    remove = math.ceil(sparsity * total - 1e-9)
    before = model_sites.mean_nll(model, ids)

    # Dense statistics: what methods without sequential inputs score on, and what every threshold is made of.
    moments = [model_sites.moments_of(model, ids, site) for site in sites]
    dense = [score(site, m) for site, m in zip(sites, moments)]
    margins = []
    if allocation == "uniform":
        counts = widths.uniform(sites, remove, multiple, max_share)
    else:
        counts, margin = widths.threshold(sites, dense, remove, multiple, max_share, raw)
        margins.append(margin)

    kept = {}
    for site, count, old, values in zip(sites, counts, moments, dense):
        if sequential:
            values = score(site, model_sites.moments_of(model, ids, site))
        keep, margin = keep_best(values, count)
        margins.append(margin)
        kept[site.block, site.scope] = keep
        model_sites.remove_groups(site, keep, old.mean if mean_bias else None)

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
        "margin": min(margins),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--ids", required=True)
    parser.add_argument("--method", required=True, choices=sorted(baseline_scores.METHODS))
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
