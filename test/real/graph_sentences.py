"""An encoder of sentences as an ONNX file, and sentences for it.

    graph_sentences.py MODEL_FOLDER OUT.onnx
    graph_sentences.py MODEL_FOLDER OUT.safetensors TEXT COUNT

The first exports the folder's model (transformers) with the mean of its tokens' states, of length one. The second writes the first
COUNT sentences of a text that have 8 words or more, in 32 tokens each, as the graph reads them.
"""
import pathlib
import re
import sys
import warnings

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from tokenizers import Tokenizer

warnings.filterwarnings("ignore")
NAMES = ["input_ids", "attention_mask", "token_type_ids"]
LENGTH = 32


class Encoder(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.model = transformers.AutoModel.from_pretrained(folder)

    def forward(self, ids, mask, types):
        states = self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def export(folder, out):
    export_model(Encoder(folder).eval(), out)


def export_model(model, out):
    ids = torch.ones(2, 16, dtype=torch.long)
    axes = {name: {0: "batch", 1: "sequence"} for name in NAMES}
    torch.onnx.export(
        model,
        (ids, ids, torch.zeros_like(ids)),
        out,
        input_names=NAMES,
        output_names=["sentence_embedding"],
        dynamic_axes={**axes, "sentence_embedding": {0: "batch"}},
        dynamo=False,
        opset_version=17,
    )


def sentences(folder, out, text, count):
    lines = pathlib.Path(text).read_text(encoding="utf-8").replace("<unk>", "it").split("\n")
    parts = [part for line in lines if "=" not in line for part in re.split(r"(?<=[.?!]) +", line.strip())]
    chosen = [part for part in parts if len(part.split()) >= 8][: int(count)]
    tokenizer = Tokenizer.from_file(str(pathlib.Path(folder) / "tokenizer.json"))
    tokenizer.enable_padding(length=LENGTH)
    tokenizer.enable_truncation(LENGTH)
    read = tokenizer.encode_batch(chosen)
    columns = [[each.ids for each in read], [each.attention_mask for each in read], [each.type_ids for each in read]]
    save_file({name: np.array(column, np.int64) for name, column in zip(NAMES, columns)}, out)


if __name__ == "__main__":
    folder, out, *rest = sys.argv[1:]
    sentences(folder, out, *rest) if rest else export(folder, out)
