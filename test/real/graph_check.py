"""Whether ONNX files are sound.

    graph_check.py FILE.onnx…

Each passes onnx's checker, with the shapes of all its values, or this ends with what the checker says.
"""
import sys

import onnx

if __name__ == "__main__":
    for file in sys.argv[1:]:
        onnx.checker.check_model(file, full_check=True)
