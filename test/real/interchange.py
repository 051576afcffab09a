"""Reads files that struprune wrote, by other people's readers; prints what they hold as JSON.

interchange.py safetensors FOLDER | gguf FILE
"""

import hashlib
import json
import sys
from pathlib import Path


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_safetensors(folder: Path) -> dict:
    from safetensors import safe_open
    from transformers.modeling_utils import load_state_dict

    files = sorted(folder.glob("*.safetensors"))
    tensors, metadata = {}, {}
    for path in files:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata()
        for name, tensor in load_state_dict(str(path)).items():
            tensors[name] = {
                "file": path.name,
                "dtype": str(tensor.dtype),
                "shape": list(tensor.shape),
                "sha256": sha256(tensor.contiguous().flatten().view(dtype=_bytes()).numpy().tobytes()),
            }
    return {"tensors": tensors, "metadata": metadata}


def _bytes():
    import torch

    return torch.uint8


def read_gguf(path: Path) -> dict:
    from gguf import GGUFReader

    reader = GGUFReader(path)
    metadata = {
        key: {"types": [kind.name for kind in field.types], "value": field.contents()}
        for key, field in reader.fields.items()
        if not key.startswith("GGUF.")
    }
    tensors = {
        tensor.name: {
            "dtype": tensor.tensor_type.name,
            "shape": [int(width) for width in tensor.shape],
            "sha256": sha256(tensor.data.tobytes()),
        }
        for tensor in reader.tensors
    }
    return {"tensors": tensors, "metadata": metadata}


if __name__ == "__main__":
    kind, where = sys.argv[1:]
    read = {"safetensors": read_safetensors, "gguf": read_gguf}[kind]
    print(json.dumps(read(Path(where))))
