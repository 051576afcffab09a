"""Exports networks with random weights, and writes the groups that Torch-Pruning finds in them.

Usage: graph_models.py OUT [NAME ...]
       graph_models.py --dynamo OUT NAME ...

OUT receives NAME.onnx and NAME.json: a list of groups (of Swin those that its modules say), each a list of [tensor, axis], where a tensor is named as the model's
state is and so as the ONNX file's initialiser. The last layer's outputs are left out, as they are the model's.
With --dynamo torch's newer exporter writes NAME.dynamo.onnx with an open batch (and length), and no groups.
"""

import json
import pathlib
import sys
import warnings

import torch
import torch_pruning
import torchvision.models as zoo
from torch import nn

warnings.filterwarnings("ignore")


class Tagger(nn.Module):
    """Words to tags: an embedding, an LSTM in both directions, two linear layers."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 24)
        self.lstm = nn.LSTM(24, 16, bidirectional=True, batch_first=True)
        self.hidden = nn.Linear(32, 20)
        self.tags = nn.Linear(20, 5)

    def forward(self, words):
        return self.tags(torch.relu(self.hidden(self.lstm(self.embedding(words))[0])))


class Encoder(nn.Module):
    """Words to tags: two layers of torch's own transformer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 32)
        layers = [nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, activation="gelu", norm_first=bool(i)) for i in range(2)]
        self.layers = nn.Sequential(*layers)
        self.tags = nn.Linear(32, 5)

    def forward(self, words):
        return self.tags(self.layers(self.embedding(words)))


PICTURE = torch.randn(1, 3, 64, 64)
MODELS = {
    "resnet50": (zoo.resnet50, PICTURE),
    "densenet121": (zoo.densenet121, PICTURE),
    "mobilenet_v2": (zoo.mobilenet_v2, PICTURE),
    "efficientnet_b0": (zoo.efficientnet_b0, PICTURE),
    "regnet_y_400mf": (zoo.regnet_y_400mf, PICTURE),
    "vit": (lambda: zoo.VisionTransformer(64, 16, 3, 4, 64, 128), PICTURE),
    "swin": (lambda: zoo.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [2, 2]), torch.randn(1, 3, 32, 32)),
    "vit_b_16": (zoo.vit_b_16, torch.randn(1, 3, 224, 224)),
    "swin_t": (zoo.swin_t, torch.randn(1, 3, 224, 224)),
    "encoder": (Encoder, torch.randint(0, 50, (1, 7))),
    "tagger": (Tagger, torch.randint(0, 50, (1, 7))),
}


def randomise(model):
    """Nothing is alike, as it is after training: an exporter stores equal tensors once."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point() and (tensor.dim() == 1 or not tensor.any()):
            nn.init.uniform_(tensor, 0.5, 1.5) if tensor.min() >= 0 and tensor.any() else nn.init.normal_(tensor, 0, 0.1)


def axis_of(module, is_output):
    """Of the weight, where outputs or inputs of that layer lie."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        return 0 if is_output else 1
    return 0


def groups_of(model, inputs):
    graph = torch_pruning.DependencyGraph().build_dependency(model, inputs)
    last = [module for module in model.modules() if isinstance(module, (nn.Linear, nn.Conv2d))][-1]
    names = {module: name for name, module in model.named_modules()}
    parameters = {id(parameter): name for name, parameter in model.named_parameters()}
    found = []
    for group in graph.get_all_groups(ignored_layers=[last], root_module_types=[nn.Conv2d, nn.Linear, nn.LSTM]):
        members = set()
        for dependency, _ in group:
            module = dependency.target.module
            is_output = graph.is_out_channel_pruning_fn(dependency.handler)
            if isinstance(module, nn.MultiheadAttention):
                members |= {(f"{names[module]}.in_proj_weight", 1), (f"{names[module]}.out_proj.weight", 0)}
            elif isinstance(module, nn.Parameter):
                members.add((parameters[id(module)], module.dim() - 1))
            elif module in names and hasattr(module, "weight") and module.weight is not None:
                members.add((f"{names[module]}.weight", axis_of(module, is_output)))
            elif isinstance(module, nn.LSTM):
                members.add((names[module], 0 if is_output else 1))
        found.append(sorted(members))
    return sorted(found)


def made(name):
    make, inputs = MODELS[name]
    torch.manual_seed(1)
    model = make().eval()
    with torch.no_grad():
        randomise(model)
    return model, inputs


def by_dynamo(out, *names):
    for name in names:
        model, inputs = made(name)
        # A size of one would be taken for one of every run.
        given = torch.cat([inputs, inputs])
        is_open = [0] if given.is_floating_point() else [0, 1]
        torch.onnx.export(
            model,
            (given,),
            pathlib.Path(out) / f"{name}.dynamo.onnx",
            dynamo=True,
            input_names=["x"],
            dynamic_shapes=({axis: torch.export.Dim.DYNAMIC for axis in is_open},),
            verbose=False,
        )


def groups_in_swin(model):
    """Read off the modules, as Torch-Pruning 1.6.1 does not come to an end on torchvision's, whose attention is a function."""
    found, streams = [], []
    for i, stage in enumerate(model.features):
        name = f"features.{i}"
        if i == 0:
            streams.append([(f"{name}.0.weight", 0), (f"{name}.2.weight", 0)])
        elif isinstance(stage, nn.Sequential):
            for block in (f"{name}.{j}" for j in range(len(stage))):
                found += [[(f"{block}.attn.qkv.weight", 0), (f"{block}.attn.proj.weight", 1)]]
                found += [[(f"{block}.mlp.0.weight", 0), (f"{block}.mlp.3.weight", 1)]]
                read = [(f"{block}.{each}.weight", 1) for each in ("attn.qkv", "mlp.0")]
                written = [(f"{block}.{each}.weight", 0) for each in ("norm1", "attn.proj", "norm2", "mlp.3")]
                streams[-1] += [*read, *written]
        else:
            streams[-1] += [(f"{name}.norm.weight", 0), (f"{name}.reduction.weight", 1)]
            streams.append([(f"{name}.reduction.weight", 0)])
    streams[-1] += [("norm.weight", 0), ("head.weight", 1)]
    return [*found, *streams]


def main(out, *wanted):
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    for name in wanted or MODELS:
        model, inputs = made(name)
        torch.onnx.export(
            model,
            (inputs,),
            folder / f"{name}.onnx",
            dynamo=False,
            do_constant_folding=False,
            training=torch.onnx.TrainingMode.PRESERVE,
            opset_version=17,
        )
        groups = groups_in_swin(model) if name.startswith("swin") else groups_of(model, inputs)
        (folder / f"{name}.json").write_text(json.dumps(groups))


if sys.argv[1] == "--dynamo":
    by_dynamo(*sys.argv[2:])
else:
    main(*sys.argv[1:])
