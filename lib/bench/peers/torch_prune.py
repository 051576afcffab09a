"""A torch program that does the work of `prune --layer-weights fisher --ffn-solver output` on FFN channels: Fisher curves of
a dense survey, a threshold, then block by block Gram, sweep and exact refit on the inputs of the model pruned so far, with
feedback: what the dense stream has more than the pruned one is part of the target.

Usage: torch_prune.py JOB.json (lib/bench/peers/job.ts). Prints one line of JSON: stages, forwardShare, perplexity, peakBytes.
Written to be fast and short, not to save memory: all hidden states are in memory, the sweep delays its updates.
Two things are less work than ours: a layer's curve is the penalised one (no second Cholesky), and nothing is
written to a file.
"""

import array
import json
import math
import pathlib
import sys
import time

import torch
from transformers import AutoModelForCausalLM

BATCH = 64  # removals between two flushes of the sweep
TOKENS = 2048  # in one forward pass, whole windows


def read_ids(path, window):
    ids = array.array("i")
    with open(path, "rb") as file:
        ids.frombytes(file.read())
    return torch.tensor(ids, dtype=torch.long).view(-1, window)


def peak_bytes():
    """Most that this process had resident so far; None where the system does not tell."""
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)


def sgemm_rate(shapes, seconds=0.3):
    """FLOP/s of [1024, k] x [k, n], weighted by the work of every shape."""
    flops = spent = 0.0
    for n, k in shapes:
        a, b = torch.randn(1024, k), torch.randn(n, k)
        a @ b.T
        best, begin = math.inf, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            start = time.perf_counter()
            a @ b.T
            best = min(best, time.perf_counter() - start)
        flops += 2 * 1024 * n * k
        spent += best
    return flops / spent


class Diagonalised:
    """A symmetric matrix under low-rank updates M - sum(a b' + b a'), its diagonal always current."""

    def __init__(self, matrix):
        self.base = matrix
        self.diagonal = matrix.diagonal().clone()
        self.clear()

    def clear(self):
        n = len(self.base)
        self.a = torch.empty(n, BATCH, dtype=torch.float64)
        self.b = torch.empty(n, BATCH, dtype=torch.float64)

    def column(self, j, k):
        low = self.a[:, :k] @ self.b[j, :k] + self.b[:, :k] @ self.a[j, :k]
        return self.base[:, j] - low

    def add(self, a, b, k):
        self.a[:, k], self.b[:, k] = a, b
        self.diagonal -= 2 * a * b

    def flush(self, stay, k):
        a, b = self.a[stay, :k], self.b[stay, :k]
        product = a @ b.T
        self.base = self.base[stay][:, stay] - product - product.T
        self.diagonal = self.base.diagonal().clone()
        self.clear()


def ridge(gram, lam):
    diagonal = gram.diagonal()
    return gram + torch.diag(lam * diagonal + 1e-6 * diagonal.mean())


def sweep(gram, weight, lam, removals, fisher=None, cross=None):
    """Columns in the order of removal, and what each costs in the Fisher metric (else plain)."""
    w = weight.double()
    p = Diagonalised(torch.cholesky_inverse(torch.linalg.cholesky(ridge(gram, lam))))
    if cross is not None:
        w = w + cross @ p.base
    q = Diagonalised(w.T @ w)
    f = Diagonalised(w.T @ (fisher @ w)) if fisher is not None else None
    names = torch.arange(len(gram))
    order, costs, alive, k = [], [], torch.ones(len(gram), dtype=torch.bool), 0
    while len(order) < removals:
        score = torch.where(alive, q.diagonal / p.diagonal, torch.inf)
        j = int(score.argmin())
        column = p.column(j, k)
        pivot = column[j]
        share = column / pivot
        costs.append(float((f or q).diagonal[j] / pivot))
        for matrix in (q, f) if f else (q,):
            old = matrix.column(j, k)
            matrix.add(share, old - 0.5 * old[j] * share, k)
        p.add(share, 0.5 * column, k)
        order.append(int(names[j]))
        alive[j] = False
        k += 1
        if k == BATCH:
            for matrix in (p, q, f) if f else (p, q):
                matrix.flush(alive, k)
            names, k = names[alive], 0
            alive = torch.ones(len(names), dtype=torch.bool)
    return order, costs


def refit(gram, weight, lam, keep, cross):
    full = ridge(gram, lam)
    right = (weight.double() @ full[:, keep] + cross[:, keep]).T
    return torch.cholesky_solve(right, torch.linalg.cholesky(full[keep][:, keep])).T


