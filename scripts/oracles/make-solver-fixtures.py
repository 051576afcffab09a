"""Small sites and what numpy computes of them: sweep, refit, swap pass and one ADMM run.

Usage: PYTHONPATH=<numpy> python3 scripts/oracles/make-solver-fixtures.py [OUT]

OUT (default test/fixtures/solver) receives one JSON file a site and versions.json. Everything is computed
in float64 from the tokens by dense least squares (numpy.linalg.lstsq on the stacked system of tokens and
ridge rows), not from Gram matrices, and the sweep and the swaps try every candidate with a full solve.
"""

import json
import pathlib
import platform
import sys

import numpy as np

LAMBDA = 0.05
ADMM = dict(rho=0.1, rhoGrowth=1.1, rhoMax=1000.0, still=5, tolerance=1e-3, maxIterations=100)

# name: (tokens, in, out, group, old bias, refit the bias, residual, Fisher curve)
SITES = {
    "columns": (80, 24, 10, 1, False, False, False, False),
    "columns-bias-residual": (70, 20, 8, 1, True, True, True, False),
    "columns-fisher": (80, 20, 8, 1, False, False, False, True),
    "heads": (90, 24, 8, 4, True, True, False, True),
    "few-tokens": (9, 18, 6, 1, False, False, False, False),
}


class Site:
    def __init__(self, seed, tokens, width, out, group, old_bias, bias, residual, fisher):
        rng = np.random.default_rng(seed)
        mix = np.eye(width) + 0.5 * rng.standard_normal((width, width)) / np.sqrt(width)
        scale = np.exp(0.7 * rng.standard_normal(width))
        self.x = (rng.standard_normal((tokens, width)) @ mix.T + 0.4 * rng.standard_normal(width)) * scale
        self.w = rng.standard_normal((out, width)).astype(np.float32).astype(np.float64)
        self.b = rng.standard_normal(out).astype(np.float32) if old_bias else None
        self.r = np.zeros((tokens, out))
        self.residual = residual
        if residual:
            self.r = 0.3 * rng.standard_normal((tokens, out)) + 0.1 * self.x[:, :out] + 0.2
        self.g = None
        if fisher:
            root = rng.standard_normal((out, out))
            self.g = root @ root.T
        self.group, self.bias, self.tokens = group, bias, tokens
        centred = self.x - self.x.mean(0) if bias else self.x
        diagonal = (centred**2).sum(0)
        self.ridge = LAMBDA * diagonal + 1e-6 * diagonal.mean()

    @property
    def groups(self):
        return self.w.shape[1] // self.group

    def columns(self, keep):
        return np.repeat(keep, self.group).astype(bool)

    def refit(self, keep):
        """Weight with zeros where removed, change of the bias, penalised and unpenalised squares."""
        kept = self.columns(keep)
        width = self.w.shape[1]
        design = np.vstack([self.x, np.diag(np.sqrt(self.ridge))])[:, kept]
        target = np.vstack([self.x @ self.w.T + self.r, np.sqrt(self.ridge)[:, None] * self.w.T])
        if self.bias:
            ones = np.concatenate([np.ones(self.tokens), np.zeros(width)])
            design = np.column_stack([design, ones])
        solution = np.linalg.lstsq(design, target, rcond=None)[0]
        weight = np.zeros_like(self.w)
        weight[:, kept] = solution[: kept.sum()].T
        shift = solution[-1] if self.bias else np.zeros(self.w.shape[0])
        miss = self.x @ (weight - self.w).T + shift - self.r
        error = (miss**2).sum()
        penalised = error + (self.ridge * (weight - self.w) ** 2).sum()
        return weight, shift, penalised, error, miss

    def curve_error(self, keep):
        _, _, _, error, miss = self.refit(keep)
        if self.g is None:
            return error
        return np.einsum("ta,ab,tb->", miss, self.g, miss) / (2 * self.tokens)

    def sweep(self):
        keep = np.ones(self.groups, dtype=int)
        order, cost, error = [], [], [self.curve_error(keep)]
        now = self.refit(keep)[2]
        for _ in range(self.groups):
            tries = {}
            for g in np.flatnonzero(keep):
                keep[g] = 0
                tries[g] = self.refit(keep)[2]
                keep[g] = 1
            best, second = sorted(tries.values())[:2] if len(tries) > 1 else (min(tries.values()), np.inf)
            assert second - best > 1e-7 * best, "a choice too close for a fixture"
            g = min(tries, key=tries.get)
            keep[g] = 0
            order.append(int(g))
            cost.append(best - now)
            error.append(self.curve_error(keep))
            now = best
        return dict(order=order, cost=cost, error=error)

    def swap(self, keep):
        keep = np.array(keep)
        swaps, now = [], self.refit(keep)[2]
        before = now
        while True:
            tries = {}
            for i in np.flatnonzero(keep):
                for r in np.flatnonzero(keep == 0):
                    mask = keep.copy()
                    mask[i], mask[r] = 0, 1
                    tries[(int(i), int(r))] = self.refit(mask)[2]
            pair = min(tries, key=tries.get)
            if tries[pair] >= now * (1 - 1e-9):
                return dict(keep=keep.tolist(), swaps=swaps, before=before, after=now)
            keep[pair[0]], keep[pair[1]] = 0, 1
            swaps.append(pair)
            now = tries[pair]

    def admm(self, kept):
        """Section 4 of docs/method.md with the schedule of lib/solver/admm.ts; keeps `kept` groups."""
        x, r = self.x, self.r
        if self.bias:
            x, r = x - x.mean(0), r - r.mean(0)
        h = x.T @ x + np.diag(self.ridge)
        c = (x @ self.w.T + r).T @ x + self.w * self.ridge
        d = np.sqrt(np.diag(h))
        a, right = h / np.outer(d, d), c / d
        w = np.linalg.solve(a, right.T).T
        z, u = w.copy(), np.zeros_like(w)
        keep = np.ones(self.groups, dtype=int)
        rho, unchanged, history = ADMM["rho"], 0, []
        while len(history) < ADMM["maxIterations"]:
            w = np.linalg.solve(a + rho * np.eye(len(d)), (right + rho * (z - u)).T).T
            energies = ((w + u) ** 2).sum(0).reshape(self.groups, self.group).sum(1)
            chosen = np.argsort(-energies, kind="stable")[:kept]
            mask = np.zeros(self.groups, dtype=int)
            mask[chosen] = 1
            new = (w + u) * self.columns(mask)
            dual_move = rho * np.linalg.norm(new - z)
            z = new
            u = u + w - z
            changed = int((mask != keep).sum())
            keep = mask
            primal = np.linalg.norm(w - z) / max(np.linalg.norm(w), np.linalg.norm(z))
            dual = dual_move / (rho * np.linalg.norm(u))
            history.append(
                dict(rho=rho, changed=changed, primal=primal, dual=dual, mask=mask.tolist())
            )
            unchanged = unchanged + 1 if changed == 0 else 0
            if unchanged >= ADMM["still"] and max(primal, dual) <= ADMM["tolerance"]:
                return dict(kept=kept, converged=True, keep=keep.tolist(), history=history)
            if changed > 0 and rho < ADMM["rhoMax"]:
                grown = min(ADMM["rhoMax"], rho * ADMM["rhoGrowth"])
                u *= rho / grown
                rho = grown
        return dict(kept=kept, converged=False, keep=keep.tolist(), history=history)

    def sums(self):
        flat = lambda array: np.asarray(array, dtype=np.float64).ravel().tolist()
        data = {
            "in": self.w.shape[1],
            "out": self.w.shape[0],
            "tokens": self.tokens,
            "groupSize": self.group,
            "lambda": LAMBDA,
            "gram": flat(self.x.T @ self.x),
            "sums": flat(self.x.sum(0)),
            "weight": flat(self.w),
        }
        if self.b is not None:
            data["bias"] = flat(self.b)
        if self.residual:
            data["cross"] = flat(self.r.T @ self.x)
            data["residualSums"] = flat(self.r.sum(0))
            data["residualNormSq"] = float((self.r**2).sum())
        if self.g is not None:
            data["fisher"] = flat(self.g)
        return data


