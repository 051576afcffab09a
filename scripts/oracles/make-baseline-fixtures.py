"""Kept sets of the baselines on the small random models, made by test/oracles/baselines.py.

Usage: PYTHONPATH=<torch, transformers, ...> python3 scripts/oracles/make-baseline-fixtures.py [OUT]

OUT (default test/fixtures/baselines) receives one file a model: calibration ids [windows][window], cases
(method, allocation, scope, sparsity and what the reference kept); llama3 also the column statistics of the
dense model with the reference's scores, for the unit tests; and versions.json. Run make-model-fixtures.py first.
"""

import json
import pathlib
import platform
import sys

import numpy as np
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "oracles"))
import baselines  # noqa: E402
import scores  # noqa: E402
import sites as model_sites  # noqa: E402

VOCAB, WINDOWS, WINDOW = 256, 8, 48
MULTIPLE, MAX_SHARE = 8, 0.9
# Closer decisions than this could turn with the order of a sum: another calibration is drawn. Activations are
# float32; magnitude reads only the stored weights, in float64.
MARGIN = {"magnitude-l2": 1e-9, "wanda-sp": 2e-5, "flap": 2e-5, "unipruning": 2e-5, "tyr-local": 2e-5, "fasp": 2e-5, "gisp": 2e-5}
MODELS = [
    *("llama2", "llama3", "llama3-tied", "llama-bias", "mistral", "qwen2", "qwen3", "gemma3"),
    *("opt-pre", "opt-post", "phi3", "gpt2", "starcoder2", "gpt-neox"),
]
# Mistral, Qwen2, Qwen3, Gemma 3 and Phi-3 have no bias on both output maps to hold FLAP's compensation.
WITHOUT_OUTPUT_BIAS = ["mistral", "qwen2", "qwen3", "gemma3", "phi3"]


def cases_of(name, model):
    sites = model_sites.sites_of(model)
    ffn = sum(site.groups * site.cost for site in sites if site.scope == "ffn")
    ffn_share = ffn / model_sites.linear_weights(model)
    quarter, half = (round(share * ffn_share - 5e-5, 4) for share in (0.25, 0.5))
    for method in baselines.METHODS:
        if method == "flap" and name in WITHOUT_OUTPUT_BIAS:
            continue
        if method != "gisp":
            yield method, "uniform", "ffn", quarter
            yield method, "uniform", "ffn", half
            yield method, "uniform", "all", 0.3
        if method in baselines.REFITTED:
            continue
        yield method, "threshold", "ffn", quarter
        yield method, "threshold", "all", 0.3


def run_cases(name, ids):
    folder = ROOT / "test" / "fixtures" / "models" / name
    cases = []
    for method, allocation, scope, sparsity in cases_of(name, model_sites.open_model(folder)):
        result = baselines.prune(
            model_sites.open_model(folder), ids, method, sparsity, allocation, scope, MULTIPLE, MAX_SHARE
        )
        if result["margin"] < MARGIN[method]:
            return None
        del result["margin"]
        cases.append(
            {"method": method, "allocation": allocation, "scope": scope, "sparsity": sparsity, **result}
        )
    return cases


def site_statistics(name, ids):
    """Column statistics of every site of the dense model, and the scores that the reference makes of them."""
    model = model_sites.open_model(ROOT / "test" / "fixtures" / "models" / name)
    listed = []
    for site in model_sites.sites_of(model):
        moments = model_sites.moments_of(model, ids, site)
        weight = site.linear.weight.detach().double()
        listed.append(
            {
                "block": site.block,
                "scope": site.scope,
                "groupSize": site.group_size,
                "cost": site.cost,
                "weightNormSq": weight.pow(2).sum(0).tolist(),
                "weightAbsMean": weight.abs().mean(0).tolist(),
                "weightShare": (weight.abs() / weight.abs().sum(1, keepdim=True)).sum(0).tolist(),
                "second": (moments.square / moments.tokens).tolist(),
                "mean": moments.mean.tolist(),
                "tokens": moments.tokens,
                "scores": {
                    method: entry[0](site, moments).tolist() for method, entry in scores.METHODS.items()
                },
            }
        )
    return listed


def make(name, seed):
    for attempt in range(50):
        generator = torch.Generator().manual_seed(seed + 100 * attempt)
        ids = torch.randint(4, VOCAB, (WINDOWS, WINDOW), generator=generator)
        cases = run_cases(name, ids)
        if cases:
            break
    else:
        raise SystemExit(f"{name}: every calibration has a decision that is too close")
    fixture = {
        "model": name,
        "ids": ids.tolist(),
        "multiple": MULTIPLE,
        "maxShare": MAX_SHARE,
        "cases": cases,
    }
    if name == "llama3":
        fixture["sites"] = site_statistics(name, ids)
    return fixture, attempt


def main():
    torch.set_num_threads(1)
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "test" / "fixtures" / "baselines"
    out.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(MODELS, start=31):
        fixture, attempt = make(name, seed)
        (out / f"{name}.json").write_text(json.dumps(fixture) + "\n")
        print(f"{name}: {len(fixture['cases'])} cases, calibration {attempt}")
    versions = {
        "script": "scripts/oracles/make-baseline-fixtures.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
