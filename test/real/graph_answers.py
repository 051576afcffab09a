"""Whether ONNX files are sound, and how often they are right.

    graph_answers.py SAMPLES.safetensors FILE.onnx…

SAMPLES: x, and label of each sample. Prints JSON: by file the share of samples whose largest output is the label. Each file
passes onnx's checker first.
"""
import json
import sys

import onnx
import onnxruntime
from safetensors.numpy import load_file


def main(path, *files):
    samples = load_file(path)
    right = {}
    for file in files:
        onnx.checker.check_model(onnx.load(file), full_check=True)
        outputs = onnxruntime.InferenceSession(file).run(None, {"x": samples["x"]})[0]
        right[file] = float((outputs.argmax(1) == samples["label"]).mean())
    print(json.dumps(right))


if __name__ == "__main__":
    main(*sys.argv[1:])
