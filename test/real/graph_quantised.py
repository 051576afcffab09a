"""Quantises the first half of a network's convolutions by onnxruntime's own tools.

Usage: graph_quantised.py DENSE OUT FORMAT

FORMAT: QDQ (a Dequantize in front of every float op) or QOperator (ops of whole numbers). What they are fed is found on
drawn inputs.
"""

import sys

import numpy as np
import onnx
from onnxruntime import InferenceSession
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static


class Drawn(CalibrationDataReader):
    def __init__(self, model):
        session = InferenceSession(model, providers=["CPUExecutionProvider"])
        rng = np.random.default_rng(3)
        shapes = {each.name: [dim if isinstance(dim, int) else 1 for dim in each.shape] for each in session.get_inputs()}
        self.feeds = iter({name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(4))

    def get_next(self):
        return next(self.feeds, None)


def main(dense, out, form):
    nodes = [node.name for node in onnx.load(dense).graph.node if node.op_type == "Conv"]
    first = nodes[: len(nodes) // 2]
    quantize_static(dense, out, Drawn(dense), quant_format=QuantFormat[form], nodes_to_quantize=first)


main(*sys.argv[1:])
