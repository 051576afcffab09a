"""Tuning of small random models by torch's autograd: the gradient of every factor and of every change of low rank, and
where ten steps of Adam lead.

Usage: PYTHONPATH=<torch, transformers> python3 scripts/oracles/make-tune-fixtures.py [OUT]

OUT (default test/fixtures/tuning) receives one JSON file a model and versions.json. The model itself is the dense one; the
one that is tuned is the same with a product of rank 2 added to every map, and every tuned tensor times a factor. Everything is computed in float64. Run
make-model-fixtures.py first.
"""

import json
import math
import pathlib
import platform
import sys

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODELS = ROOT / "test" / "fixtures" / "models"
STEPS, RATE, DECAY = 10, 0.01, (0.5, 0.95)
# Steps of a change: of left beside the root mean square of its map as it is then, of right beside 1/sqrt(columns).
RANK, LEFT_STEP, RIGHT_STEP = 2, 0.5, 2.4
LLAMA = {
    "attnNorm": "model.layers.{}.input_layernorm.weight",
    "qNorm": "model.layers.{}.self_attn.q_norm.weight",
    "kNorm": "model.layers.{}.self_attn.k_norm.weight",
    "o": "model.layers.{}.self_attn.o_proj.weight",
    "oBias": "model.layers.{}.self_attn.o_proj.bias",
    "ffnNorm": "model.layers.{}.post_attention_layernorm.weight",
    "down": "model.layers.{}.mlp.down_proj.weight",
    "downBias": "model.layers.{}.mlp.down_proj.bias",
    "finalNorm": "model.norm.weight",
}
OPT = {
    "attnNorm": "model.decoder.layers.{}.self_attn_layer_norm.weight",
    "o": "model.decoder.layers.{}.self_attn.out_proj.weight",
    "oBias": "model.decoder.layers.{}.self_attn.out_proj.bias",
    "ffnNorm": "model.decoder.layers.{}.final_layer_norm.weight",
    "down": "model.decoder.layers.{}.fc2.weight",
    "downBias": "model.decoder.layers.{}.fc2.bias",
    "finalNorm": "model.decoder.final_layer_norm.weight",
}
GEMMA = {
    **LLAMA,
    "attnOutNorm": "model.layers.{}.post_attention_layernorm.weight",
    "ffnNorm": "model.layers.{}.pre_feedforward_layernorm.weight",
    "ffnOutNorm": "model.layers.{}.post_feedforward_layernorm.weight",
}
GPT_NEOX = {
    "attnNorm": "gpt_neox.layers.{}.input_layernorm.weight",
    "o": "gpt_neox.layers.{}.attention.dense.weight",
    "oBias": "gpt_neox.layers.{}.attention.dense.bias",
    "ffnNorm": "gpt_neox.layers.{}.post_attention_layernorm.weight",
    "down": "gpt_neox.layers.{}.mlp.dense_4h_to_h.weight",
    "downBias": "gpt_neox.layers.{}.mlp.dense_4h_to_h.bias",
    "finalNorm": "gpt_neox.final_layer_norm.weight",
}
LLAMA_MAPS = {
    "q": "model.layers.{}.self_attn.q_proj.weight",
    "k": "model.layers.{}.self_attn.k_proj.weight",
    "v": "model.layers.{}.self_attn.v_proj.weight",
    "o": LLAMA["o"],
    "gate": "model.layers.{}.mlp.gate_proj.weight",
    "up": "model.layers.{}.mlp.up_proj.weight",
    "down": LLAMA["down"],
}
OPT_MAPS = {
    "q": "model.decoder.layers.{}.self_attn.q_proj.weight",
    "k": "model.decoder.layers.{}.self_attn.k_proj.weight",
    "v": "model.decoder.layers.{}.self_attn.v_proj.weight",
    "o": OPT["o"],
    "up": "model.decoder.layers.{}.fc1.weight",
    "down": OPT["down"],
}
# q, k and v lie in one tensor, a head after the other: three changes of it.
FUSED = "gpt_neox.layers.{}.attention.query_key_value.weight"
GPT_NEOX_MAPS = {
    "q": FUSED,
    "k": FUSED,
    "v": FUSED,
    "o": GPT_NEOX["o"],
    "up": "gpt_neox.layers.{}.mlp.dense_h_to_4h.weight",
    "down": GPT_NEOX["down"],
}
NAMES = {
    "llama-bias": LLAMA,
    "llama3-tied": LLAMA,
    "qwen3": LLAMA,
    "gemma3-unlike": GEMMA,
    "gemma2-unlike": GEMMA,
    "opt-pre": OPT,
    "opt-post": OPT,
    "gpt-neox": GPT_NEOX,
}


def tuned_tensors(weights, names, blocks):
    """Names of tensors by `block.role`, of those that the model has."""
    places = {f"{block}.{role}": name.format(block) for block in range(blocks) for role, name in names.items()}
    places = {place: name for place, name in places.items() if not place.endswith("finalNorm")}
    places["finalNorm"] = names["finalNorm"]
    return {place: name for place, name in places.items() if name in weights}


def maps_of(names):
    return {"model.l": LLAMA_MAPS, "model.d": OPT_MAPS, "gpt_neo": GPT_NEOX_MAPS}[names["o"][:7]]


