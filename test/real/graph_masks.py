"""Compares a sliced ONNX model with the dense one whose readers do not see the units that are gone.

Usage: graph_masks.py DENSE SLICED MASKS [NAME=SIZE ...]

MASKS: JSON: masks, a list of { node: first output of the reader, input, axis, gone: positions }. Every named input of a reader is
multiplied by zeros at those positions. states, a list of { output, axis, gone }: outputs which are zeros there. Symbolic dims are SIZE where they are named, else 1. Prints JSON: the largest
difference of any output, relative to the largest dense value (and a tenth, as onnxruntime's sigmoid is exact to 1e-7
only), the same of the masked model and the dense one, and the bytes of both files.
"""

import collections
import json
import os
import sys

import numpy as np
import onnx
import onnxruntime as ort

DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
INTEGERS = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}


def masked(model, masks):
    """The model, with a product in front of each reader's map."""
    nodes = {node.output[0]: node for node in model.graph.node}
    readers = collections.defaultdict(list)
    for mask in masks:
        readers[mask["node"], mask["input"]].append(mask)
    ranks = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    added = collections.defaultdict(list)
    for number, ((output, index), parts) in enumerate(readers.items()):
        node = nodes[output]
        name = node.input[index]
        for part, mask in enumerate(parts):
            shape = [1] * mask["rank"]
            shape[mask["axis"]] = mask["size"]
            ones = np.ones(mask["size"], np.float32)
            ones[mask["gone"]] = 0
            constant, product = f"mask.{number}.{part}", f"masked.{number}.{part}"
            model.graph.initializer.append(onnx.numpy_helper.from_array(ones.reshape(shape), constant))
            added[output].append(onnx.helper.make_node("Mul", [name, constant], [product]))
            name = product
        node.input[index] = name
    ordered = [part for node in model.graph.node for part in [*added.get(node.output[0], []), node]]
    del model.graph.node[:]
    model.graph.node.extend(ordered)
    return model


def session(model):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def inputs_of(run, sizes):
    rng = np.random.default_rng(5)
    feeds = {}
    for each in run.get_inputs():
        shape = [dim if isinstance(dim, int) else sizes.get(f"{each.name}.{i}", sizes.get(dim, 1)) for i, dim in enumerate(each.shape)]
        if each.type in DTYPES:
            feeds[each.name] = rng.standard_normal(shape).astype(DTYPES[each.type])
        else:
            feeds[each.name] = rng.integers(0, 2, shape).astype(INTEGERS[each.type])
    return feeds


def main(dense, sliced, masks, *named):
    sizes = {key: int(value) for key, value in (each.split("=") for each in named)}
    onnx.checker.check_model(sliced, full_check=True)
    whole = session(dense)
    feeds = inputs_of(whole, sizes)
    listed = json.load(open(masks))
    wanted = session(masked(onnx.load(dense), listed["masks"]).SerializeToString()).run(None, feeds)
    names = [each.name for each in whole.get_outputs()]
    for state in listed["states"]:
        value = wanted[names.index(state["output"])]
        assert value.shape[state["axis"]] > len(state["gone"]) > 0
        np.moveaxis(value, state["axis"], 0)[state["gone"]] = 0
    print(json.dumps({
        "difference": largest(wanted, session(sliced).run(None, feeds)),
        "effect": largest(wanted, whole.run(None, feeds)),
        "bytes": [os.path.getsize(dense), os.path.getsize(sliced)],
    }))


def largest(wanted, found):
    """Over all outputs."""
    differences = [0.0]
    for a, b in zip(wanted, found):
        assert a.shape == b.shape and a.dtype == b.dtype
        a, b = a.astype(np.float64), b.astype(np.float64)
        assert np.isfinite(a).all() and np.isfinite(b).all()
        differences.append(float(np.abs(a - b).max(initial=0) / (np.abs(a).max(initial=0) + 0.1)))
    return max(differences)


main(*sys.argv[1:])
