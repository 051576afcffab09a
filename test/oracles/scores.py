"""Scores of the baselines from their papers; [groups], higher = keep."""

import torch


def magnitude(site, _moments):
    """Column norms of the output map, summed over a group (the comparison of arXiv 2312.11983)."""
    norms = torch.linalg.vector_norm(site.linear.weight.detach().double(), dim=0)
    return norms.view(-1, site.group_size).sum(1)


def wanda_sp(site, moments):
    """|W_ij| * ||X_j||_2 (arXiv 2306.11695), mean over outputs, summed over a group."""
    metric = site.linear.weight.detach().double().abs() * moments.square.sqrt()[None, :]
    return metric.mean(0).view(-1, site.group_size).sum(1)


def flap_standardised(site, moments):
    """WIFV, sample variance of x_j times ||W_j||^2, standardised over the columns of the site and
    averaged over a group (arXiv 2312.11983)."""
    weight = site.linear.weight.detach().double()
    metric = moments.variance * weight.pow(2).sum(0)
    standard = (metric - metric.mean()) / metric.std(correction=1)
    return standard.view(-1, site.group_size).mean(1)


def unipruning(site, moments):
    """Relative importance and activations (arXiv 2402.09025, as arXiv 2510.03291 has it), summed over outputs and a group."""
    weight = site.linear.weight.detach().double().abs()
    relative = weight / weight.sum(0, keepdim=True) + weight / weight.sum(1, keepdim=True)
    metric = relative * (moments.square / moments.tokens).sqrt()[None, :]
    return metric.sum(0).view(-1, site.group_size).sum(1)


# name: (score, whether it reads the model pruned so far, whether means go into the bias, whether a group's
# score is compared between sites as it is rather than per weight)
METHODS = {
    "magnitude-l2": (magnitude, False, False, False),
    "wanda-sp": (wanda_sp, True, False, False),
    "unipruning": (unipruning, False, False, False),
    "flap": (flap_standardised, False, True, True),
}
