"""Small graphs pruned in numpy, for test/models/graphs/run.test.ts.

    PYTHONPATH=.oracles/graphs:.oracles/python python3 scripts/oracles/make-graph-run-fixtures.py [OUT]

OUT (default test/fixtures/graph-runs) receives of each graph NAME.onnx, NAME.inputs.safetensors to calibrate on (of mlp
.npz files too), and NAME.pruned.safetensors: every constant as half of each site's units leave it, with biases that are added under the name
"WEIGHT bias". Its metadata have `kept` (by site the units that stay) and `sparsity` (weights that go, as a share).

Of the graphs in FED there is NAME.fed.safetensors too: the same with half of the feedback (BETA), where the target is nearer to what
the dense graph gives.

onnxruntime gives what the readers of a site read in the graph as it is by then; the rest is numpy: patches, sums without
their means, one removal after the other, each the one that costs least, and the least squares of what stays.
"""
import copy
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[2]
LAMBDA, SAMPLES = 0.05, 48
BETA, FED = 0.5, ("mlp", "residual", "concat")


class Graph:
    """Builds a model node by node, with drawn weights."""

    def __init__(self, shape, seed):
        self.random = np.random.default_rng(seed)
        self.constants, self.nodes, self.shape = {}, [], shape
        self.states, self.dtype = {}, np.float32

    def constant(self, name, *dims, low=None):
        fan = np.prod(dims[1:]) if len(dims) > 1 else 4
        values = self.random.normal(0, 1 / np.sqrt(fan), dims) if low is None else self.random.uniform(low, 1.5, dims)
        self.constants[name] = values.astype(np.float32)
        return name

    def node(self, op, inputs, output, **attributes):
        domain = "com.microsoft" if op.startswith(("Fused", "Bias", "Skip")) else ""
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{op} {output}", domain=domain, **attributes))
        return output

    def halved(self):
        """All floats in 16 bits."""
        self.dtype = np.float16
        self.constants = {name: value.astype(np.float16) for name, value in self.constants.items()}

    def norm(self, x, width, output):
        names = [self.constant(f"{output}.{part}", width, low=low) for part, low in (("scale", 0.5), ("bias", None), ("mean", None), ("var", 0.5))]
        return self.node("BatchNormalization", [x, *names], output)

    def model(self, output=None):
        """Where the caller keeps states, the file takes one sample at a time."""
        nodes = self.nodes
        batch = 1 if self.states and output is None else "batch"
        floats = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        values = [helper.make_tensor_value_info("x", floats, [batch, *self.shape])]
        for name, value in self.states.items():
            values.append(helper.make_tensor_value_info(name, floats, [1, batch, value.shape[2]]))
        name = output or nodes[-1].output[0]
        last = [helper.make_tensor_value_info(name, floats, None if output else [batch, "outputs"])]
        if output is None:
            last += [helper.make_tensor_value_info(f"{state}n", floats, [1, 1, value.shape[2]]) for state, value in self.states.items()]
        tensors = [numpy_helper.from_array(v, k) for k, v in self.constants.items()]
        graph = helper.make_graph(nodes, "graph", values, last, tensors)
        own = [helper.make_opsetid("com.microsoft", 1)] if any(node.domain for node in nodes) else []
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), *own], ir_version=8)

    def run(self, name, x):
        if name in self.states:
            return self.states[name].astype(np.float64)
        session = onnxruntime.InferenceSession(self.model(name).SerializeToString())
        return session.run(None, {"x": x, **self.states})[0].astype(np.float64)


def mlp():
    g = Graph([6], 1)
    g.node("Gemm", ["x", g.constant("w1", 12, 6), g.constant("b1", 12)], "h1", transB=1)
    g.node("Relu", ["h1"], "r1")
    g.node("MatMul", ["r1", g.constant("w2", 12, 12)], "p2")
    g.node("Add", ["p2", g.constant("b2", 12)], "h2")
    g.node("Relu", ["h2"], "r2")
    g.node("Gemm", ["r2", g.constant("w3", 12, 5)], "y")
    first = dict(name="w1", units=12, cuts=[("w1", 0), ("b1", 0), ("w2", 0)], readers=[dict(weight="w2", x="r1", axis=0, bias="b2")])
    second = dict(name="w2", units=12, cuts=[("w2", 1), ("b2", 0), ("w3", 0)], readers=[dict(weight="w3", x="r2", axis=0)])
    return g, [first, second]


def residual():
    """Two readers of one site, batch norms, strides, dilations and uneven pads."""
    g = Graph([2, 9, 8], 2)
    g.node("Conv", ["x", g.constant("w1", 8, 2, 3, 3)], "c1", pads=[1, 1, 1, 1])
    g.node("Relu", [g.norm("c1", 8, "n1")], "r1")
    g.node("Conv", ["r1", g.constant("w2", 8, 8, 3, 3)], "c2", pads=[1, 1, 1, 1])
    g.node("Relu", [g.norm("c2", 8, "n2")], "r2")
    g.node("Conv", ["r2", g.constant("w3", 8, 8, 1, 1), g.constant("b3", 8)], "c3")
    g.node("Add", ["r1", g.norm("c3", 8, "n3")], "sum")
    g.node("Relu", ["sum"], "r3")
    g.node("Conv", ["r3", g.constant("w4", 8, 8, 3, 2), g.constant("b4", 8)], "c4", pads=[0, 1, 2, 0], strides=[2, 1], dilations=[1, 2])
    g.node("Relu", ["c4"], "r4")
    g.node("GlobalAveragePool", ["r4"], "pooled")
    g.node("Flatten", ["pooled"], "flat")
    g.node("Gemm", ["flat", g.constant("w5", 5, 8), g.constant("b5", 5)], "logits", transB=1)
    norm = lambda name: [(f"{name}.{part}", 0) for part in ("scale", "bias", "mean", "var")]
    window = dict(pads=[1, 1, 1, 1])
    stream = dict(name="w1", units=8, cuts=[("w1", 0), *norm("n1"), ("w2", 1), ("w3", 0), ("b3", 0), *norm("n3"), ("w4", 1)], readers=[
        dict(weight="w2", x="r1", **window),
        dict(weight="w4", x="r3", bias="b4", pads=[0, 1, 2, 0], strides=[2, 1], dilations=[1, 2]),
    ])
    inner = dict(name="w2", units=8, cuts=[("w2", 0), ("w2 bias", 0), *norm("n2"), ("w3", 1)], readers=[dict(weight="w3", x="r2", bias="b3")])
    last = dict(name="w4", units=8, cuts=[("w4", 0), ("b4", 0), ("w5", 1)], readers=[dict(weight="w5", x="flat", axis=1, bias="b5")])
    return g, [stream, inner, last]


