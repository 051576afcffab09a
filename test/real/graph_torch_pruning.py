"""Networks as Torch-Pruning prunes them, without training, of the sizes that `prune --sparsity` has.

    graph_torch_pruning.py sentences MODEL_FOLDER CALIBRATION SHARES OUT
    graph_torch_pruning.py photographs PACKAGES CALIBRATION SHARES OUT
    graph_torch_pruning.py graph MODEL.onnx CALIBRATION SHARES OUT

sentences: an encoder (graph_sentences.py); attention heads and rows of the FFN may go, as our sites are. photographs: EfficientNet-lite0
(graph_photographs.py); all channels may. graph: an ONNX file of convolutions with one input and one output, as graph_modules.py reads it;
all channels may go. OUT receives IMPORTANCE-SHARE.onnx without the SHARES, by commas, of the weights of linear and
convolutional layers at least, for each importance:

    l2      the L2 norm of a group (GroupMagnitudeImportance), which reads no data
    taylor  weight times gradient (GroupTaylorImportance) on the calibration's samples. The loss of the encoder is that of SimCSE
            (arXiv 2104.08821): each sentence is to be found again among those of its batch, by two passes with dropout. That of the
            others is the cross entropy of the dense network's answers: its likeliest class, or for a map of probabilities what it
            finds likely of each pixel

Batch norms get the statistics of the calibration's samples, which keeps more than their own. Of two networks the one nearest to the dense network's outputs on the calibration's samples is written: ratios are uniform or over all layers. Prints JSON, by
file: { ratio, global, loss }.
"""
import copy
import json
import pathlib
import sys

import torch
import torch_pruning
from safetensors.torch import load_file
from torch.nn import functional

STEPS = 7
MAPS = (torch.nn.Linear, torch.nn.Conv2d, torch.nn.ConvTranspose2d)


class Sentences:
    batch = 64

    def __init__(self, folder, path):
        from graph_sentences import NAMES, Encoder, export_model

        columns = load_file(path)
        self.columns = [columns[name] for name in NAMES]
        self.export = export_model
        self.dense = Encoder(folder).eval()
        # Of no use here, and in no graph: it counts for nobody.
        self.dense.model.pooler = None

    def loss(self, batch, _):
        outputs = [self.dense(*batch) for _ in range(2)]
        return functional.cross_entropy(outputs[0] @ outputs[1].T / 0.05, torch.arange(len(outputs[0])))

    def distance(self, outputs, dense):
        return 1 - (outputs * dense).sum(1)

    def scope(self, model, ratio):
        """The stream between the layers stays: what writes it is left out, and so are the embeddings."""
        from transformers.models.bert.modeling_bert import BertLayer

        layers = [each for each in model.modules() if isinstance(each, BertLayer)]
        stream = [part for layer in layers for part in (layer.attention.output.dense, layer.output.dense)]
        heads = {linear: each.num_attention_heads for each in attentions(model) for linear in (each.query, each.key, each.value)}
        return {
            "ignored_layers": [*stream, model.model.embeddings],
            "num_heads": heads,
            "prune_num_heads": True,
            "prune_head_dims": False,
            "head_pruning_ratio": ratio,
        }

    def mend(self, model, pruner):
        for each in attentions(model):
            each.num_attention_heads = pruner.num_heads[each.query]
            each.all_head_size = each.query.out_features
            each.attention_head_size = each.all_head_size // each.num_attention_heads


class Photographs:
    batch = 32

    def __init__(self, folder, path):
        from graph_photographs import export_model, network

        # They lie in random order. More take minutes, and change little.
        self.columns = [load_file(path)["image"][:128]]
        self.export = export_model
        self.dense = network(folder)

    def loss(self, batch, dense):
        return functional.cross_entropy(self.dense(*batch), dense.argmax(1))

    def distance(self, outputs, dense):
        return functional.kl_div(outputs.log_softmax(1), dense.log_softmax(1), reduction="none", log_target=True).sum(1)

    def scope(self, model, ratio):
        return {"ignored_layers": [model._fc]}

    def mend(self, model, pruner):
        pass


