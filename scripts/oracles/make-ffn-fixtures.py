"""One round of Gauss-Newton, with J written out as a dense matrix, and one iteration of auxiliary variables, on the FFN of
small random models.

Usage: PYTHONPATH=<numpy, safetensors> python3 scripts/oracles/make-ffn-fixtures.py [OUT]

OUT (default test/fixtures/ffn) receives one JSON file a model and versions.json. Block 0 keeps a few channels. Everything
is computed in float64 from the tokens; J is checked against finite differences and the whole solution against a direct
solve of the normal equations before anything is written. Run make-model-fixtures.py first.
"""

import json
import pathlib
import platform
import sys

import numpy as np
from safetensors.numpy import load_file

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LAMBDA, DAMPING, FLOOR = 0.05, 0.5, 1e-6
TOKENS, CHANNELS, STEPS = 48, 7, 3
LLAMA = ("model.layers.0.mlp.", ["gate_proj", "up_proj"], "down_proj")
OPT = ("model.decoder.layers.0.", ["fc1"], "fc2")
MODELS = {"llama2": LLAMA, "llama-bias": LLAMA, "opt-pre": OPT}


def activation(name, z):
    """Value and slope."""
    if name == "opt-pre":
        return np.maximum(z, 0), (z > 0).astype(float)
    s = 1 / (1 + np.exp(-z))
    return z * s, s * (1 + z * (1 - s))


class Ffn:
    def __init__(self, name, rng):
        prefix, inputs, output = MODELS[name]
        stored = load_file(ROOT / "test" / "fixtures" / "models" / name / "model.safetensors")
        weights = {key: value.astype(np.float64) for key, value in stored.items()}
        self.name = name
        self.biased = f"{prefix}{inputs[0]}.bias" in weights
        parts = [weights[f"{prefix}{part}.weight"] for part in inputs]
        if self.biased:
            biases = [weights[f"{prefix}{part}.bias"] for part in inputs]
            parts = [np.column_stack(pair) for pair in zip(parts, biases)]
        down, self.bias = weights[f"{prefix}{output}.weight"], weights.get(f"{prefix}{output}.bias", 0.0)
        hidden, width = down.shape
        x = np.round(rng.standard_normal((TOKENS, hidden)) * np.exp(0.3 * rng.standard_normal(hidden)), 3)
        self.plain_inputs = x
        self.x = np.column_stack([x, np.ones(TOKENS)]) if self.biased else x
        dense = self.hidden(parts)[0] @ down.T + self.bias
        self.y = np.round(dense + 0.05 * dense.std() * rng.standard_normal(dense.shape), 5)
        energy = (self.hidden(parts)[0] ** 2).sum(0) * (down**2).sum(0)
        self.keep = np.sort(np.argsort(-energy)[:CHANNELS])
        self.theta = np.concatenate([part[self.keep] for part in parts])  # [parts * channels, inputs]
        self.parts = len(parts)
        self.down_origin = down[:, self.keep]

    def hidden(self, parts):
        """P, and its slopes by the pre-activations of every part."""
        if len(parts) == 1:
            value, slope = activation(self.name, self.x @ parts[0].T)
            return value, [slope]
        up = self.x @ parts[1].T
        value, slope = activation(self.name, self.x @ parts[0].T)
        return value * up, [slope * up, value]

    def split(self, theta):
        return np.split(theta, self.parts)

    def refit(self, theta):
        """The output map and its bias by least squares with the ridge, where there is a bias an unpenalised column."""
        p, _ = self.hidden(self.split(theta))
        centre = p - p.mean(0) if self.biased else p
        diagonal = (centre**2).sum(0)
        ridge = np.sqrt(LAMBDA * diagonal + 1e-6 * diagonal.mean())
        ones = np.ones((TOKENS, 1)) if self.biased else np.zeros((TOKENS, 0))
        system = np.vstack([np.hstack([p, ones]), np.hstack([np.diag(ridge), np.zeros((len(ridge), ones.shape[1]))])])
        right = np.vstack([self.y - (0 if self.biased else self.bias), ridge[:, None] * self.down_origin.T])
        solution = np.linalg.lstsq(system, right, rcond=None)[0]
        self.down, self.fitted = solution[: len(ridge)].T, (solution[-1] if self.biased else self.bias)
        return ((self.y - self.output(theta)) ** 2).sum()

    def output(self, theta):
        return self.hidden(self.split(theta))[0] @ self.down.T + self.fitted

    def jacobian(self, theta):
        """[tokens * outputs, theta.size]."""
        _, slopes = self.hidden(self.split(theta))
        blocks = [np.einsum("oj,tj,ti->toji", self.down, slope, self.x) for slope in slopes]
        return np.concatenate(blocks, axis=2).reshape(self.y.size, theta.size)

    def preconditioner(self, theta):
        """Dense inverse, and the diagonal of what it approximates."""
        _, slopes = self.hidden(self.split(theta))
        gram = self.x.T @ self.x
        curvatures = [(self.down.T @ self.down) * (slope.T @ slope) for slope in slopes]
        size = theta.size // self.parts
        inverse = np.zeros((theta.size, theta.size))
        for part, curvature in enumerate(curvatures):
            at = slice(part * size, (part + 1) * size)
            inverse[at, at] = np.linalg.inv(np.kron(damped(curvature), damped(gram)) / TOKENS)
        diagonal = np.concatenate([np.kron(np.diag(c), np.diag(gram)) for c in curvatures]) / TOKENS
        return inverse, diagonal