def depthwise():
    """A depthwise convolution within a site, one in groups as a reader and as a writer, padding by name."""
    g = Graph([3, 6, 6], 3)
    g.node("Conv", ["x", g.constant("w1", 8, 3, 1, 1), g.constant("b1", 8)], "c1")
    g.node("Relu", ["c1"], "r1")
    g.node("Conv", ["r1", g.constant("w2", 8, 1, 3, 3), g.constant("b2", 8)], "c2", group=8, pads=[1, 1, 1, 1])
    g.node("Relu", ["c2"], "r2")
    g.node("Conv", ["r2", g.constant("w3", 8, 8, 1, 1)], "c3")
    g.node("Relu", ["c3"], "r3")
    g.node("Conv", ["r3", g.constant("w4", 8, 4, 2, 2)], "c4", group=2, auto_pad="SAME_UPPER")
    g.node("Relu", ["c4"], "r4")
    g.node("Conv", ["r4", g.constant("w5", 4, 8, 1, 1), g.constant("b5", 4)], "c5")
    g.node("GlobalAveragePool", ["c5"], "pooled")
    g.node("Flatten", ["pooled"], "flat")
    g.node("Softmax", ["flat"], "y", axis=1)
    expand = dict(name="w1", units=8, cuts=[("w1", 0), ("b1", 0), ("w2", 0), ("b2", 0), ("w3", 1)], readers=[dict(weight="w3", x="r2")])
    pads = dict(pads=[0, 0, 1, 1])
    pairs = dict(name="w3", units=4, cuts=[("w3", 0), ("w3 bias", 0), ("w4", 1)], readers=[dict(weight="w4", x="r3", group=(i, 2), **pads) for i in range(2)])
    after = dict(name="w4", units=4, cuts=[("w4", 0), ("w4 bias", 0), ("w5", 1)], readers=[dict(weight="w5", x="r4", bias="b5", pairs=True)])
    return g, [expand, pairs, after]


def transposed():
    """Transposed convolutions as readers and as writers: strides, dilations, uneven pads, more positions at the end."""
    g = Graph([3, 4, 5], 4)
    g.node("Conv", ["x", g.constant("w1", 8, 3, 1, 1), g.constant("b1", 8)], "c1")
    g.node("Relu", ["c1"], "r1")
    g.node("ConvTranspose", ["r1", g.constant("w2", 8, 6, 3, 2), g.constant("b2", 6)], "c2", strides=[2, 1], dilations=[1, 2], pads=[1, 0, 0, 1], output_padding=[1, 0])
    g.node("Relu", ["c2"], "r2")
    g.node("ConvTranspose", ["r2", g.constant("w3", 6, 4, 2, 2)], "c3", strides=[2, 2])
    g.node("Relu", ["c3"], "r3")
    g.node("Conv", ["r3", g.constant("w4", 5, 4, 1, 1), g.constant("b4", 5)], "c4")
    g.node("GlobalAveragePool", ["c4"], "pooled")
    g.node("Flatten", ["pooled"], "y")
    second = dict(pads=[1, 0, 0, 1], strides=[2, 1], dilations=[1, 2], more=[1, 0])
    first = dict(name="w1", units=8, cuts=[("w1", 0), ("b1", 0), ("w2", 0)], readers=[dict(weight="w2", x="r1", bias="b2", transposed=second)])
    middle = dict(name="w2", units=6, cuts=[("w2", 1), ("b2", 0), ("w3", 0)], readers=[dict(weight="w3", x="r2", transposed=dict(strides=[2, 2]))])
    last = dict(name="w3", units=4, cuts=[("w3", 1), ("w3 bias", 0), ("w4", 1)], readers=[dict(weight="w4", x="r3", bias="b4")])
    return g, [first, middle, last]


