"""A folder as transformers.js has it, and what its graph gives.

    graph_folder.py MODEL_FOLDER OUT
    graph_folder.py states FOLDER TEXT ...

The first makes OUT of a transformers folder: its files but for the weights, and onnx/model.onnx with the states of the last layer.
The second prints as JSON, for each text, the token ids of FOLDER's tokenizer and the states [tokens][width] that onnxruntime gives.
"""
import json
import pathlib
import shutil
import sys
import warnings

import numpy as np
import torch
import transformers

warnings.filterwarnings("ignore")
NAMES = ["input_ids", "attention_mask", "token_type_ids"]


class States(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.model = transformers.AutoModel.from_pretrained(folder)

    def forward(self, ids, mask, types):
        return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state


def export(folder, out):
    skip = shutil.ignore_patterns("*.safetensors", "modules.json")
    shutil.copytree(folder, out, ignore=skip)
    (pathlib.Path(out) / "onnx").mkdir()
    ids = torch.ones(2, 16, dtype=torch.long)
    axes = {name: {0: "batch", 1: "sequence"} for name in [*NAMES, "last_hidden_state"]}
    torch.onnx.export(
        States(folder).eval(),
        (ids, ids, torch.zeros_like(ids)),
        pathlib.Path(out) / "onnx" / "model.onnx",
        input_names=NAMES,
        output_names=["last_hidden_state"],
        dynamic_axes=axes,
        dynamo=False,
        opset_version=17,
    )


def states(folder, *texts):
    import onnxruntime

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    session = onnxruntime.InferenceSession(str(pathlib.Path(folder) / "onnx" / "model.onnx"))
    found = []
    for text in texts:
        read = tokenizer(text, return_token_type_ids=True)
        feeds = {name: np.array([read[name]], np.int64) for name in NAMES}
        found.append({"ids": read["input_ids"], "states": session.run(None, feeds)[0][0].tolist()})
    print(json.dumps(found))


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    states(*rest) if first == "states" else export(first, *rest)
