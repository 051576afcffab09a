"""Allocation problems with curved error curves and what scipy makes of the energy rule on them.

Usage: PYTHONPATH=<numpy and scipy> python3 scripts/oracles/make-allocation-fixtures.py [OUT]
(for example after pip install --target /tmp/pyenv numpy scipy)

OUT (default test/fixtures/allocation) receives energy.json and versions.json. From the definitions in section 5
of docs/method.md: the count at which an energy is measured is an exact fraction rounded up, and at most the
largest one allowed, where a curve ends; the shares are s(mu), cut off at the bounds, at the root mu of
sum N s(mu) = R. That these shares minimise F is not assumed: SLSQP minimises F itself from the uniform shares,
and the script stops where the two differ.
"""

import json
import math
import pathlib
import platform
import sys
from fractions import Fraction

import numpy as np
import scipy
from scipy.optimize import brentq, minimize
from scipy.special import entr, expit

# SLSQP stops where F, scaled to sum N = 1, falls by less than this, which leaves the shares this close.
SLSQP_FTOL, SLSQP_NEAR = 1e-15, 1e-5

# name: (groups of each layer, shape of each curve, largest share, part of all weights to remove, temperature)
PROBLEMS = {
    "convex": ((64, 96, 48, 80), ("convex",) * 4, 0.9, Fraction(1, 5), 0.7),
    "concave": ((50, 120, 33), ("concave",) * 3, 0.9, Fraction(7, 20), 0.5),
    "uneven": ((40, 90, 140, 25, 60), ("uneven",) * 5, 0.8, Fraction(3, 10), 1.3),
    # Few groups beside many, as KV heads beside channels.
    "heads": ((3, 96, 3, 160, 4, 72), ("uneven", "convex", "concave") * 2, 0.9, Fraction(1, 4), 0.4),
    # Cold and tight: cheap layers are full.
    "bounds": ((60, 100, 30, 45), ("convex", "concave", "uneven", "convex"), 0.5, Fraction(2, 5), 0.1),
    # Warm: some are full in one form and not in the other.
    "bounds-warm": ((60, 100, 30, 45), ("concave", "uneven", "convex", "uneven"), 0.4, Fraction(3, 10), 3.0),
    # 0.07 x 100 is above 7 in floating point, and nearly the same for the others.
    "whole-counts": ((100, 200, 100), ("convex", "uneven", "concave"), 0.9, Fraction(7, 100), 0.6),
    # An error that falls for a while, as an unpenalised one may.
    "falling": ((70, 40, 110), ("falling", "convex", "falling"), 0.7, Fraction(9, 20), 2.0),
}


def curve(rng, groups, shape):
    """Errors after 0 ... groups removals, of six digits."""
    steps = rng.random(groups) ** 3 + 1e-3
    if shape == "convex":
        steps.sort()
    elif shape == "concave":
        steps = np.sort(steps)[::-1]
    elif shape == "falling":
        steps[groups // 8 : groups // 4] *= -0.3
    errors = 10 ** rng.uniform(-1, 1) * np.cumsum(steps)
    return [0.0] + [float(f"{error:.6g}") for error in errors]


def energies(layers, remove):
    total = sum(layer["groups"] * layer["cost"] for layer in layers)
    share = Fraction(remove, total)
    each = []
    for layer in layers:
        count = min(math.ceil(share * layer["groups"]), layer["most"])
        weights = layer["groups"] * layer["cost"]
        each.append(layer["weight"] * layer["curve"][count] / float(share * weights))
    sizes = [layer["groups"] * layer["cost"] for layer in layers]
    return np.array(each) / np.average(each, weights=sizes)


def closed_form(form, epsilon, sizes, caps, remove, temperature):
    def shares(mu):
        x = (mu - epsilon) / temperature
        return np.minimum(caps, expit(x) if form == "full" else np.exp(np.minimum(x, 0)))

    def excess(mu):
        return sizes @ shares(mu) / remove - 1

    reach = 50 * temperature
    mu = brentq(excess, epsilon.min() - reach, epsilon.max() + reach, xtol=1e-15, rtol=4 * np.finfo(float).eps)
    return shares(mu)


def direct(form, epsilon, sizes, caps, remove, temperature):
    part, goal = sizes / sizes.sum(), remove / sizes.sum()

    def free_energy(s):
        entropy = entr(s) + entr(1 - s) if form == "full" else s + entr(s)
        return part @ (epsilon * s - temperature * entropy)

    def gradient(s):
        slope = np.log(s / (1 - s)) if form == "full" else np.log(s)
        return part * (epsilon + temperature * slope)

    least = 1e-12  # the logarithm's
    found = minimize(
        free_energy,
        caps * goal / (part @ caps),
        jac=gradient,
        method="SLSQP",
        bounds=[(least, cap) for cap in caps],
        constraints={"type": "eq", "fun": lambda s: part @ s - goal, "jac": lambda s: part},
        options={"ftol": SLSQP_FTOL, "maxiter": 1000},
    )
    return found.x


def problem(seed, widths, shapes, largest, part, temperature):
    rng = np.random.default_rng(seed)
    layers = []
    for groups, shape in zip(widths, shapes):
        # Curves end where no more may go.
        most = min(groups - 1, math.floor(Fraction(str(largest)) * groups))
        cost = int(rng.integers(3, 40)) * (40 if groups < 10 else 1)
        errors = curve(rng, groups, shape)[: most + 1]
        layers.append(
            dict(groups=groups, cost=cost, most=most, weight=float(f"{rng.uniform(0.2, 3):.6g}"), curve=errors)
        )
    sizes = np.array([layer["groups"] * layer["cost"] for layer in layers], dtype=float)
    caps = np.array([layer["most"] / layer["groups"] for layer in layers])
    remove = math.floor(part * int(sizes.sum()))
    epsilon = energies(layers, remove)
    shares = {}
    for form in ("dilute", "full"):
        exact = closed_form(form, epsilon, sizes, caps, remove, temperature)
        gap = np.abs(exact - direct(form, epsilon, sizes, caps, remove, temperature)).max()
        assert gap < SLSQP_NEAR, f"{form}: SLSQP is {gap} away"
        shares[form] = exact.tolist()
    return dict(layers=layers, remove=remove, temperature=temperature, energies=epsilon.tolist(), shares=shares)


def main():
    here = pathlib.Path(__file__).resolve().parent
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here.parents[1] / "test/fixtures/allocation"
    out.mkdir(parents=True, exist_ok=True)
    problems = {}
    for seed, (name, arguments) in enumerate(PROBLEMS.items(), start=201):
        problems[name] = made = problem(seed, *arguments)
        full = {
            form: sum(s == l["most"] / l["groups"] for s, l in zip(shares, made["layers"]))
            for form, shares in made["shares"].items()
        }
        print(name, "layers at their bound", full)
    (out / "energy.json").write_text(json.dumps(problems) + "\n")
    versions = {
        "script": "scripts/oracles/make-allocation-fixtures.py",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