def groups():
    """Transposed convolutions in groups: one a channel, within a site, and two, as a reader and as a writer."""
    g = Graph([3, 4, 5], 13)
    g.node("Conv", ["x", g.constant("w1", 8, 3, 1, 1), g.constant("b1", 8)], "c1")
    g.node("Relu", ["c1"], "r1")
    g.node("ConvTranspose", ["r1", g.constant("w2", 8, 1, 3, 3), g.constant("b2", 8)], "c2", group=8, strides=[2, 1], pads=[1, 1, 1, 1])
    g.node("Relu", ["c2"], "r2")
    g.node("Conv", ["r2", g.constant("w3", 8, 8, 1, 1)], "c3")
    g.node("Relu", ["c3"], "r3")
    g.node("ConvTranspose", ["r3", g.constant("w4", 8, 4, 2, 2)], "c4", group=2, strides=[1, 2])
    g.node("Relu", ["c4"], "r4")
    g.node("Conv", ["r4", g.constant("w5", 5, 8, 1, 1), g.constant("b5", 5)], "c5")
    g.node("GlobalAveragePool", ["c5"], "pooled")
    g.node("Flatten", ["pooled"], "y")
    expand = dict(name="w1", units=8, cuts=[("w1", 0), ("b1", 0), ("w2", 0), ("b2", 0), ("w3", 1)], readers=[dict(weight="w3", x="r2")])
    pairs = dict(name="w3", units=4, cuts=[("w3", 0), ("w3 bias", 0), ("w4", 0)], readers=[dict(weight="w4", x="r3", group=(i, 2), transposed=dict(strides=[1, 2])) for i in range(2)])
    after = dict(name="w4", units=4, cuts=[("w4", 1), ("w4 bias", 0), ("w5", 1)], readers=[dict(weight="w5", x="r4", bias="b5", pairs=True)])
    return g, [expand, pairs, after]


def scaled():
    """Gemms with factors, and channels that are looked up in another order."""
    g = Graph([6], 14)
    order = [3, 11, 0, 7, 5, 1, 10, 2, 9, 4, 8, 6]
    g.node("Gemm", ["x", g.constant("w1", 12, 6), g.constant("b1", 12)], "h1", transB=1, alpha=1.5, beta=2.0)
    g.node("Relu", ["h1"], "r1")
    g.node("Gemm", ["r1", g.constant("w2", 12, 12), g.constant("b2", 12)], "h2", alpha=3.0, beta=0.25)
    g.node("Relu", ["h2"], "r2")
    g.constants["order"] = np.array(order)
    g.node("Gather", ["r2", "order"], "g2", axis=1)
    g.node("Gemm", ["g2", g.constant("w3", 12, 5)], "y", alpha=0.5)
    first = dict(name="w1", units=12, cuts=[("w1", 0), ("b1", 0), ("w2", 0)], readers=[dict(weight="w2", x="r1", axis=0, bias="b2", scale=12)])
    second = dict(name="w2", units=12, cuts=[("w2", 1), ("b2", 0), ("w3", 0, order)], readers=[dict(weight="w3", x="g2", axis=0, order=order, scale=0.5)])
    return g, [first, second]


def recurrent():
    """An LSTM in both directions and a GRU of which the last state alone is read: each reads its own units of a step before."""
    g = Graph([5, 4], 5)
    g.node("Transpose", ["x"], "steps", perm=[1, 0, 2])
    zeros = np.zeros((2, 1, 6), np.float32)
    g.constants["zeros"] = zeros
    g.node("Shape", ["x"], "sizes")
    g.constants.update(first=np.array(0), two=np.array([2]), six=np.array([6]))
    g.node("Gather", ["sizes", "first"], "samples")
    g.node("Unsqueeze", ["samples", "front"], "count")
    g.constants["front"] = np.array([0])
    g.node("Concat", ["two", "count", "six"], "wide", axis=0)
    g.node("Expand", ["zeros", "wide"], "begin")
    g.node("LSTM", ["steps", g.constant("w1", 2, 24, 4), g.constant("r1", 2, 24, 6), g.constant("b1", 2, 48), "", "begin", "begin"], "all", direction="bidirectional", hidden_size=6)
    g.node("Transpose", ["all"], "sides", perm=[0, 2, 1, 3])
    g.constants["flat"] = np.array([0, 0, -1])
    g.node("Reshape", ["sides", "flat"], "joined")
    g.node("Relu", ["joined"], "r")
    g.nodes.append(helper.make_node("GRU", ["r", g.constant("w2", 1, 24, 12), g.constant("r2", 1, 24, 8), g.constant("b2", 1, 48)], ["steps2", "last"], name="GRU last", hidden_size=8, linear_before_reset=1))
    g.node("Squeeze", ["last", "front"], "state")
    g.node("Gemm", ["state", g.constant("w3", 8, 3), g.constant("b3", 3)], "y")
    own = lambda name, bias, x, direction: dict(weight=name, bias=bias, x=x, direction=direction)
    both = [dict(own("r1", "b1", "all", d), own=True) for d in (0, 1)]
    first = dict(name="w1", units=6, cuts=[("w1", 1), ("r1", 1), ("r1", 2), ("b1", 1), ("w2", 2)], readers=[*both, dict(own("w2", "b2", "r", 0), pairs=True)])
    second = dict(name="w2", units=8, cuts=[("w2", 1), ("r2", 1), ("r2", 2), ("b2", 1), ("w3", 0)], readers=[dict(own("r2", "b2", "steps2", 0), own=True), dict(weight="w3", x="state", axis=0, bias="b3")])
    return g, [first, second]


