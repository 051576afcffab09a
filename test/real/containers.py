"""What Python reads of every safetensors or GGUF file named on stdin, one a line.

Prints for each {"error": text} or {"tensors": {name: [dtype, shape, sha256]}, "metadata": {key: value}}; floats are null.
"""

import hashlib
import json
import os
import sys

import safetensors
from gguf import GGUFReader


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (str, bool, int)) else None


def read_safetensors(path):
    with open(path, "rb") as file:
        tensors = safetensors.deserialize(file.read())
    return {name: [info["dtype"], list(info["shape"]), sha256(info["data"])] for name, info in tensors}, {}


def read_gguf(path):
    reader = GGUFReader(path)
    tensors = {
        tensor.name: [tensor.tensor_type.name, [int(d) for d in tensor.shape[::-1]], sha256(tensor.data.tobytes())]
        for tensor in reader.tensors
    }
    metadata = {key: plain(field.contents()) for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    return tensors, metadata


def answer(path):
    try:
        tensors, metadata = (read_gguf if path.endswith(".gguf") else read_safetensors)(path)
        return {"tensors": tensors, "metadata": metadata}
    except BaseException as error:
        return {"error": f"{type(error).__name__}: {error}"[:300]}


out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # gguf prints what it finds strange
for line in sys.stdin:
    print(json.dumps(answer(line.rstrip("\n"))), file=out, flush=True)
