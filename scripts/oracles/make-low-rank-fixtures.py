"""Single maps of lower rank in numpy, for test/models/graphs/low-rank.test.ts.

    PYTHONPATH=.oracles/graphs:.oracles/python python3 scripts/oracles/make-low-rank-fixtures.py [OUT]

OUT (default test/fixtures/low-rank) receives of each map NAME.onnx, NAME.inputs.safetensors to calibrate on, and NAME.expected.safetensors:
`weight` [columns, outputs] of the largest rank that is SPARSITY smaller as two, and `bias` where there is one. G = L Lᵀ being the Gram
matrix of what the map reads (about its means where a bias takes those up), the weight is L⁻ᵀ times the truncated SVD of Lᵀ W.
"""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[2]
SPARSITY, SAMPLES = 0.4, 64


def patches(x, kernel, strides, dilations, pads):
    """[rows, channels × kernel]."""
    x = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])])
    (rows, columns), (height, width) = [(range(0, x.shape[i + 2] - (kernel[i] - 1) * dilations[i], strides[i])) for i in range(2)], kernel
    taken = [
        x[:, :, r : r + height * dilations[0] : dilations[0], c : c + width * dilations[1] : dilations[1]][:, :, :height, :width]
        for r in rows
        for c in columns
    ]
    return np.concatenate([each.reshape(len(x), -1) for each in taken])


def truncated(rows, weight, fits):
    """`weight` [columns, outputs]."""
    columns, outputs = weight.shape
    rank = int((1 - SPARSITY) * columns * outputs / (columns + outputs))
    means = rows.mean(0) * fits
    lower = np.linalg.cholesky((rows - means).T @ (rows - means))
    u, s, v = np.linalg.svd(lower.T @ weight, full_matrices=False)
    small = np.linalg.solve(lower.T, (u[:, :rank] * s[:rank]) @ v[:rank])
    return small, means @ (weight - small)


def main(out=ROOT / "test" / "fixtures" / "low-rank"):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(7)
    window = dict(strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 1])
    cases = {
        "matmul": dict(shape=[24], weight=[24, 20], bias=20),
        "wide": dict(shape=[3, 12], weight=[12, 30], bias=None),
        "gemm": dict(shape=[20], weight=[16, 20], bias=16, attributes=dict(transB=1)),
        "conv": dict(shape=[4, 7, 6], weight=[14, 4, 3, 2], bias=14, attributes=window),
    }
    for name, case in cases.items():
        shape, dims, attributes = case["shape"], case["weight"], case.get("attributes", {})
        mix = random.normal(0, 1, (np.prod(shape), np.prod(shape))) * 0.8 ** np.arange(np.prod(shape))
        x = (random.normal(0.5, 1, (SAMPLES, np.prod(shape))) @ mix.T).reshape(SAMPLES, *shape).astype(np.float32)
        weight = random.normal(0, 0.3, dims).astype(np.float32)
        bias = None if case["bias"] is None else random.normal(0, 1, case["bias"]).astype(np.float32)
        constants = {"w": weight, **({} if bias is None else {"b": bias})}
        rows = patches(x, dims[2:], **window) if name == "conv" else x.reshape(-1, shape[-1])
        flat = weight.reshape(len(weight), -1).T if name in ("gemm", "conv") else weight
        small, gain = truncated(rows.astype(np.float64), flat.astype(np.float64), bias is not None)
        op = {"gemm": "Gemm", "conv": "Conv"}.get(name, "MatMul")
        if op == "MatMul" and bias is not None:
            nodes = [helper.make_node(op, ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])]
        else:
            nodes = [helper.make_node(op, ["x", *constants], ["y"], **attributes)]
        values = [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, sizes) for each, sizes in (("x", ["batch", *shape]), ("y", None))]
        graph = helper.make_graph(nodes, name, values[:1], values[1:], [numpy_helper.from_array(v, k) for k, v in constants.items()])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), out / f"{name}.onnx")
        save_file({"x": x}, out / f"{name}.inputs.safetensors")
        expected = {"weight": small, **({} if bias is None else {"bias": bias + gain})}
        save_file({k: np.ascontiguousarray(v, np.float32) for k, v in expected.items()}, out / f"{name}.expected.safetensors")
    table(out, random)


def table(out, random):
    """A table of rows that are read unlike often: the SVD of its rows times the roots of how often."""
    rows, width, share = 40, 12, 1 - SPARSITY
    weight = random.normal(0, 0.3, (rows, width)).astype(np.float32)
    often = 0.85 ** np.arange(rows)
    ids = random.choice(rows, (SAMPLES, 5), p=often / often.sum()).astype(np.int64)
    counts = np.bincount(ids.ravel(), minlength=rows)
    _, _, v = np.linalg.svd(np.sqrt(counts)[:, None] * weight.astype(np.float64), full_matrices=False)
    rank = int(share * rows * width / (rows + width))
    small = weight @ v[:rank].T @ v[:rank]
    values = [helper.make_tensor_value_info("x", onnx.TensorProto.INT64, ["batch", 5]), helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)]
    node = helper.make_node("Gather", ["w", "x"], ["y"])
    graph = helper.make_graph([node], "table", values[:1], values[1:], [numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), out / "table.onnx")
    save_file({"x": ids}, out / "table.inputs.safetensors")
    save_file({"weight": np.ascontiguousarray(small, np.float32)}, out / "table.expected.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