def reversed_steps():
    """An LSTM from the last step to the first that begins with a state which the graph computes, without a bias, and with peepholes."""
    g = Graph([5, 4], 6)
    g.node("Transpose", ["x"], "steps", perm=[1, 0, 2])
    g.node("ReduceMean", ["x"], "mean", axes=[1], keepdims=0)
    g.node("MatMul", ["mean", g.constant("w0", 4, 6)], "before")
    g.constants["front"] = np.array([0])
    g.node("Unsqueeze", ["before", "front"], "h0")
    g.node("LSTM", ["steps", g.constant("w1", 1, 24, 4), g.constant("r1", 1, 24, 6), "", "", "h0", "", g.constant("p1", 1, 18)], "all", direction="reverse", hidden_size=6)
    g.constants["side"] = np.array([1])
    g.node("Squeeze", ["all", "side"], "units")
    g.node("MatMul", ["units", g.constant("w2", 6, 3)], "each")
    g.node("ReduceMean", ["each"], "y", axes=[0], keepdims=0)
    cuts = [("w0", 1), ("w1", 1), ("r1", 1), ("r1", 2), ("p1", 1), ("w2", 0)]
    readers = [dict(weight="r1", x="all", direction=0, own=True, reverse=True, first="h0"), dict(weight="w2", x="units", axis=0, bias=None)]
    return g, [dict(name="w0", units=6, cuts=cuts, readers=readers)]


def stateful():
    """An LSTM whose states come from the caller and go back, one sample at a time."""
    g = Graph([5, 4], 7)
    g.states = {name: g.random.normal(0, 0.5, (1, SAMPLES, 6)).astype(np.float32) for name in ("h", "c")}
    g.node("Transpose", ["x"], "steps", perm=[1, 0, 2])
    g.nodes.append(helper.make_node("LSTM", ["steps", g.constant("w1", 1, 24, 4), g.constant("r1", 1, 24, 6), g.constant("b1", 1, 48), "", "h", "c"], ["all", "hn", "cn"], name="LSTM all", hidden_size=6))
    g.constants["side"] = np.array([1])
    g.node("Squeeze", ["all", "side"], "units")
    g.node("MatMul", ["units", g.constant("w2", 6, 3)], "each")
    g.node("ReduceMean", ["each"], "y", axes=[0], keepdims=0)
    cuts = [("w1", 1), ("r1", 1), ("r1", 2), ("b1", 1), ("w2", 0)]
    readers = [dict(weight="r1", x="all", bias="b1", direction=0, own=True, first="h"), dict(weight="w2", x="units", axis=0, bias=None)]
    return g, [dict(name="w1", units=6, cuts=cuts, readers=readers)]


def fused():
    """Ops as onnxruntime's optimiser writes them, each with a bias of its own somewhere."""
    g = Graph([2, 4, 3], 8)
    g.node("FusedConv", ["x", g.constant("w1", 6, 2, 1, 1), g.constant("b1", 6)], "c1", activation="Relu")
    g.node("FusedConv", ["c1", g.constant("w2", 6, 6, 2, 2), g.constant("b2", 6)], "c2", activation="Relu")
    g.node("Transpose", ["c2"], "last", perm=[0, 2, 3, 1])
    g.constants["tokens"] = np.array([0, -1, 6])
    g.node("Reshape", ["last", "tokens"], "t")
    g.node("FusedMatMul", ["t", g.constant("w3", 10, 6)], "p3", transB=1)
    g.node("BiasGelu", ["p3", g.constant("b3", 10)], "g3")
    g.node("MatMul", ["g3", g.constant("w4", 10, 6)], "p4")
    g.node("MatMul", ["t", g.constant("w5", 6, 6)], "p5")
    g.node("SkipLayerNormalization", ["p5", "p4", g.constant("scale", 6, low=0.5), g.constant("shift", 6), g.constant("b4", 6)], "n4")
    g.node("ReduceMean", ["n4"], "m", axes=[1], keepdims=0)
    g.node("FusedGemm", ["m", g.constant("w6", 8, 6), g.constant("b6", 8)], "f6", transB=1, activation="Relu")
    g.node("FusedGemm", ["f6", g.constant("w7", 8, 8), g.constant("b7", 8)], "f7", activation="Relu")
    g.node("Gemm", ["f7", g.constant("w8", 3, 8), g.constant("b8", 3)], "y", transB=1)
    sites = [
        dict(name="w1", units=6, cuts=[("w1", 0), ("b1", 0), ("w2", 1)], readers=[dict(weight="w2", x="c1", bias="b2")]),
        dict(name="w2", units=6, cuts=[("w2", 0), ("b2", 0), ("w3", 1), ("w5", 0)], readers=[dict(weight="w3", x="t", axis=1, bias="b3"), dict(weight="w5", x="t", axis=0, bias="b4")]),
        dict(name="w3", units=10, cuts=[("w3", 0), ("b3", 0), ("w4", 0)], readers=[dict(weight="w4", x="g3", axis=0, bias="b4")]),
        dict(name="w6", units=8, cuts=[("w6", 0), ("b6", 0), ("w7", 0)], readers=[dict(weight="w7", x="f6", axis=0, bias="b7")]),
        dict(name="w7", units=8, cuts=[("w7", 1), ("b7", 0), ("w8", 1)], readers=[dict(weight="w8", x="f7", axis=1, bias="b8")]),
    ]
    return g, sites


def concat():
    """Maps that read two sites behind a Concat: what one site loses the other one makes up for, but for units that have gone."""
    g = Graph([3, 5, 5], 9)
    g.node("Conv", ["x", g.constant("w1", 6, 3, 1, 1), g.constant("b1", 6)], "c1")
    g.node("Relu", ["c1"], "r1")
    g.node("Conv", ["x", g.constant("w2", 4, 3, 3, 3), g.constant("b2", 4)], "c2", pads=[1, 1, 1, 1])
    g.node("Relu", ["c2"], "r2")
    g.node("Concat", ["r1", "r2"], "both", axis=1)
    g.node("Conv", ["both", g.constant("w3", 5, 10, 2, 2), g.constant("b3", 5)], "c3")
    g.node("Conv", ["both", g.constant("w4", 5, 10, 1, 1)], "c4")
    g.node("GlobalAveragePool", ["c3"], "p3")
    g.node("GlobalAveragePool", ["c4"], "p4")
    g.node("Concat", ["p3", "p4"], "pooled", axis=1)
    g.node("Flatten", ["pooled"], "y")
    reads = lambda at, size: [dict(weight="w3", x="both", bias="b3", at=at, size=size), dict(weight="w4", x="both", at=at, size=size)]
    cuts = lambda at: [("w3", 1, at), ("w4", 1, at)]
    first = dict(name="w1", units=6, cuts=[("w1", 0), ("b1", 0), *cuts(0)], readers=reads(0, 6))
    second = dict(name="w2", units=4, cuts=[("w2", 0), ("b2", 0), *cuts(6)], readers=reads(6, 4))
    return g, [first, second]


