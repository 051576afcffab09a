"""Writes the models of ONNX's own tests of each op, which state the shape of every output.

Usage: graph_nodes.py OUT

OUT/nodes receives NAME.onnx. Models of an opset that onnxruntime does not read yet are stated to be of the newest that it
reads, which changes no shape.
"""

import pathlib
import sys
import warnings

import onnx
from onnx.backend.test.case.node import collect_testcases

NEWEST_OPSET = 26
warnings.filterwarnings("ignore")
folder = pathlib.Path(sys.argv[1]) / "nodes"
folder.mkdir(parents=True, exist_ok=True)
for case in collect_testcases(None):
    standard = [entry for entry in case.model.opset_import if entry.domain == ""] if case.model else []
    if not standard or standard[0].version < 11:
        continue
    standard[0].version = min(standard[0].version, NEWEST_OPSET)
    onnx.save(case.model, folder / f"{case.name}.onnx")
