"""A graph of blocks with a residual, two maps each, with random weights, and samples of its input.

Usage: graph_large.py OUT.onnx SAMPLES.safetensors BLOCKS WIDTH COUNT

Every block is x + B relu(A x), with A and B of WIDTH x WIDTH: 8 * BLOCKS * WIDTH^2 bytes in all. A unit's size falls along
the width, so that some matter more than others.
"""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import save_file

path, samples, blocks, width, count = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
random = np.random.default_rng(7)
sizes = np.geomspace(1, 0.05, width, dtype=np.float32)
nodes, weights, last = [], [], "x"
for block in range(blocks):
    for name, by_unit in (("a", sizes), ("b", np.float32(1))):
        values = random.standard_normal((width, width), dtype=np.float32) * (by_unit / np.sqrt(width, dtype=np.float32))
        weights.append(helper.make_tensor(f"{name}{block}", TensorProto.FLOAT, [width, width], values.tobytes(), raw=True))
    nodes += [
        helper.make_node("MatMul", [last, f"a{block}"], [f"up{block}"]),
        helper.make_node("Relu", [f"up{block}"], [f"active{block}"]),
        helper.make_node("MatMul", [f"active{block}", f"b{block}"], [f"down{block}"]),
        helper.make_node("Add", [last, f"down{block}"], [f"y{block}"]),
    ]
    last = f"y{block}"
value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
graph = helper.make_graph(nodes, "large", [value("x")], [value(last)], weights)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
# Inputs that vary along few directions, as those of trained networks do.
mix = random.standard_normal((64, width), dtype=np.float32) / 8
x = random.standard_normal((count, 64), dtype=np.float32) @ mix
save_file({"x": x + 0.1 * random.standard_normal((count, width), dtype=np.float32)}, samples)