def first_changes(weights, maps, blocks):
    """Products by `block.map`: [rows, rank] and [rank, cols]. test/tuning/oracle.test.ts has the same numbers."""
    changes = {}
    for block in range(blocks):
        for role, name in maps.items():
            weight = weights[name.format(block)]
            rows = weight.shape[0] // (3 if name == FUSED else 1)

            def numbers(count, phase):
                at = torch.arange(count, dtype=torch.float64)
                return 0.1 * torch.sin(phase + len(role) + block + 3 * at)

            left = numbers(rows * RANK, 1).reshape(rows, RANK)
            right = numbers(RANK * weight.shape[1], 2).reshape(RANK, weight.shape[1])
            changes[f"{block}.{role}.left"], changes[f"{block}.{role}.right"] = left, right
    return changes


def added(changes, maps, block, name, heads):
    """What one tensor gets."""
    sums = {
        role: changes[f"{block}.{role}.left"] @ changes[f"{block}.{role}.right"]
        for role, of in maps.items()
        if of.format(block) == name
    }
    if FUSED.format(block) != name:
        return next(iter(sums.values()))
    parts = [sums[role].reshape(heads, -1, sums[role].shape[1]) for role in ("q", "k", "v")]
    return torch.stack(parts, 1).reshape(-1, parts[0].shape[-1])


def own_rows(weight, role, name, heads):
    """What of a tensor is one map's."""
    if "query_key_value" not in name:
        return weight
    return weight.reshape(heads, 3, -1, weight.shape[-1])[:, "qkv".index(role)]


def fixture(model_name):
    folder = MODELS / model_name
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float64, attn_implementation="eager"
    ).eval()
    ids = torch.tensor(json.loads((folder / "expected.json").read_text())["inputIds"])
    weights = {name: value.detach() for name, value in model.named_parameters()}
    places = tuned_tensors(weights, NAMES[model_name], model.config.num_hidden_layers)
    start = {
        place: torch.tensor([round(0.2 * math.sin(1 + len(place) + 3 * i), 6) for i in range(weights[name].shape[-1])])
        for place, name in places.items()
    }
    logs = {place: value.double().requires_grad_() for place, value in start.items()}
    maps, blocks = maps_of(NAMES[model_name]), model.config.num_hidden_layers
    first_values = first_changes(weights, maps, blocks)
    changes = {place: value.clone().requires_grad_() for place, value in first_values.items()}

    # What a stored weight is less than the one that computes.
    gemma = model.config.model_type.startswith("gemma")
    offsets = {name: float(gemma and name.endswith("norm.weight")) for name in weights}

    def log_probabilities(parameters):
        return torch.func.functional_call(model, parameters, (ids,)).logits.log_softmax(-1)

    with torch.no_grad():
        dense = log_probabilities(weights)

    def tuned():
        changed = dict(weights)
        for block in range(blocks):
            for name in {of.format(block) for of in maps.values()}:
                heads = model.config.num_attention_heads
                changed[name] = weights[name] + added(changes, maps, block, name, heads)
        scaled = {
            name: (changed[name] + offsets[name]) * logs[place].exp() - offsets[name]
            for place, name in places.items()
        }
        return {**changed, **scaled}

    def divergence():
        ours = log_probabilities(tuned())
        return (dense.exp() * (dense - ours)).sum(-1).mean()

    def change_rate(place):
        block, role, side = place.split(".")
        name = maps[role].format(int(block))
        weight = own_rows(tuned()[name], role, name, model.config.num_attention_heads)
        if side == "right":
            return RATE * RIGHT_STEP / math.sqrt(weight.shape[-1])
        return RATE * LEFT_STEP * weight.detach().square().mean().sqrt().item()

    groups = [{"params": list(logs.values())}]
    groups += [{"params": [value], "place": place} for place, value in changes.items()]
    first_rates = {place: change_rate(place) for place in changes}
    adam = torch.optim.Adam(groups, lr=RATE, betas=DECAY, eps=1e-12)
    history, first, first_of_changes = [], {}, {}
    for step in range(STEPS):
        adam.zero_grad()
        loss = divergence()
        loss.backward()
        history.append(loss.item())
        if step == 0:
            first = {place: value.grad.tolist() for place, value in logs.items()}
            first_of_changes = flat({place: value.grad for place, value in changes.items()})
        for group in groups[1:]:
            group["lr"] = change_rate(group["place"])
        adam.step()
    with torch.no_grad():
        history.append(divergence().item())
    return {
        "rate": RATE,
        "start": {place: value.tolist() for place, value in start.items()},
        "gradient": first,
        "divergence": history,
        "logs": {place: value.tolist() for place, value in logs.items()},
        "changes": {
            "rank": RANK,
            "rates": first_rates,
            "gradient": first_of_changes,
            "values": flat(changes),
        },
    }


def flat(values):
    return {place: [float(f"{v:.6g}") for v in value.detach().flatten().tolist()] for place, value in values.items()}


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [rounded(entry) for entry in value]
    return float(f"{value:.8g}")


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "test" / "fixtures" / "tuning"
    out.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (out / f"{name}.json").write_text(json.dumps(rounded(fixture(name))) + "\n")
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    (out / "versions.json").write_text(json.dumps(versions) + "\n")


if __name__ == "__main__":
    main()
