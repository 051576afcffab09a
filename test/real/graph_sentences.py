"""An encoder of sentences as an ONNX file, and sentences for it.

    graph_sentences.py MODEL_FOLDER OUT.onnx [half]
    graph_sentences.py MODEL_FOLDER OUT.safetensors TEXT COUNT
    graph_sentences.py nearest SAMPLES.safetensors DENSE.onnx FILE.onnx…

The first exports the folder's model (transformers) with the mean of its tokens' states, of length one; half: in 16-bit floats, as onnxruntime makes them. The second writes the first
COUNT sentences of a text that have 8 words or more, in 32 tokens each, as the graph reads them. The third prints JSON: of every FILE
the mean cosine of a sentence to itself in DENSE, and the mean share of a sentence's ten nearest others (by cosine) in DENSE that are
among its ten nearest there.
"""
import json
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
NEAREST = 10


class Encoder(torch.nn.Module):
    def __init__(self, folder):
        super().__init__()
        self.model = transformers.AutoModel.from_pretrained(folder)

    def forward(self, ids, mask, types):
        states = self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def export(folder, out, half=None):
    export_model(Encoder(folder).eval(), out)
    if half:
        import onnx
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(onnx.load(out), keep_io_types=True), out)


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


def embedded(file, samples):
    import onnxruntime
    from safetensors.numpy import load_file

    session = onnxruntime.InferenceSession(file)
    columns = load_file(samples)
    steps = range(0, len(columns[NAMES[0]]), 64)
    return np.concatenate([session.run(None, {name: columns[name][at : at + 64] for name in NAMES})[0] for at in steps])


def nearest_of(rows):
    alike = rows @ rows.T
    np.fill_diagonal(alike, -np.inf)
    return np.argpartition(-alike, NEAREST, axis=1)[:, :NEAREST]


def nearest(samples, dense, *files):
    rows = embedded(dense, samples)
    wanted = nearest_of(rows)
    found = {}
    for file in files:
        others = embedded(file, samples)
        same = np.mean([len(np.intersect1d(*pair)) / NEAREST for pair in zip(wanted, nearest_of(others))])
        found[file] = {"cosine": float((rows * others).sum(1).mean()), "nearest": float(same)}
    print(json.dumps(found))


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    if first == "nearest":
        nearest(*rest)
    else:
        sentences(first, *rest) if len(rest) == 3 else export(first, *rest)
