"""Writes small models around each op of attention, of random weights.

Usage: graph_attention.py OUT

OUT receives NAME.onnx for each of MODELS: x [1, 5, 24] is projected, attended to and projected back. Their states, masks and
numbers of heads differ.
"""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BATCH, STEPS, PAST, WIDTH, SIZE = 1, 5, 3, 24, 16
rng = np.random.default_rng(11)


class Graph:
    """A graph that grows node by node."""

    def __init__(self):
        self.nodes, self.constants = [], []
        self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [BATCH, STEPS, WIDTH])]
        self.outputs = []

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def random(self, name, *shape):
        return self.constant(name, (rng.standard_normal(shape) / 3).astype(np.float32))

    def node(self, op, inputs, outputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, outputs, **attributes))
        return outputs[0]

    def product(self, name, width, source="x", inner=WIDTH):
        return self.node("MatMul", [source, self.random(f"{name}.weight", inner, width)], [name])

    def cache(self, heads):
        """Names of past keys and values, inputs, and of present ones, outputs."""
        past, present = ["past_key", "past_value"], ["present_key", "present_value"]
        for name in past:
            self.inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, heads, PAST, SIZE]))
        for name in present:
            self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, heads, PAST + STEPS, SIZE]))
        return past, present

    def angles(self):
        turns = np.arange(16)[:, None] * 0.3 ** np.arange(SIZE // 2)
        return [self.constant("cos", np.cos(turns).astype(np.float32)), self.constant("sin", np.sin(turns).astype(np.float32))]

    def finish(self, source, width):
        self.product("y", WIDTH, source, width)
        self.outputs.insert(0, helper.make_tensor_value_info("y", TensorProto.FLOAT, [BATCH, STEPS, WIDTH]))
        graph = helper.make_graph(self.nodes, "attention", self.inputs, self.outputs, self.constants)
        domains = [helper.make_opsetid("", 23), helper.make_opsetid("com.microsoft", 1)]
        return helper.make_model(graph, opset_imports=domains, ir_version=10)


def projected(graph, queries, keys):
    return [graph.product("q", queries * SIZE), graph.product("k", keys * SIZE), graph.product("v", keys * SIZE)]


def grouped(graph, inputs, queries, keys, *, past=False, more=(), **attributes):
    """Of onnxruntime: its lengths are constants."""
    before = PAST if past else 0
    graph.constant("lengths", np.full(BATCH, before + STEPS - 1, np.int32))
    graph.constant("total", np.int32(before + STEPS))
    cached, present = graph.cache(keys) if past else (["", ""], ["present_key", "present_value"])
    graph.node(
        "GroupQueryAttention",
        [*inputs, *cached, "lengths", "total", *more],
        ["a", *present],
        domain="com.microsoft",
        num_heads=queries,
        kv_num_heads=keys,
        **attributes,
    )
    return graph.finish("a", queries * SIZE)


def gqa():
    graph = Graph()
    inputs = projected(graph, 6, 3)
    more = [*graph.angles(), "", graph.random("bias", 1, 6, STEPS, STEPS + PAST), graph.random("sink", 6)]
    return grouped(graph, inputs, 6, 3, past=True, more=more, do_rotary=1, softcap=5.0)


def gqa_packed():
    graph = Graph()
    return grouped(graph, [graph.product("qkv", 10 * SIZE), "", ""], 6, 2, more=graph.angles(), do_rotary=1)


def gqa_one_key():
    graph = Graph()
    return grouped(graph, projected(graph, 6, 1), 6, 1, scale=0.2)


def standard():
    """Of ONNX, on tensors of three axes."""
    graph = Graph()
    inputs = projected(graph, 6, 3)
    past, present = graph.cache(3)
    inputs.append(graph.random("mask", 6, STEPS, STEPS + PAST))
    graph.node("Attention", [*inputs, *past], ["a", *present], q_num_heads=6, kv_num_heads=3, softcap=5.0)
    return graph.finish("a", 6 * SIZE)


def standard_heads():
    """Of ONNX, on tensors of four axes, turned."""
    graph = Graph()
    angles = graph.angles()
    places = graph.constant("places", np.tile(np.arange(STEPS), (BATCH, 1)))
    inputs = []
    for name, heads in zip("qkv", [6, 2, 2]):
        cut = graph.constant(f"{name}.cut", [0, 0, heads, SIZE])
        graph.node("Reshape", [graph.product(name, heads * SIZE), cut], [f"{name}.heads"])
        graph.node("Transpose", [f"{name}.heads"], [f"{name}.turned"], perm=[0, 2, 1, 3])
        inputs.append(f"{name}.turned")
    for i in range(2):
        inputs[i] = graph.node("RotaryEmbedding", [inputs[i], *angles, places], [f"{inputs[i]}.rotary"])
    graph.node("Attention", inputs, ["a"], is_causal=1, scale=0.3)
    graph.node("Transpose", ["a"], ["a.turned"], perm=[0, 2, 1, 3])
    graph.node("Reshape", ["a.turned", graph.constant("back", [0, 0, 6 * SIZE])], ["a.flat"])
    return graph.finish("a.flat", 6 * SIZE)


def multi_head():
    graph = Graph()
    places = graph.constant("places", np.tile(np.arange(STEPS), (BATCH, 1)))
    angles = graph.angles()
    query, key, value = projected(graph, 4, 4)
    turned = [
        graph.node("RotaryEmbedding", [name, places, *angles], [f"{name}.turned"], domain="com.microsoft", num_heads=4, rotary_embedding_dim=SIZE)
        if name == "q"
        else graph.node("RotaryEmbedding", [name, places, *angles], [f"{name}.turned"], domain="com.microsoft")
        for name in [query, key]
    ]
    past, present = graph.cache(4)
    bias, mask = graph.random("bias", 12 * SIZE), graph.random("mask", 1, 4, STEPS, STEPS + PAST)
    graph.node(
        "MultiHeadAttention", [*turned, value, bias, "", mask, *past], ["a", *present], domain="com.microsoft", num_heads=4
    )
    return graph.finish("a", 4 * SIZE)


def projecting():
    """Of onnxruntime, with the maps of query, key and value."""
    graph = Graph()
    inputs = ["x", graph.random("qkv.weight", WIDTH, 12 * SIZE), graph.random("qkv.bias", 12 * SIZE), "", ""]
    mask = graph.random("mask", 1, 4, STEPS, STEPS)
    graph.node("Attention", [*inputs, mask], ["a"], domain="com.microsoft", num_heads=4)
    return graph.finish("a", 4 * SIZE)


MODELS = [gqa, gqa_packed, gqa_one_key, standard, standard_heads, multi_head, projecting]


def main(out):
    folder = pathlib.Path(out)
    for make in MODELS:
        onnx.save(make(), folder / f"{make.__name__}.onnx")


main(*sys.argv[1:])
