"""Torch reference of the refit of an output map: ridge regression on the columns that stay."""

import torch

JITTER = 1e-6


def ridge_of(columns, tokens):
    """As a share of the diagonal of the Gram matrix: docs/decisions/0040."""
    return max(0.05, (6 * columns / tokens) ** 2)


class Ridge:
    """Of a site with inputs x [tokens, in]."""

    def __init__(self, site, x):
        self.site = site
        self.weight = site.linear.weight.detach().double().T  # [in, out]
        self.mean = x.mean(0)
        # A bias of the map absorbs the mean.
        centred = x if site.linear.bias is None else x - self.mean
        gram = centred.T @ centred
        diagonal = gram.diagonal()
        ridge = ridge_of(len(gram), len(x))
        self.gram = gram + torch.diag(ridge * diagonal + JITTER * diagonal.mean())
        self.target = self.gram @ self.weight

    def solution(self, alive):
        """Columns of the groups that are alive, the inverse of their Gram matrix, and their weights [columns, out]."""
        columns = alive.repeat_interleave(self.site.group_size)
        inverse = torch.linalg.inv(self.gram[columns][:, columns])
        return columns, inverse, inverse @ self.target[columns]

    def put(self, alive):
        """The map refitted in place, columns of other groups zero; the groups that stay."""
        columns, _, fitted = self.solution(alive)
        result = torch.zeros_like(self.weight)
        result[columns] = fitted
        linear = self.site.linear
        with torch.no_grad():
            if linear.bias is not None:
                linear.bias += ((self.weight - result).T @ self.mean).float()
            linear.weight.copy_(result.T)
        return torch.nonzero(alive)[:, 0].tolist()
