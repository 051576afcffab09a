"""How far maps of text, as detectors give them, stay where they were.

    graph_maps.py SAMPLES.safetensors DENSE.onnx FILE.onnx…

SAMPLES: x, as graph_pages.py draws pages. A pixel is text from 0.3 on, as PP-OCR has it. Prints JSON: of DENSE the share of pixels that
are text; of every other file the intersection of its text with that of DENSE over their union, on all pages together. Each file passes
onnx's checker first.
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import load_file

TEXT = 0.3
BATCH = 4


def text(file, x):
    onnx.checker.check_model(onnx.load(file), full_check=True)
    session = onnxruntime.InferenceSession(file)
    return np.concatenate([session.run(None, {"x": x[at : at + BATCH]})[0] >= TEXT for at in range(0, len(x), BATCH)])


def main(samples, dense, *files):
    x = load_file(samples)["x"]
    wanted = text(dense, x)
    found = {dense: {"text": float(wanted.mean())}}
    for file in files:
        other = text(file, x)
        found[file] = {"overlap": float((wanted & other).sum() / (wanted | other).sum())}
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