class Graph:
    def __init__(self, path, samples):
        import onnx
        from graph_modules import export_model, inputs_of, kind, network

        name = inputs_of(onnx.load(path))[0].name
        column = load_file(samples)[name]
        # As many as have 8 MiB, as in a run of ours, and two at least: batch norms of one have no variance.
        self.batch = max(2, min(32, 2**21 // column[0].numel()))
        self.columns = [column]
        self.export = lambda model, out: export_model(model, out, path, column.shape)
        self.dense = network(path, column.shape)
        self.is_map = "Sigmoid" in {kind(each) for each in self.dense.modules()}

    def loss(self, batch, dense):
        outputs = self.dense(*batch)
        if self.is_map:
            return functional.binary_cross_entropy(outputs, dense.round())
        return functional.nll_loss(outputs.log(), dense.argmax(1))

    def distance(self, outputs, dense):
        if self.is_map:
            return ((outputs - dense) ** 2).flatten(1).sum(1) / (dense**2).mean(0).sum()
        return functional.kl_div(outputs.log(), dense.log(), reduction="none", log_target=True).sum(1)

    def scope(self, model, ratio):
        # Its outputs stay.
        return {"ignored_layers": [[each for each in model.modules() if isinstance(each, MAPS)][-1]]}

    def mend(self, model, pruner):
        pass


def attentions(model):
    from transformers.models.bert.modeling_bert import BertSelfAttention

    return [each for each in model.modules() if isinstance(each, BertSelfAttention)]


def batches(of):
    for start in range(0, len(of.columns[0]), of.batch):
        yield tuple(column[start : start + of.batch] for column in of.columns)


def outputs(of, model):
    with torch.no_grad():
        return [model(*batch) for batch in batches(of)]


def gradients(of, answers):
    """On the dense network. Batch norms keep their statistics."""
    of.dense.zero_grad()
    for each in of.dense.modules():
        each.training = isinstance(each, torch.nn.Dropout)
    torch.manual_seed(1)
    for batch, dense in zip(batches(of), answers):
        of.loss(batch, dense).backward()
    of.dense.eval()


def weights(model):
    return sum(each.weight.numel() for each in model.modules() if isinstance(each, MAPS))


def pruned(of, importance, ratio, is_global):
    model = copy.deepcopy(of.dense)
    if importance == "taylor":
        # Weights are copied without their gradients.
        for own, dense in zip(model.parameters(), of.dense.parameters()):
            own.grad = None if dense.grad is None else dense.grad.clone()
    score = {"l2": torch_pruning.importance.GroupMagnitudeImportance, "taylor": torch_pruning.importance.GroupTaylorImportance}[importance]()
    example = tuple(column[:2] for column in next(batches(of)))
    scope = of.scope(model, ratio)
    pruner = torch_pruning.pruner.BasePruner(model, example, importance=score, pruning_ratio=ratio, global_pruning=is_global, **scope)
    pruner.step()
    of.mend(model, pruner)
    return model


def smallest(of, importance, share, is_global):
    """The least ratio that leaves at most so many weights, and the network."""
    low, high, best = 0.0, 1.0, None
    most = (1 - share) * weights(of.dense)
    for _ in range(STEPS):
        ratio = (low + high) / 2
        try:
            model = pruned(of, importance, ratio, is_global)
            fits = weights(model) <= most
        except (ZeroDivisionError, RuntimeError):
            # A layer has nothing left.
            high = ratio
            continue
        if fits:
            high, best = ratio, (ratio, model)
        else:
            low = ratio
    return best


def take_statistics(of, model):
    """Its batch norms get the statistics of the calibration's samples."""
    norms = [each for each in model.modules() if isinstance(each, torch.nn.BatchNorm2d)]
    for each in norms:
        each.reset_running_stats()
        each.momentum = None
        each.train()
    if norms:
        outputs(of, model)
    model.eval()


def main(kind, folder, calibration, shares, out):
    torch.set_num_threads(2)
    of = {"sentences": Sentences, "photographs": Photographs, "graph": Graph}[kind](folder, calibration)
    answers = outputs(of, of.dense)
    found = {}
    for importance in ("l2", "taylor"):
        if importance == "taylor":
            gradients(of, answers)
        for share in shares.split(","):
            tried = []
            for is_global in (False, True):
                best = smallest(of, importance, float(share), is_global)
                if best is None:
                    continue
                ratio, model = best
                take_statistics(of, model)
                apart = [of.distance(*pair) for pair in zip(outputs(of, model), answers)]
                tried.append((float(torch.cat(apart).mean()), {"ratio": ratio, "global": is_global}, model))
            loss, about, model = min(tried, key=lambda one: one[0])
            name = f"{importance}-{share}"
            model.zero_grad(set_to_none=True)
            of.export(model, str(pathlib.Path(out) / f"{name}.onnx"))
            found[name] = {**about, "loss": loss}
    print(json.dumps(found))


main(*sys.argv[1:])
