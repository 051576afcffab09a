"""Which experts of the small random models stay, and which channels inside them, made by test/oracles/experts.py and
expert_channels.py.

Usage: PYTHONPATH=<torch, transformers, ...> python3 scripts/oracles/make-expert-fixtures.py [OUT]

OUT (default test/fixtures/experts) receives one file a model: calibration ids [windows][window] and cases (method,
experts that go from every layer, whether the others are refitted, what stayed of each, and the loss behind it); one a model of
channels, NAME-channels.json (the same of as many channels of every expert); and versions.json. Run make-model-fixtures.py first.
"""

import json
import pathlib
import platform
import sys

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "test" / "oracles"))
import expert_channels  # noqa: E402
import experts  # noqa: E402

VOCAB, WINDOWS, WINDOW = 256, 64, 48
# Closer decisions than this could turn with the order of a sum: another calibration is drawn.
MARGIN = 2e-3
# Of channels there are far more.
CHANNEL_MARGIN = 5e-5
# How many of every layer's experts go.
MODELS = {"mixtral": (1, 2), "qwen2-moe": (1, 3), "qwen3-moe": (2, 5), "olmoe": (2, 4)}
WHOLE = (("reap", False), ("struprune", False), ("struprune", True))
# How many channels of every expert go.
CHANNELS = {"mixtral": (16,), "qwen2-moe": (8,), "qwen3-moe": (8,), "olmoe": (8,)}
INSIDE = (("magnitude-l2", False), ("wanda-sp", False), ("struprune", False), ("struprune", True))


def cases_of(folder, ids, counts, methods, prune, least):
    cases = []
    for method, refit in methods:
        for removed in counts:
            model = experts.open_model(folder)
            before = experts.mean_nll(model, ids)
            layers, margin = prune(model, ids, method, removed, refit)
            if margin < least:
                return None
            about = {"method": method, "removed": removed, "refit": refit, "layers": layers}
            after = experts.mean_nll(model, ids)
            cases.append({**about, "nllBefore": before, "nllAfter": after})
    return cases


def write(path, name, counts, methods, prune, least):
    folder = ROOT / "test" / "fixtures" / "models" / name
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(VOCAB, (WINDOWS, WINDOW), generator=generator)
        cases = cases_of(folder, ids, counts, methods, prune, least)
        if cases:
            break
    else:
        raise SystemExit(f"{name}: every calibration has a close decision")
    path.write_text(json.dumps({"model": name, "ids": ids.tolist(), "cases": cases}) + "\n")
    print(path.name, "seed", seed, flush=True)


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "test" / "fixtures" / "experts"
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name, counts in MODELS.items():
        write(out / f"{name}.json", name, counts, WHOLE, experts.prune, MARGIN)
    for name, counts in CHANNELS.items():
        path = out / f"{name}-channels.json"
        write(path, name, counts, INSIDE, expert_channels.prune, CHANNEL_MARGIN)
    versions = {
        "script": "scripts/oracles/make-expert-fixtures.py",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