def survey(model, ids, sites):
    """Gram of every site's input and mean of delta delta' at its output, by autograd."""
    grams = [torch.zeros(s.in_features, s.in_features, dtype=torch.float64) for s in sites]
    fishers = [torch.zeros(s.out_features, s.out_features, dtype=torch.float64) for s in sites]
    handles = []
    for at, site in enumerate(sites):

        def hook(_module, inputs, output, at=at):
            x = inputs[0].detach().flatten(0, -2)
            grams[at] += (x.T @ x).double()

            def grow(gradient):
                delta = gradient.flatten(0, -2)
                fishers[at] += (delta.T @ delta).double()

            output.register_hook(grow)

        handles.append(site.register_forward_hook(hook))
    for windows in ids.split(max(1, TOKENS // ids.shape[1])):
        embedded = model.get_input_embeddings()(windows).detach().requires_grad_()
        logits = model(inputs_embeds=embedded, use_cache=False).logits[:, :-1]
        logits, targets = logits.flatten(0, 1), windows[:, 1:].flatten()
        torch.nn.functional.cross_entropy(logits, targets, reduction="sum").backward()
    for handle in handles:
        handle.remove()
    return grams, [fisher / ids.numel() for fisher in fishers]


def hull(curve, allowed):
    """Vertices of the lower convex hull of curve[k] over the allowed k."""
    points = []
    for k in allowed:
        while len(points) >= 2:
            (a, b), y = points[-2:], curve[k]
            if (curve[b] - curve[a]) * (k - b) < (y - curve[b]) * (b - a):
                break
            points.pop()
        points.append(k)
    return points


def threshold(curves, allowed, remove):
    """Removals of every layer: hull segments by slope until `remove` groups are gone."""
    segments = []
    for layer, curve in enumerate(curves):
        points = hull(curve, allowed)
        for a, b in zip(points, points[1:]):
            segments.append(((curve[b] - curve[a]) / (b - a), layer, a, b))
    counts, gone = [0] * len(curves), 0
    for _slope, layer, a, b in sorted(segments):
        if gone >= remove:
            break
        step = next((k for k in allowed if a < k <= b and gone + k - a >= remove), b)
        counts[layer] = step
        gone += step - a
    return counts


class Stages:
    def __init__(self):
        self.seconds, self.start = {}, time.perf_counter()

    def done(self, name):
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.start
        self.start = now


def solve(model, ids, counts, lam, alpha, beta, cut, stages):
    """Prunes in place; returns the useful flops of the forward passes. cut: the last of so many windows, in short sequences."""
    rotary = model.model.rotary_emb
    is_cut = torch.zeros(len(ids), dtype=torch.bool)
    if cut:
        is_cut[cut["every"] - 1 :: cut["every"]] = True
    hidden = model.get_input_embeddings()(ids)
    feedback = alpha != 0 or beta != 0
    dense = hidden.clone() if feedback else None
    positions = torch.arange(ids.shape[1])[None]
    flops = 0.0
    for layer, count in zip(model.model.layers, counts):
        down = layer.mlp.down_proj
        gram = torch.zeros(down.in_features, down.in_features, dtype=torch.float64)
        cross = torch.zeros(*down.weight.shape, dtype=torch.float64)
        inputs = torch.empty(*ids.shape, down.in_features)
        stages.done("solve")
        step = max(1, TOKENS // ids.shape[1])
        residual = torch.empty_like(hidden) if feedback else None

        def attend(normed, at):
            mine, (_, window, width) = is_cut[at : at + len(normed)], normed.shape
            out = torch.empty_like(normed)
            for chosen, tokens in ((~mine, window), (mine, cut["tokens"] if cut else window)):
                if not chosen.any():
                    continue
                part = normed[chosen].reshape(-1, tokens, width)
                where = rotary(part, positions[:, :tokens])
                sums = layer.self_attn(part, position_embeddings=where, attention_mask=None)[0]
                out[chosen] = sums.reshape(-1, window, width)
            return out

        def activations(h, at):
            h += attend(layer.input_layernorm(h), at)
            normed = layer.post_attention_layernorm(h)
            return layer.mlp.act_fn(layer.mlp.gate_proj(normed)).mul_(layer.mlp.up_proj(normed))

        for at in range(0, len(ids), step):
            h = hidden[at : at + step]
            inputs[at : at + step] = activations(h, at)
            if feedback:
                h_dense = dense[at : at + step]
                y_dense = down(activations(h_dense, at))
                own = down(inputs[at : at + step])
                residual[at : at + step] = alpha * (h_dense - h) + beta * (y_dense - own)
                h_dense += y_dense
        attention = sum(m.weight.numel() for m in layer.self_attn.modules() if hasattr(m, "weight"))
        width = layer.self_attn.q_proj.out_features
        block = 2 * attention + 4 * down.weight.numel() + 2 * width * ids.shape[1]
        flops += ids.numel() * block
        if feedback:
            flops += ids.numel() * (block + 4 * down.weight.numel())
        stages.done("forward")
        if count or feedback:
            for at, x in enumerate(inputs):
                gram += (x.T @ x).double()
                if feedback:
                    cross += (residual[at].T @ x).double()
            stages.done("gram")
            order, _ = sweep(gram, down.weight, lam, count, cross=cross) if count else ([], None)
            gone = torch.zeros(down.in_features, dtype=torch.bool)
            gone[order] = True
            keep = torch.nonzero(~gone).flatten()
            weight = refit(gram, down.weight, lam, keep, cross).float()
            for part in (layer.mlp.gate_proj, layer.mlp.up_proj):
                part.weight = torch.nn.Parameter(part.weight[keep].clone(), requires_grad=False)
            down.weight = torch.nn.Parameter(weight, requires_grad=False)
        stages.done("solve")
        for h, x in zip(hidden.split(step), inputs.split(step)):
            h += down(x[..., keep] if count else x)
        flops += 2 * ids.numel() * down.weight.numel()
        stages.done("forward")
    return flops


def perplexity(model, ids):
    total = 0.0
    for window in ids:
        logits = model(window[None], use_cache=False).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits.double(), window[1:], reduction="sum").item()
    return math.exp(total / (ids.numel() - len(ids)))


def main():
    with open(sys.argv[1], encoding="utf8") as file:
        job = json.load(file)
    stages = Stages()
    torch.set_num_threads(job["threads"])
    torch.manual_seed(job["seed"])
    model = AutoModelForCausalLM.from_pretrained(
        job["model"], dtype=torch.float32, attn_implementation="sdpa"
    ).eval()
    model.requires_grad_(False)
    sites = [layer.mlp.down_proj for layer in model.model.layers]
    ids = read_ids(job["calibration"]["ids"], job["calibration"]["window"])
    channels, hidden = sites[0].in_features, sites[0].out_features
    most = math.floor(job["maxLayerSparsity"] * channels + 1e-9)
    multiple = job["multiple"]
    first = channels % multiple or multiple
    allowed = [0, *range(first, min(most, channels - multiple) + 1, multiple)]
    linears = [m for layer in model.model.layers for m in layer.modules()]
    weights = sum(m.weight.numel() for m in linears if isinstance(m, torch.nn.Linear))
    remove = math.ceil(job["sparsity"] * weights - 1e-3) / (3 * hidden)
    stages.done("load")

    windows = max(1, job["surveyTokens"] // ids.shape[1])
    grams, fishers = survey(model, ids[:windows], sites)
    stages.done("survey forward and backward")
    curves = []
    for site, gram, fisher in zip(sites, grams, fishers):
        _, costs = sweep(gram, site.weight, job["lambda"], allowed[-1], fisher)
        curves.append([0.0, *torch.tensor(costs).cumsum(0).tolist()])
    counts = threshold(curves, allowed, remove)
    del grams, fishers
    stages.done("survey sweeps")

    with torch.no_grad():
        cut = job["calibration"]["cut"]
        flops = solve(model, ids, counts, job["lambda"], job["alpha"], job["beta"], cut, stages)
        peak = peak_bytes()
        seconds = stages.seconds["forward"]
        attention = model.model.layers[0].self_attn
        shapes = [(m.out_features, m.in_features) for m in (attention.q_proj, attention.k_proj)]
        shapes += [(channels, hidden), (channels, hidden), (hidden, channels)]
        rate = sgemm_rate(shapes)
        stages.done("measure sgemm")
        value = None
        if job["eval"]:
            value = perplexity(model, read_ids(job["eval"]["ids"], job["eval"]["window"]))
        stages.done("evaluate")
    result = {
        "stages": [{"name": name, "seconds": spent} for name, spent in stages.seconds.items()],
        "forwardShare": flops / seconds / rate,
        "perplexity": value,
        "peakBytes": peak,
        "counts": counts,
    }
    print(json.dumps(result))


main()
