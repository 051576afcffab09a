"""Logits of models by transformers in float32.

transformers_logits.py JOBS   JOBS: a JSON file [{"how", "model", "ids", "text", "output"}, ...]. how: "gguf", a llama
file, dequantised by gguf-py; "stock", a folder, without code of its own; "own", a folder whose code is trusted.
`output` receives float32 [ids, vocab]. Prints for every job, as a JSON list: the class and its module, the parameters,
whether all tensors of the folder were used, and the ids of the text (a path, or null) by the folder's tokenizer.
"""

import json
import sys
from pathlib import Path

import torch
from gguf_model import load
from transformers import AutoModelForCausalLM, AutoTokenizer


def open_folder(folder, trusted):
    model, loading = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        attn_implementation="eager",
        trust_remote_code=trusted,
        output_loading_info=True,
    )
    loose = [name for kind in loading.values() for name in kind]
    return model.eval(), loose


def stored_buffers(model):
    """What files have beside parameters, such as biases of experts that only choose."""
    for module in model.modules():
        for name, value in module._buffers.items():
            if value is not None and name not in module._non_persistent_buffers_set:
                yield value


def answer(job):
    how, path = job["how"], job["model"]
    if how == "gguf":
        model, loose = load(Path(path)), []
    else:
        model, loose = open_folder(path, how == "own")
    with torch.no_grad():
        logits = model(torch.tensor([job["ids"]])).logits[0]
    logits.numpy().astype("<f4").tofile(job["output"])
    ids = None
    if job["text"] is not None:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=how == "own")
        ids = tokenizer(Path(job["text"]).read_text(), add_special_tokens=False)["input_ids"]
    return {
        "class": type(model).__name__,
        "module": type(model).__module__,
        "parameters": sum(value.numel() for value in [*model.parameters(), *stored_buffers(model)]),
        "loose": loose,
        "ids": ids,
    }


jobs = json.loads(Path(sys.argv[1]).read_text())
print(json.dumps([answer(job) for job in jobs]))
