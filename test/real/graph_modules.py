"""An ONNX graph as modules of torch, in the form that Torch-Pruning can cut.

onnx2torch makes the modules. Before that onnxruntime folds constants and joins products with their biases. Behind it

    - a linear layer has as many samples as its input (the file's reshape states a number);
    - constants of sums and products are parameters, since Torch-Pruning cuts parameters alone.

A sequence of tokens (reshapes to heads) and recurrent layers are not in it.
"""
import os
import tempfile

import onnx
import onnxruntime
import torch
from onnx2torch import convert


def inputs_of(model):
    constants = {each.name for each in model.graph.initializer}
    return [each for each in model.graph.input if each.name not in constants]


def prepared(path, shape):
    """The graph for an input of that shape, without what only computes constants."""
    model = onnx.load(path)
    for axis, size in zip(inputs_of(model)[0].type.tensor_type.shape.dim, shape):
        axis.dim_value = size
    del model.graph.value_info[:]
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = os.path.join(folder, "prepared.onnx")
        options.log_severity_level = 3
        # Batch norms stay: their statistics are taken anew behind a cut.
        onnxruntime.InferenceSession(model.SerializeToString(), options, disabled_optimizers=["ConvBNFusion"])
        return onnx.shape_inference.infer_shapes(onnx.load(options.optimized_model_filepath))


def kind(part):
    return type(part).__name__


def network(path, shape):
    """The graph of a file with one input and one output, as a module."""
    model = convert(prepared(path, shape))
    constants = model.initializers
    terms = set()
    for node in model.graph.nodes:
        if node.op != "call_module":
            continue
        part = model.get_submodule(node.target)
        if kind(part) == "OnnxReshape" and len(model.get_buffer(node.args[1].target)) == 2:
            model.add_submodule(node.target, torch.nn.Flatten(1))
            node.args = node.args[:1]
        if kind(part) == "OnnxBinaryMathOperation":
            terms.update(each.target for each in node.args if each.op == "get_attr")
    for name in terms:
        value = model.get_buffer(name)
        if value.numel() > 1:
            own = name.removeprefix("initializers.")
            delattr(constants, own)
            constants.register_parameter(own, torch.nn.Parameter(value))
    model.graph.eliminate_dead_code()
    model.recompile()
    return model.eval()


def export_model(model, out, path, shape):
    """With the names that the file of PATH has."""
    graph = onnx.load(path).graph
    names = [[each.name for each in tensors] for tensors in (inputs_of(onnx.load(path)), graph.output)]
    torch.onnx.export(
        model,
        (torch.zeros(1, *shape[1:]),),
        out,
        input_names=names[0],
        output_names=names[1],
        dynamic_axes={name: {0: "batch"} for side in names for name in side},
        dynamo=False,
        opset_version=17,
    )