def einsum():
    """Products as Einsum, the map on either side, with a bias behind them."""
    g = Graph([4, 6], 10)
    g.node("Einsum", ["x", g.constant("w1", 8, 6)], "p1", equation="bsd,hd->bsh")
    g.node("Add", ["p1", g.constant("b1", 8)], "h1")
    g.node("Relu", ["h1"], "r1")
    g.node("Einsum", [g.constant("w2", 8, 10), "r1"], "p2", equation="hk,bsh->bsk")
    g.node("Add", [g.constant("b2", 10), "p2"], "h2")
    g.node("Relu", ["h2"], "r2")
    g.node("Transpose", ["r2"], "turned", perm=[0, 2, 1])
    g.node("Einsum", ["turned", g.constant("w3", 3, 10)], "p3", equation="bks,ok->bso")
    g.node("ReduceMean", ["p3"], "y", axes=[1], keepdims=0)
    first = dict(name="w1", units=8, cuts=[("w1", 0), ("b1", 0), ("w2", 0)], readers=[dict(weight="w2", x="r1", axis=0, bias="b2")])
    second = dict(name="w2", units=10, cuts=[("w2", 1), ("b2", 0), ("w3", 1)], readers=[dict(weight="w3", x="r2", axis=1, bias=None)])
    return g, [first, second]


def attention():
    """An attention as Einsum: maps of three axes in three orders, heads of which whole ones go."""
    g = Graph([4, 6], 12)
    g.node("MatMul", ["x", g.constant("w0", 6, 10)], "p0")
    g.node("Relu", ["p0"], "h")
    for name, shape, equation in (("q", (10, 4, 3), "bsd,dhk->bshk"), ("k", (4, 10, 3), "bsd,hdk->bshk"), ("v", (4, 3, 10), "bsd,hkd->bshk")):
        g.node("Einsum", ["h", g.constant(f"w{name}", *shape)], f"{name}0", equation=equation)
        g.node("Add", [f"{name}0", g.constant(f"b{name}", 4, 3)], name)
    g.node("Einsum", ["q", "k"], "scores", equation="bqhk,bthk->bhqt")
    g.node("Softmax", ["scores"], "shares", axis=-1)
    g.node("Einsum", ["shares", "v"], "mixed", equation="bhqt,bthk->bhqk")
    g.node("Einsum", ["mixed", g.constant("wo", 4, 3, 8)], "o", equation="bhqk,hkd->bqd")
    g.node("Add", ["o", g.constant("bo", 8)], "o1")
    g.node("Relu", ["o1"], "o2")
    g.node("Einsum", ["o2", g.constant("w9", 5, 8)], "y3", equation="bqd,ed->beq")
    g.node("ReduceMean", ["y3"], "y", axes=[2], keepdims=0)
    stream = dict(name="w0", units=10, cuts=[("w0", 1), ("wq", 0), ("wk", 1), ("wv", 2)], readers=[
        dict(weight="wq", x="h", flat=((1, 2), (0,)), bias=None),
        dict(weight="wk", x="h", flat=((0, 2), (1,)), bias=None),
        dict(weight="wv", x="h", flat=((0, 1), (2,)), bias=None),
    ])
    heads = dict(name="wq", units=4, cuts=[("wq", 1), ("bq", 0), ("wk", 0), ("bk", 0), ("wv", 0), ("bv", 0), ("wo", 0)], readers=[dict(weight="wo", x="mixed", flat=((2,), (0, 1)), turn=(0, 2, 1, 3), bias="bo")])
    last = dict(name="wo", units=8, cuts=[("wo", 2), ("bo", 0), ("w9", 1)], readers=[dict(weight="w9", x="o2", flat=((0,), (1,)), bias=None)])
    return g, [stream, heads, last]


