"""Which experts of the small random models stay, made by test/oracles/experts.py.

Usage: PYTHONPATH=<torch, transformers, ...> python3 scripts/oracles/make-expert-fixtures.py [OUT]

OUT (default test/fixtures/experts) receives one file a model: calibration ids [windows][window] and cases (method,
experts that go from every layer, whether the others are refitted, what stayed of each, and the loss behind it); and versions.json. Run
make-model-fixtures.py first.
"""

import json
import pathlib
import platform
import sys

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "oracles"))
import experts  # noqa: E402

VOCAB, WINDOWS, WINDOW = 256, 64, 48
# Closer decisions than this could turn with the order of a sum: another calibration is drawn.
MARGIN = 2e-3
# How many of every layer's experts go.
MODELS = {"mixtral": (1, 2), "qwen2-moe": (1, 3), "qwen3-moe": (2, 5), "olmoe": (2, 4)}


def cases_of(folder, ids, counts):
    cases = []
    for method, refit in (("reap", False), ("struprune", False), ("struprune", True)):
        for removed in counts:
            model = experts.open_model(folder)
            before = experts.mean_nll(model, ids)
            layers, margin = experts.prune(model, ids, method, removed, refit)
            if margin < MARGIN:
                return None
            about = {"method": method, "removed": removed, "refit": refit, "layers": layers}
            after = experts.mean_nll(model, ids)
            cases.append({**about, "nllBefore": before, "nllAfter": after})
    return cases


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "test" / "fixtures" / "experts"
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name, counts in MODELS.items():
        folder = ROOT / "test" / "fixtures" / "models" / name
        for seed in range(100):
            generator = torch.Generator().manual_seed(seed)
            ids = torch.randint(VOCAB, (WINDOWS, WINDOW), generator=generator)
            cases = cases_of(folder, ids, counts)
            if cases:
                break
        else:
            raise SystemExit(f"{name}: every calibration has a close decision")
        text = json.dumps({"model": name, "ids": ids.tolist(), "cases": cases})
        (out / f"{name}.json").write_text(text + "\n")
        print(name, "seed", seed, flush=True)
    versions = {
        "script": "scripts/oracles/make-expert-fixtures.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
