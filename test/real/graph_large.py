"""A graph of linear layers with random weights, in external data, and samples for it.

    graph_large.py OUT.onnx SAMPLES.safetensors MAPS WIDTH COUNT

MAPS products of [WIDTH, WIDTH] with a Relu behind each, and a last one to 16 values. x [COUNT, WIDTH].
"""
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import save_file


def main(out, samples, maps, width, count):
    maps, width, count = int(maps), int(width), int(count)
    random = np.random.default_rng(1)
    nodes, weights, value, end = [], [], "x", 0
    name = out.rsplit("/", 1)[-1] + "_data"
    with open(f"{out}_data", "wb") as data:
        for i in range(maps + 1):
            wide = width if i < maps else 16
            matrix = random.standard_normal((width, wide), np.float32) * np.float32((2 / width) ** 0.5)
            weight = TensorProto(name=f"w{i}", data_type=TensorProto.FLOAT, dims=matrix.shape, data_location=TensorProto.EXTERNAL)
            for key, entry in {"location": name, "offset": end, "length": matrix.nbytes}.items():
                weight.external_data.add(key=key, value=str(entry))
            end += data.write(matrix.tobytes())
            weights.append(weight)
            last = i == maps
            nodes.append(helper.make_node("MatMul", [value, f"w{i}"], ["y" if last else f"m{i}"]))
            if not last:
                nodes.append(helper.make_node("Relu", [f"m{i}"], [f"r{i}"]))
            value = f"r{i}"
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", size]) for n, size in (("x", width), ("y", 16)))
    graph = helper.make_graph(nodes, "large", [x], [y], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), out)
    save_file({"x": random.standard_normal((count, width), np.float32)}, samples)


if __name__ == "__main__":
    main(*sys.argv[1:])