def damped(matrix):
    diagonal = np.diag(matrix)
    return matrix + np.diag(DAMPING * diagonal + FLOOR * diagonal.mean())


def check_jacobian(ffn, theta, jacobian, rng):
    direction = rng.standard_normal(theta.shape)
    step = 1e-7  # small enough that no ReLU turns over
    difference = (ffn.output(theta + step * direction) - ffn.output(theta - step * direction)) / (2 * step)
    gap = np.abs(difference.ravel() - jacobian @ direction.ravel()).max()
    assert gap < 1e-5 * np.abs(difference).max(), gap


def conjugate_gradients(normal, right, inverse, steps):
    shift, residual, lines, direction, norm = np.zeros_like(right), right.copy(), [], None, None
    for _ in range(steps):
        z = inverse @ residual
        next_norm = residual @ z
        if next_norm < 1e-24 * (right @ right):
            break
        direction = z if direction is None else z + next_norm / norm * direction
        norm = next_norm
        image = normal @ direction
        lines.append({"slope": residual @ direction, "curvature": direction @ image})
        step = lines[-1]["slope"] / lines[-1]["curvature"]
        shift, residual = shift + step * direction, residual - step * image
    return shift, lines


def nearest_minimum(slope_of, start):
    """The first stationary point of a function of one variable downhill from start, by bisection of its derivative."""
    sign = -np.sign(slope_of(start))
    if sign == 0:
        return start
    low, step = 0.0, 1e-3
    while sign * slope_of(start + sign * (low + step)) < 0:
        low += step
    high = low + step
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sign * slope_of(start + sign * middle) < 0 else (low, middle)
    return start + sign * high


def best_gate(name, p, up, start, beta):
    def slope_of(z):
        value, slope = activation(name, z)
        return -2 * (p - value * up) * slope * up + 2 * beta * (z - start)

    return nearest_minimum(slope_of, start)


def best_relu(p, start, beta):
    """By trying: the cost is a parabola on either side of 0."""

    def cost(z):
        return (p - max(z, 0)) ** 2 + beta * (z - start) ** 2

    return min([max((p + beta * start) / (1 + beta), 0.0), min(start, 0.0)], key=cost)


def auxiliary(ffn, theta):
    """Input weights after one iteration with alpha = beta = 1."""
    p, slopes = ffn.hidden(ffn.split(theta))
    down = ffn.down
    alpha = (down**2).sum() / down.shape[1]
    # argmin ‖Y − b − P Dᵀ‖² + alpha ‖P − P₀‖²
    gram = down.T @ down + alpha * np.eye(down.shape[1])
    wanted = np.linalg.solve(gram, ((ffn.y - ffn.fitted) @ down + alpha * p).T).T
    before = [ffn.x @ part.T for part in ffn.split(theta)]
    betas = [(slope**2).mean() for slope in slopes]
    if ffn.parts == 1:
        after = [np.vectorize(best_relu)(wanted, before[0], betas[0])]
    else:
        gate = np.vectorize(lambda *a: best_gate(ffn.name, *a))(wanted, before[1], before[0], betas[0])
        value = activation(ffn.name, gate)[0]
        after = [gate, (value * wanted + betas[1] * before[1]) / (value**2 + betas[1])]
    square = ffn.x.T @ ffn.x
    ridge = np.diag(LAMBDA * np.diag(square) + FLOOR * np.diag(square).mean())
    shifts = [np.linalg.solve(square + ridge, ffn.x.T @ (z - z0)).T for z, z0 in zip(after, before)]
    return theta + np.concatenate(shifts)


def fixture(name, seed):
    rng = np.random.default_rng(seed)
    ffn = Ffn(name, rng)
    theta = ffn.theta
    first = ffn.refit(theta)
    jacobian = ffn.jacobian(theta)
    check_jacobian(ffn, theta, jacobian, rng)
    inverse, diagonal = ffn.preconditioner(theta)
    normal = jacobian.T @ jacobian + LAMBDA * np.diag(diagonal)
    right = jacobian.T @ (ffn.y - ffn.output(theta)).ravel()
    solved, _ = conjugate_gradients(normal, right, inverse, 4 * theta.size)
    direct = np.linalg.lstsq(normal, right, rcond=None)[0]  # a channel may be dead
    assert np.allclose(solved, direct, rtol=1e-5, atol=1e-8 * np.abs(direct).max()), np.abs(solved - direct).max()
    shift, lines = conjugate_gradients(normal, right, inverse, STEPS)
    iterated = auxiliary(ffn, theta)
    moved = theta + shift.reshape(theta.shape)
    last = ffn.refit(moved)
    auxiliary_last = ffn.refit(iterated)
    assert last < first and auxiliary_last < first
    return {
        "keep": ffn.keep.tolist(),
        "inputs": ffn.plain_inputs.ravel().tolist(),
        "targets": ffn.y.ravel().tolist(),
        "lambda": LAMBDA,
        "target": (ffn.y**2).sum(),
        "first": first,
        "lines": lines,
        "moved": moved.ravel().tolist(),
        "last": last,
        "auxiliary": {"moved": iterated.ravel().tolist(), "last": auxiliary_last},
    }


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "test" / "fixtures" / "ffn"
    out.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(MODELS):
        (out / f"{name}.json").write_text(json.dumps(fixture(name, seed)) + "\n")
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
