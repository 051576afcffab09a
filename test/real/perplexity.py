"""Perplexity of a GGUF file by transformers in float32: the numbers in eval.test.ts.

perplexity.py MODEL TOKENIZER TEXT WINDOW WINDOWS...   TOKENIZER: a tokenizer.json of the model. The text is encoded
whole, without special tokens; or TOKENIZER is - and TEXT a JSON list of ids. Windows do not overlap, and the first WINDOWS of them count. Prints a line for each.
"""

import json
import math
import sys
from pathlib import Path

import torch
from gguf_model import load
from tokenizers import Tokenizer

path, tokenizer, text, window, *counts = sys.argv[1:]
window = int(window)
model = load(Path(path))
if tokenizer == "-":
    ids = json.loads(Path(text).read_text())
else:
    ids = Tokenizer.from_file(tokenizer).encode(Path(text).read_text(), add_special_tokens=False).ids
ids = torch.tensor(ids)
total = 0.0
for index in range(max(map(int, counts))):
    part = ids[index * window : (index + 1) * window]
    with torch.no_grad():
        logits = model(part[None]).logits[0, :-1]
    total += torch.nn.functional.cross_entropy(logits, part[1:], reduction="sum").double().item()
    if str(index + 1) in counts:
        print(index + 1, math.exp(total / (index + 1) / (window - 1)), flush=True)
