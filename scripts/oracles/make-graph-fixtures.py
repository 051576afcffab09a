"""A small network as an ONNX file, the groups that Torch-Pruning finds in it, and its weights after Torch-Pruning has pruned them.

Usage: PYTHONPATH=<torch, torch-pruning, onnx, safetensors> python3 scripts/oracles/make-graph-fixtures.py [OUT]

OUT (default test/fixtures/graphs) receives network.onnx, groups.json (of every group [tensor, axis]), pruned.safetensors
(every group without its units 1, 4, 7, …; a unit of a grouped convolution is a channel of each group) and versions.json.
"""

import json
import pathlib
import platform
import sys
import warnings

import onnx
import torch
import torch_pruning
from safetensors.torch import save_file
from torch import nn

warnings.filterwarnings("ignore")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def conv(inputs, outputs, size=3, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.Hardswish()
    )


class Network(nn.Module):
    """A residual, a depthwise and a grouped convolution, squeeze and excite, a concatenation, a pixel shuffle and a flatten."""

    def __init__(self):
        super().__init__()
        self.stem = conv(3, 6)
        self.expand = conv(6, 10, 1)
        self.depthwise = conv(10, 10, 3, 10)
        self.squeeze, self.excite = nn.Conv2d(10, 4, 1), nn.Conv2d(4, 10, 1)
        self.project = conv(10, 6, 1)
        self.branch = conv(6, 8)
        self.grouped = conv(8, 12, 3, 2)
        self.join = nn.Conv2d(18, 8, 1)
        self.hidden = nn.Linear(2 * 4 * 4, 7)
        self.head = nn.Linear(7, 3)

    def forward(self, x):
        x = self.stem(x)
        y = self.depthwise(self.expand(x))
        y = y * torch.sigmoid(self.excite(torch.relu(self.squeeze(y.mean((2, 3), keepdim=True)))))
        x = x + self.project(y)
        x = self.join(torch.cat([x, self.grouped(self.branch(x))], 1))
        x = nn.functional.pixel_shuffle(nn.functional.max_pool2d(x, 4), 2)
        return self.head(torch.relu(self.hidden(x.flatten(1))))


def randomise(model):
    """Nothing is alike, as after training: an exporter stores equal tensors once."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.dim() == 1:
            nn.init.uniform_(tensor, 0.5, 1.5)


def groups_of(graph, model, ignored):
    names = {module: name for name, module in model.named_modules()}
    for group in graph.get_all_groups(ignored_layers=ignored, root_module_types=[nn.Conv2d, nn.Linear]):
        members = set()
        for dependency, _ in group:
            module = dependency.target.module
            if module not in names or not hasattr(module, "weight"):
                continue
            is_input = not graph.is_out_channel_pruning_fn(dependency.handler)
            is_map = isinstance(module, (nn.Conv2d, nn.Linear)) and getattr(module, "groups", 1) != module.weight.shape[0]
            members.add((f"{names[module]}.weight", int(is_input and is_map)))
        yield group, sorted(members)


def main(out=ROOT / "test" / "fixtures" / "graphs"):
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    model, inputs = Network().eval(), torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        randomise(model)
    torch.onnx.export(
        model,
        (inputs,),
        folder / "network.onnx",
        input_names=["picture"],
        output_names=["classes"],
        dynamic_axes={"picture": {0: "batch"}, "classes": {0: "batch"}},
        dynamo=False,
        do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,
        opset_version=17,
    )
    onnx.checker.check_model(str(folder / "network.onnx"), full_check=True)
    graph = torch_pruning.DependencyGraph().build_dependency(model, inputs)
    # Torch-Pruning does not know that a pixel shuffle takes channels in fours.
    found = list(groups_of(graph, model, [model.head, model.join]))
    (folder / "groups.json").write_text(json.dumps([members for _, members in found], indent=1) + "\n")
    for group, _ in found:
        layer = group[0].dep.target.module
        units = layer.weight.shape[0] // (2 if layer in (model.branch[0], model.grouped[0]) else 1)
        gone = [channel for channel in range(layer.weight.shape[0]) if channel % units % 3 == 1]
        graph.get_pruning_group(layer, group[0].dep.handler, gone).prune()
    model(inputs)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "pruned.safetensors")
    packages = [torch, torch_pruning, onnx]
    versions = {package.__name__: getattr(package, "__version__", "1.6.1") for package in packages}
    (folder / "versions.json").write_text(json.dumps({"python": platform.python_version(), **versions}, indent=1) + "\n")


main(*sys.argv[1:])
