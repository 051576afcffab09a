"""Single convolutions as a sum-pooling and a smaller kernel in numpy, for test/models/graphs/kernels.test.ts.

    PYTHONPATH=.oracles/graphs:.oracles/python python3 scripts/oracles/make-kernel-fixtures.py [OUT]

OUT (default test/fixtures/kernels) receives of each NAME.onnx, NAME.inputs.safetensors to calibrate on, and NAME.expected.safetensors: `weight` C of
the smaller kernel and `bias` where there is one. With patches X and Z of which an element is the sum of X over a box (both about their
means where a bias takes those up), C is numpy's least squares of X W by Z. No ridge.
"""
import importlib
import sys
from itertools import product
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 48
patches = importlib.import_module("make-low-rank-fixtures").patches


def summed(rows, channels, kernel, removed):
    """Rows [n, channels × kernel] as [n, channels × smaller kernel]."""
    x = rows.reshape(-1, channels, *kernel)
    small = [size if size == 1 else size - removed for size in kernel]
    steps = product(*(range(size - least + 1) for size, least in zip(kernel, small)))
    z = sum(x[:, :, a : a + small[0], b : b + small[1]] for a, b in steps)
    return z.reshape(len(rows), -1), small


def main(out=ROOT / "test" / "fixtures" / "kernels"):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(5)
    cases = {
        "square": dict(weight=[6, 4, 3, 3], removed=1, bias=True, strides=[2, 1], pads=[1, 0, 0, 1]),
        "five": dict(weight=[5, 3, 5, 5], removed=2, bias=False, strides=[1, 1], pads=[2, 2, 2, 2]),
        "line": dict(weight=[6, 4, 1, 3], removed=1, bias=True, strides=[1, 1], pads=[0, 1, 0, 1]),
    }
    for name, case in cases.items():
        dims = case["weight"]
        window = {key: case[key] for key in ("strides", "pads")}
        x = random.normal(0.4, 1, (SAMPLES, dims[1], 9, 8))
        # As images are: neighbours are alike.
        x = (x + np.roll(x, 1, 2) + np.roll(x, 1, 3)).astype(np.float32)
        weight = random.normal(0, 0.3, dims).astype(np.float32)
        bias = random.normal(0, 1, dims[0]).astype(np.float32) if case["bias"] else None
        rows = patches(x.astype(np.float64), dims[2:], dilations=[1, 1], **window)
        z, small = summed(rows, dims[1], dims[2:], case["removed"])
        flat = weight.reshape(len(weight), -1).T.astype(np.float64)
        means = [each.mean(0) * (bias is not None) for each in (rows, z)]
        found = np.linalg.lstsq(z - means[1], (rows - means[0]) @ flat, rcond=None)[0]
        constants = {"w": weight, **({} if bias is None else {"b": bias})}
        node = helper.make_node("Conv", ["x", *constants], ["y"], **window)
        values = [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, sizes) for each, sizes in (("x", ["batch", *x.shape[1:]]), ("y", None))]
        graph = helper.make_graph([node], name, values[:1], values[1:], [numpy_helper.from_array(v, k) for k, v in constants.items()])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), out / f"{name}.onnx")
        save_file({"x": x}, out / f"{name}.inputs.safetensors")
        expected = {"weight": found.T.reshape(*dims[:2], *small)}
        if bias is not None:
            expected["bias"] = bias + means[0] @ flat - means[1] @ found
        save_file({k: np.ascontiguousarray(v, np.float32) for k, v in expected.items()}, out / f"{name}.expected.safetensors")


if __name__ == "__main__":
    main(*sys.argv[1:])