def gated():
    """GRUs whose reset gate comes before the map: in both directions from zeros, then backwards from a computed state, without a bias."""
    g = Graph([5, 4], 11)
    g.node("Transpose", ["x"], "steps", perm=[1, 0, 2])
    g.node("GRU", ["steps", g.constant("w1", 2, 18, 4), g.constant("r1", 2, 18, 6), g.constant("b1", 2, 36)], "all", direction="bidirectional", hidden_size=6)
    g.node("Transpose", ["all"], "sides", perm=[0, 2, 1, 3])
    g.constants["flat"] = np.array([0, 0, -1])
    g.node("Reshape", ["sides", "flat"], "joined")
    g.node("ReduceMean", ["x"], "mean", axes=[1], keepdims=0)
    g.node("MatMul", ["mean", g.constant("w0", 4, 8)], "before")
    g.constants["front"] = np.array([0])
    g.node("Unsqueeze", ["before", "front"], "h0")
    g.node("GRU", ["joined", g.constant("w2", 1, 24, 12), g.constant("r2", 1, 24, 8), "", "", "h0"], "all2", direction="reverse", hidden_size=8)
    g.constants["side"] = np.array([1])
    g.node("Squeeze", ["all2", "side"], "units")
    g.node("MatMul", ["units", g.constant("w3", 8, 3)], "each")
    g.node("ReduceMean", ["each"], "y", axes=[0], keepdims=0)

    def own(direction, **layer):
        parts = [dict(layer, direction=direction, own=True, gates=(0, 2)), dict(layer, direction=direction, own=True, gates=(2, 3))]
        return parts

    both = [part for d in (0, 1) for part in own(d, weight="r1", bias="b1", x="all", input="steps", maps="w1")]
    one = own(0, weight="r2", x="all2", input="joined", maps="w2", first="h0", reverse=True)
    first = dict(name="w1", units=6, cuts=[("w1", 1), ("r1", 1), ("r1", 2), ("b1", 1), ("w2", 2)], readers=[*both, dict(weight="w2", x="joined", direction=0, pairs=True)])
    second = dict(name="w0", units=8, cuts=[("w0", 1), ("w2", 1), ("r2", 1), ("r2", 2), ("w3", 0)], readers=[*one, dict(weight="w3", x="units", axis=0, bias=None)])
    return g, [first, second]


def half():
    """The residual block in 16-bit floats."""
    g, sites = residual()
    g.halved()
    return g, sites


def spread(x, kernel, pads=(0, 0, 0, 0), strides=(1, 1), dilations=(1, 1), more=(0, 0)):
    """What a plain convolution with the kernel turned round reads instead: zeros between the positions and around."""
    wide = np.zeros((*x.shape[:2], *((x.shape[2 + i] - 1) * strides[i] + 1 for i in range(2))))
    wide[:, :, :: strides[0], :: strides[1]] = x
    reach = [(kernel[i] - 1) * dilations[i] for i in range(2)]
    around = [(reach[i] - pads[i], reach[i] - pads[i + 2] + more[i]) for i in range(2)]
    wide = np.pad(wide, ((0, 0), (0, 0), *around))
    return patches(wide, kernel, dilations=dilations)[:, :, ::-1]


def patches(x, kernel, pads=(0, 0, 0, 0), strides=(1, 1), dilations=(1, 1)):
    """[rows, channels, kernel]"""
    top, left, bottom, right = pads
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    height, width = (x.shape[2 + i] - (kernel[i] - 1) * dilations[i] - 1 for i in range(2))
    rows = []
    for i in range(0, height + 1, strides[0]):
        for j in range(0, width + 1, strides[1]):
            rows.append([x[:, :, i + a * dilations[0], j + b * dilations[1]] for a in range(kernel[0]) for b in range(kernel[1])])
    return np.array(rows).transpose(0, 2, 3, 1).reshape(-1, x.shape[1], kernel[0] * kernel[1])


def columns(reader, units):
    """By unit: the channels that a reader reads of it."""
    return [[u, u + units] if reader.get("pairs") else [u] for u in range(units)]


def problem(g, reader, x, units):
    """Rows [rows, columns], the weight [outputs, columns], the columns of each unit."""
    weight = g.constants[reader["weight"]].astype(np.float64)
    read = g.run(reader["x"], x)
    if "flat" in reader:
        outs, inner = reader["flat"]
        flat = weight.transpose(*outs, *inner).reshape(-1, int(np.prod([weight.shape[i] for i in inner])))
        read = read.transpose(reader.get("turn", range(read.ndim))).reshape(-1, flat.shape[1])
        size = flat.shape[1] // units
        return read, flat, [np.arange(u * size, (u + 1) * size) for u in range(units)]
    if weight.ndim == 2:
        read = read.reshape(-1, read.shape[-1])
        order = reader.get("order", list(range(units)))
        return read, weight if reader["axis"] == 1 else weight.T, [np.array([order.index(u)]) for u in range(units)]
    if "direction" in reader:
        return steps(g, reader, x, read, weight, units)
    kernel = weight.shape[2:]
    if "transposed" in reader:
        part, parts = reader.get("group", (0, 1))
        width = weight.shape[0] // parts
        mine = slice(part * width, (part + 1) * width)
        rows, weight = spread(read[:, mine], kernel, **reader["transposed"]), weight[mine]
        size = kernel[0] * kernel[1]
        flat = weight.transpose(1, 0, 2, 3).reshape(weight.shape[1], -1)
        return rows.reshape(len(rows), -1), flat, [np.arange(u * size, (u + 1) * size) for u in range(units)]
    part, parts = reader.get("group", (0, 1))
    width, out = weight.shape[1], weight.shape[0] // parts
    options = {k: reader[k] for k in ("pads", "strides", "dilations") if k in reader}
    rows = patches(read[:, part * width : (part + 1) * width], kernel, **options)
    size = kernel[0] * kernel[1]
    mine = [np.concatenate([np.arange(c * size, (c + 1) * size) for c in channels]) for channels in columns(reader, units)]
    if "at" in reader:
        mine = [columns + reader["at"] * size for columns in mine]
    return rows.reshape(len(rows), -1), weight[part * out : (part + 1) * out].reshape(out, -1), mine


def steps(g, reader, x, read, weight, units):
    """What a direction reads at each step: what goes in, or its own units of the step before, zeros at first."""
    direction = reader["direction"]
    if reader.get("own"):
        read = read[:, direction]
        first = g.run(reader["first"], x) if "first" in reader else np.zeros_like(read[:1])
        read = np.concatenate([read[1:], first] if direction == 1 or "reverse" in reader else [first, read[:-1]])
    weight = weight[direction]
    if "gates" in reader:
        start, end = reader["gates"]
        weight = weight[start * units : end * units]
        if start == 2:
            read = read * reset(g, reader, x, read, units)
    mine = [np.array(columns(reader, units)[u]) for u in range(units)]
    return read.reshape(-1, read.shape[-1]), weight, mine


