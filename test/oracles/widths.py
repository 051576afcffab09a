"""How many groups each site gives up: the same share everywhere, or one threshold over all sites."""

import math


def allowed(site, multiple, max_share):
    """Removal counts that leave a multiple (FFN) or whole KV heads, at least one step, at most max_share."""
    step = multiple if site.scope == "ffn" else 1
    return [
        k
        for k in range(site.groups)
        if k == 0 or ((site.groups - k) % step == 0 and k <= max_share * site.groups + 1e-9)
    ]


def uniform(sites, remove, multiple, max_share):
    """For models whose blocks are alike. KV heads to the nearest count, then FFN widths up to the budget."""
    counts = {}
    scopes = sorted({site.scope for site in sites})  # attention before ffn
    share = remove / sum(site.groups * site.cost for site in sites)
    for scope in scopes:
        mine = [site for site in sites if site.scope == scope]
        choices = allowed(mine[0], multiple, max_share)
        weights = sum(site.cost for site in mine)
        if scope == scopes[-1]:
            counts[scope] = next(k for k in choices if k * weights >= remove)
        else:
            wanted = share * mine[0].groups
            counts[scope] = min(choices, key=lambda k: (abs(k - wanted), k))
        remove -= counts[scope] * weights
    return [counts[site.scope] for site in sites]


def threshold(sites, scores, remove, multiple, max_share, raw):
    """One threshold over all sites: steps between allowed widths, each at the mean score of its groups
    (raw) or at its score per weight, cheapest first until the budget is met."""
    steps = []
    for index, (site, values) in enumerate(zip(sites, scores)):
        ordered = sorted(values.tolist())
        choices = allowed(site, multiple, max_share)
        for low, high in zip(choices, choices[1:]):
            price = sum(ordered[low:high]) / (high - low)
            steps.append((price if raw else price / site.cost, index, high, high - low))
    counts = [0] * len(sites)
    missing = remove
    price = -math.inf
    margin = math.inf
    for next_price, index, high, groups in sorted(steps):
        if missing <= 0:
            margin = (next_price - price) / (abs(price) + raw)
            break
        counts[index] = high
        missing -= groups * sites[index].cost
        price = next_price
    assert missing <= 0, "infeasible"
    return counts, margin
