"""Global, iterative, by first-order importances, in the manner of GISP (arXiv 2510.18030): see lib/methods/gisp.ts."""

import math

import torch

MEASURED, STEP = 24, 1 / 32


def importances(model, ids, sites):
    """[groups] a site: |Σ W_ij dL/dW_ij| over the columns of each group, L the sum of the windows' NLL."""
    model.zero_grad()
    for window in ids:
        logits = model(window[None]).logits[0, :-1]
        torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").backward()
    found = []
    for site in sites:
        weight = site.linear.weight
        terms = (weight.detach().double() * weight.grad.double()).sum(0)
        found.append(terms.view(-1, site.group_size).sum(1).abs())
    return found


def gap(low, high):
    """Relative. Channels that never fire are exactly 0, and the higher index goes first."""
    return (high - low) / high if high > 0 else math.inf


class Order:
    """Groups of all sites in the order in which they go; of a site no more than `most`. Zeroes the columns that go."""

    def __init__(self, model, ids, sites, most):
        total = sum(site.groups * site.cost for site in sites)
        # [groups] a site: which share of the sites' weights goes before the group; 1: it may not go.
        self.places = [torch.ones(site.groups, dtype=torch.float64) for site in sites]
        # How close the nearest end of a step was, and by what each group that goes was ordered.
        self.margin = math.inf
        self.priced = [{} for _ in sites]
        gone = 0
        for step in range(1, MEASURED + 1):
            until = step * STEP * total if step < MEASURED else math.inf
            values = importances(model, ids, sites)
            left = [
                (values[at][g].item() / site.cost, at, -g)
                for at, site in enumerate(sites)
                for g in range(site.groups)
                if g not in self.priced[at]
            ]
            last = None
            for price, at, g in sorted(left):
                if len(self.priced[at]) == most[at]:
                    continue
                if gone >= until:
                    self.margin = min(self.margin, math.inf if last is None else gap(last, price))
                    break
                self.places[at][-g] = gone / total
                self.priced[at][-g] = (step, price)
                gone += sites[at].cost
                last = price
            with torch.no_grad():
                for site, places in zip(sites, self.places):
                    columns = (places < 1).repeat_interleave(site.group_size)
                    site.linear.weight[:, columns] = 0

    def margin_at(self, at, removed):
        """The same of the site's groups where so many of them go."""
        ordered = list(self.priced[at].values())
        if not 0 < removed < len(ordered) or ordered[removed - 1][0] != ordered[removed][0]:
            return self.margin
        return min(self.margin, gap(ordered[removed - 1][1], ordered[removed][1]))