def reset(g, reader, x, before, units):
    """The reset gate of each step: sigmoid of its map of what goes in, its map of the states before, and both of its biases."""
    direction, rows = reader["direction"], slice(units, 2 * units)
    maps, own = g.constants[reader["maps"]][direction, rows], g.constants[reader["weight"]][direction, rows]
    sum_ = g.run(reader["input"], x) @ maps.T + before @ own.T
    if "bias" in reader:
        biases = g.constants[reader["bias"]][direction].reshape(6, units)
        sum_ = sum_ + biases[1] + biases[4]
    return 1 / (1 + np.exp(-sum_))


def others(reader, weight, gone):
    """Columns of a map that are not the site's and have not gone before."""
    if "at" not in reader:
        return np.array([], int)
    size = int(np.prod(weight.shape[2:]))
    own = set(range(reader["at"], reader["at"] + reader["size"]))
    left = [c for c in range(weight.shape[1]) if c not in own and c not in gone.get(reader["weight"], set())]
    return np.concatenate([np.arange(c * size, (c + 1) * size) for c in left])


def ridge(h):
    return h + np.diag(LAMBDA * np.diag(h) + 1e-6 * np.diag(h).mean())


def solve(problems, units, remove, fits, beside, lost):
    """
    Units that stay, and each reader's weight with zeros where columns have gone, and the gain of its bias. `fits`: by reader, whether it has
    one. `lost`: by reader, what the target has more of its rows.
    """
    sums, through, crosses, given = [], [], [], []
    centring = [rows.mean(0) * fit for (rows, _, _), fit in zip(problems, fits)]
    drifts = [more.mean(0) * fit for more, fit in zip(lost, fits)]
    for (rows, weight, mine), means, other, more, drift in zip(problems, centring, beside, lost, drifts):
        centred = rows - means
        own = np.sort(np.concatenate(mine))
        energy = ((centred[:, own] @ weight[:, own].T) ** 2).sum()
        h = centred.T @ centred
        # What the other columns give of the site's own is no loss.
        both = np.concatenate([own, other])
        ridged = ridge(h[np.ix_(both, both)])[len(own) :, len(own) :]
        through.append(np.linalg.solve(ridged, h[np.ix_(other, own)]))
        cross = weight @ (more - drift).T @ centred
        given.append(np.linalg.solve(ridged, cross[:, other].T).T)
        scale = energy if len(problems) > 1 else 1
        crosses.append((cross[:, own] - cross[:, other] @ through[-1]) / scale)
        left = np.zeros_like(h)
        left[np.ix_(own, own)] = h[np.ix_(own, own)] - h[np.ix_(own, other)] @ through[-1]
        sums.append(left / scale)
    owns = [np.sort(np.concatenate(mine)) for _, _, mine in problems]
    mean = np.concatenate([np.diag(h)[own] for h, own in zip(sums, owns)]).mean()
    ridged = [h + np.diag(LAMBDA * np.diag(h) + 1e-6 * mean) for h in sums]

    def fit(kept):
        fitted = []
        for (_, weight, mine), h, own, other, b, cross, more in zip(problems, ridged, owns, beside, through, crosses, given):
            stay = np.sort(np.concatenate([mine[u] for u in kept]))
            new = weight.copy()
            new[:, own] = 0
            new[:, stay] = np.linalg.solve(h[np.ix_(stay, stay)], h[np.ix_(stay, own)] @ weight[:, own].T + cross[:, np.isin(own, stay)].T).T
            new[:, other] += (weight - new)[:, own] @ b.T + more
            fitted.append(new)
        return fitted

    def cost(kept):
        gaps = [(weight - new)[:, own] for (_, weight, _), new, own in zip(problems, fit(kept), owns)]
        return sum(np.einsum("oi,ij,oj", gap, h[np.ix_(own, own)], gap) + 2 * (gap * cross).sum() for gap, h, own, cross in zip(gaps, ridged, owns, crosses))

    kept = list(range(units))
    for _ in range(remove):
        kept = min(([v for v in kept if v != u] for u in kept), key=cost)
    fitted = fit(kept)
    return kept, fitted, [(w - new) @ means + w @ drift for (_, w, _), means, drift, new in zip(problems, centring, drifts, fitted)]


def fits_bias(reader):
    """Convolutions and Gemms get one where they have none; a product and a recurrent layer do not."""
    return bool(reader.get("bias", "direction" not in reader))


