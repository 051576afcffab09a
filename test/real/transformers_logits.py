"""Logits of a model by transformers in float32.

transformers_logits.py gguf|stock|own MODEL JOB OUT   JOB: a JSON file {"ids": [...], "text": path or null}. OUT receives
float32 [ids, vocab]. gguf: a llama file, dequantised by gguf-py; stock: a folder, without code of its own;
own: a folder whose code is trusted. Prints JSON: the class and its module, the parameters, whether all
tensors of the folder were used, and the ids of the text by the folder's tokenizer.
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


def main():
    how, path, job_path, out = sys.argv[1:]
    job = json.loads(Path(job_path).read_text())
    if how == "gguf":
        model, loose = load(Path(path)), []
    else:
        model, loose = open_folder(path, how == "own")
    with torch.no_grad():
        logits = model(torch.tensor([job["ids"]])).logits[0]
    logits.numpy().astype("<f4").tofile(out)
    ids = None
    if job["text"] is not None:
        tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=how == "own")
        ids = tokenizer(Path(job["text"]).read_text(), add_special_tokens=False)["input_ids"]
    known = {
        "class": type(model).__name__,
        "module": type(model).__module__,
        "parameters": sum(value.numel() for value in model.parameters()),
        "loose": loose,
        "ids": ids,
    }
    print(json.dumps(known))


main()