def describe(site):
    keep = np.ones(site.groups, dtype=int)
    keep[1::3] = 0
    weight, shift, _, error, _ = site.refit(keep)
    old = site.b if site.b is not None else np.zeros(len(shift))
    start = np.zeros(site.groups, dtype=int)
    start[: site.groups // 2] = 1
    target = site.x @ site.w.T + site.r
    return dict(
        sums=site.sums(),
        bias=site.bias,
        curve="fisher" if site.g is not None else "plain",
        targetNormSq=float((target**2).sum()),
        sweep=site.sweep(),
        refit=dict(
            keep=keep.tolist(),
            weight=weight[:, site.columns(keep)].ravel().tolist(),
            bias=(old + shift).tolist() if site.bias else None,
            error=error,
        ),
        swap=dict(start=start.tolist(), **site.swap(start)),
        admm=dict(options=ADMM, **site.admm(max(1, site.groups // 2))),
    )


def main():
    here = pathlib.Path(__file__).resolve().parent
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parents[1] / "test/fixtures/solver"
    out.mkdir(parents=True, exist_ok=True)
    for seed, (name, arguments) in enumerate(SITES.items(), start=101):
        site = describe(Site(seed, *arguments))
        (out / f"{name}.json").write_text(json.dumps(site) + "\n")
        print(name, "admm steps", len(site["admm"]["history"]), "converged", site["admm"]["converged"])
    versions = {
        "script": "scripts/oracles/make-solver-fixtures.py",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
