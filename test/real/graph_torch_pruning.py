"""An encoder of sentences as Torch-Pruning prunes it, without training: attention heads and rows of the FFN, as our sites are.

    graph_torch_pruning.py MODEL_FOLDER CALIBRATION PARAMETERS OUT [IMPORTANCE ...]

OUT receives IMPORTANCE.onnx, of at most PARAMETERS constants, for each importance:

    l2      the L2 norm of a group (GroupMagnitudeImportance), which reads no data
    taylor  weight times gradient (GroupTaylorImportance) on the calibration's sentences; the loss is that of SimCSE (arXiv 2104.08821): each
            sentence is to be found again among those of its batch, by two passes with dropout

Ratios are uniform or over all layers, whichever is nearer to the dense embeddings on the calibration's sentences. Prints JSON: by importance
{ ratio, global }.
"""
import copy
import json
import pathlib
import sys

import onnx
import torch
import torch_pruning
from graph_sentences import NAMES, Encoder, export_model
from safetensors.torch import load_file
from transformers.models.bert.modeling_bert import BertLayer, BertSelfAttention

BATCH = 64
STEPS = 7


def batches(path):
    columns = load_file(path)
    for start in range(0, len(columns[NAMES[0]]), BATCH):
        yield tuple(columns[name][start : start + BATCH] for name in NAMES)


def gradients(model, path):
    model.zero_grad()
    model.train()
    torch.manual_seed(1)
    for batch in batches(path):
        views = [model(*batch) for _ in range(2)]
        scores = views[0] @ views[1].T / 0.05
        torch.nn.functional.cross_entropy(scores, torch.arange(len(scores))).backward()
    model.eval()


def parameters(model):
    return sum(each.numel() for each in model.parameters())


def pruned(dense, importance, ratio, is_global, path):
    model = copy.deepcopy(dense)
    if importance == "taylor":
        # Weights are copied without their gradients.
        for own, of in zip(model.parameters(), dense.parameters()):
            own.grad = of.grad.clone()
    score = {"l2": torch_pruning.importance.GroupMagnitudeImportance, "taylor": torch_pruning.importance.GroupTaylorImportance}[importance]()
    attentions = [each for each in model.modules() if isinstance(each, BertSelfAttention)]
    layers = [each for each in model.modules() if isinstance(each, BertLayer)]
    # The stream between the layers stays: what writes it is left out, and so are the embeddings.
    stream = [part for layer in layers for part in (layer.attention.output.dense, layer.output.dense)]
    kept = [*stream, model.model.embeddings, model.model.pooler]
    heads = {linear: each.num_attention_heads for each in attentions for linear in (each.query, each.key, each.value)}
    example = next(batches(path))
    pruner = torch_pruning.pruner.BasePruner(
        model,
        tuple(column[:2] for column in example),
        importance=score,
        pruning_ratio=ratio,
        global_pruning=is_global,
        ignored_layers=[each for each in kept if each is not None],
        num_heads=heads,
        prune_num_heads=True,
        prune_head_dims=False,
        head_pruning_ratio=ratio,
    )
    pruner.step()
    for each in attentions:
        each.num_attention_heads = pruner.num_heads[each.query]
        each.all_head_size = each.query.out_features
        each.attention_head_size = each.all_head_size // each.num_attention_heads
    return model


def distance(dense, model, path):
    """Mean of 1 − cosine."""
    with torch.no_grad():
        return float(torch.cat([1 - (dense(*batch) * model(*batch)).sum(1) for batch in batches(path)]).mean())


def smallest(dense, importance, is_global, path, most):
    """The least ratio that leaves at most so many parameters."""
    low, high, best = 0.0, 1.0, None
    for _ in range(STEPS):
        ratio = (low + high) / 2
        try:
            model = pruned(dense, importance, ratio, is_global, path)
            fits = parameters(model) <= most
        except (ZeroDivisionError, RuntimeError):
            # A layer has nothing left.
            high = ratio
            continue
        if fits:
            high, best = ratio, (ratio, model)
        else:
            low = ratio
    return best


def main(folder, calibration, most, out, *wanted):
    torch.set_num_threads(2)
    dense = Encoder(folder).eval()
    # Of no use here, and in no graph: it counts for nobody.
    dense.model.pooler = None
    found = {}
    for importance in wanted or ("l2", "taylor"):
        if importance == "taylor":
            gradients(dense, calibration)
        tried = []
        for is_global in (False, True):
            best = smallest(dense, importance, is_global, calibration, int(most))
            if best:
                tried.append((distance(dense, best[1], calibration), is_global, *best))
        _, is_global, ratio, model = min(tried, key=lambda one: one[0])
        path = pathlib.Path(out) / f"{importance}.onnx"
        export_model(model, path)
        count = sum(onnx.numpy_helper.to_array(each).size for each in onnx.load(path).graph.initializer)
        found[importance] = {"ratio": ratio, "global": is_global, "parameters": count, "calibration": min(tried)[0]}
    print(json.dumps(found))


main(*sys.argv[1:])