def prune(g, sites, x, beta):
    before = copy.deepcopy(g)
    dense = {name: value.copy() for name, value in g.constants.items()}
    whole = g.model()
    kept, gone = {}, {}
    for site in sites:
        problems = [problem(g, reader, x, site["units"]) for reader in site["readers"]]
        lost = [beta * (problem(before, reader, x, site["units"])[0] - rows) for reader, (rows, _, _) in zip(site["readers"], problems)]
        kept[site["name"]], fitted, gains = solve(problems, site["units"], site["units"] // 2, [fits_bias(reader) for reader in site["readers"]], [others(reader, g.constants[reader["weight"]], gone) for reader in site["readers"]], lost)
        for reader in site["readers"]:
            lost = set(range(site["units"])) - set(kept[site["name"]])
            gone.setdefault(reader["weight"], set()).update(reader.get("at", 0) + u for u in lost)
        for reader, new, gain in zip(site["readers"], fitted, gains):
            put(g, reader, new, gain)
    cut, marks = dict(g.constants), {}
    for site in sites:
        for name, axis, *at in site["cuts"]:
            stay = kept[site["name"]]
            if at and isinstance(at[0], list):
                cut[name] = np.take(cut[name], sorted(at[0].index(u) for u in stay), axis)
                continue
            if at:
                marks.setdefault((name, axis), []).extend(at[0] + u for u in stay)
                continue
            wide = dense.get(name, g.constants[name]).shape[axis] // site["units"]
            stay = [u + part * site["units"] for part in range(wide) for u in stay]
            cut[name] = np.take(cut[name], stay, axis)
    for (name, axis), stay in marks.items():
        cut[name] = np.take(cut[name], stay, axis)
    weights = [name for name in dense if name[0] in "wr" and dense[name].ndim > 1]
    count = lambda values: sum(values[name].size for name in weights)
    return whole, cut, kept, (count(dense) - count(cut)) / count(dense)


def put(g, reader, new, gain):
    name = reader["weight"]
    weight = g.constants[name]
    if "direction" in reader:
        return put_direction(g, reader, new, gain)
    if "flat" in reader:
        order = [*reader["flat"][0], *reader["flat"][1]]
        g.constants[name] = new.reshape([weight.shape[i] for i in order]).transpose(np.argsort(order)).astype(g.dtype)
        if reader["bias"]:
            g.constants[reader["bias"]] = (g.constants[reader["bias"]] + gain).astype(g.dtype)
        return
    part, parts = reader.get("group", (0, 1))
    out = weight.shape[0] // parts
    if weight.ndim == 2:
        g.constants[name] = (new if reader["axis"] == 1 else new.T).astype(g.dtype)
    elif "transposed" in reader:
        inputs, out, *kernel = weight.shape
        inputs //= parts
        weight = weight.copy()
        weight[part * inputs : (part + 1) * inputs] = new.reshape(out, inputs, *kernel).swapaxes(0, 1)
        g.constants[name] = weight
    else:
        weight = weight.copy()
        weight[part * out : (part + 1) * out] = new.reshape(out, *weight.shape[1:])
        g.constants[name] = weight
    outputs = weight.shape[1] * parts if "transposed" in reader or reader.get("axis") == 0 else weight.shape[0]
    bias = reader.get("bias")
    if "bias" in reader and bias is None:
        return
    if not bias:
        bias = f"{name} bias"
        if bias not in g.constants:
            g.constants[bias] = np.zeros(outputs, g.dtype)
            node = next(node for node in g.nodes if name in node.input)
            node.input.append(bias)
    start = part * out if weight.ndim > 2 else 0
    g.constants[bias] = g.constants[bias].copy()
    g.constants[bias][start : start + len(gain)] += (reader.get("scale", 1) * gain).astype(g.dtype)


def put_direction(g, reader, new, gain):
    """Biases of what goes in stand in front of those of the step before."""
    direction = reader["direction"]
    for name in filter(None, (reader["weight"], reader.get("bias"))):
        g.constants[name] = g.constants[name].copy()
    gate, _ = reader.get("gates", (0, 0))
    first = gate * new.shape[1]
    g.constants[reader["weight"]][direction, first : first + len(new)] = new
    if "bias" not in reader:
        return
    start = g.constants[reader["bias"]].shape[1] // 2 + first if reader.get("own") else 0
    g.constants[reader["bias"]][direction, start : start + len(gain)] += gain.astype(g.dtype)


def main(out=ROOT / "test" / "fixtures" / "graph-runs"):
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    for name, make in (("mlp", mlp), ("residual", residual), ("depthwise", depthwise), ("transposed", transposed), ("groups", groups), ("scaled", scaled), ("recurrent", recurrent), ("reversed", reversed_steps), ("stateful", stateful), ("half", half), ("fused", fused), ("concat", concat), ("einsum", einsum), ("gated", gated), ("attention", attention)):
        g, sites = make()
        x = g.random.normal(0, 1, (SAMPLES, *g.shape)).astype(g.dtype)
        fed = prune(copy.deepcopy(g), sites, x, BETA) if name in FED else None
        whole, cut, kept, sparsity = prune(g, sites, x, 0)
        for node in whole.graph.node:
            node.output[:] = ["" if each == "steps2" else each for each in node.output]
        onnx.checker.check_model(whole, full_check=name != "fused")
        onnx.save(whole, out / f"{name}.onnx")
        states = {state: np.ascontiguousarray(value.transpose(1, 0, 2)) for state, value in g.states.items()}
        save_file({"x": x, **states}, out / f"{name}.inputs.safetensors")
        if name == "mlp":
            np.savez(out / f"{name}.inputs.npz", x=x, flags=np.ones((2, 3), bool), one=np.int64(-7))
            np.savez_compressed(out / "compressed.npz", x=x)
            np.savez(out / "big-endian.npz", x=x[:1].astype(">f4"))
        save(out / f"{name}.pruned.safetensors", cut, kept, sparsity, g.dtype)
        if fed:
            save(out / f"{name}.fed.safetensors", *fed[1:], g.dtype)


def save(path, cut, kept, sparsity, dtype):
    metadata = {"kept": json.dumps(kept), "sparsity": repr(float(sparsity))}
    save_file({k: np.ascontiguousarray(v) for k, v in cut.items() if v.dtype == dtype and k != "zeros"}, path, metadata)


if __name__ == "__main__":
    main(*sys.argv[1:])
