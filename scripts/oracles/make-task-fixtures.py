"""
Answers of lm-eval 0.4.13 to assets/tasks/everyday.jsonl and to questions at the edges: log-likelihoods, and whether every token
is the likeliest one. Models: assets/tiny, and the same with a post-processor that puts BOS first.

    pip install lm-eval==0.4.13 transformers==5.24.0 torch
    python scripts/oracles/make-task-fixtures.py > test/measure/fixtures/tasks.json
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "assets" / "tiny"
EVERYDAY = [
    json.loads(line)
    for line in (ROOT / "assets" / "tasks" / "everyday.jsonl").read_text().splitlines()
]
# A prompt that ends in spaces, one that is longer than the model can see, characters of several bytes, a written-out BOS.
EDGES = [
    {"prompt": "The answer is  ", "choices": ["yes", "no, never"], "answer": 0},
    {"prompt": "word " * 700 + "end", "choices": ["of it", "of the line"], "answer": 1},
    {"prompt": "Où est-il ? — Là-bas,", "choices": ["près de l’église", "日本"], "answer": 0},
    {"prompt": "<|endoftext|>Once upon a", "completion": " time"},
    {"prompt": "She", "completion": "\n"},
]


def answers(folder, questions):
    lm = HFLM(pretrained=str(folder), dtype="float32", device="cpu", batch_size=1)
    pairs = []
    for question in questions:
        for text in question.get("choices", [question.get("completion")]):
            # The delimiter of tasks, " ", where neither side brings space of its own; lm-eval itself moves trailing spaces.
            apart = text[0].isspace() or question["prompt"][-1].isspace()
            pairs.append((question["prompt"], text if apart else " " + text))
    requests = [Instance("loglikelihood", {}, pair, 0) for pair in pairs]
    found = iter(lm.loglikelihood(requests, disable_tqdm=True))
    rows = []
    for question in questions:
        all_of_it = [next(found) for _ in question.get("choices", [None])]
        rows.append({**question, "likelihoods": [[float(ll), bool(greedy)] for ll, greedy in all_of_it]})
    return {"rows": rows, **scores(rows)}


def scores(rows):
    chosen = [row for row in rows if "choices" in row]
    likelihoods = [np.array([ll for ll, _ in row["likelihoods"]]) for row in chosen]
    lengths = [np.array([float(len(text)) for text in row["choices"]]) for row in chosen]
    right = [float(np.argmax(lls) == row["answer"]) for lls, row in zip(likelihoods, chosen)]
    right_norm = [
        float(np.argmax(lls / length) == row["answer"])
        for lls, length, row in zip(likelihoods, lengths, chosen)
    ]
    written = [float(row["likelihoods"][0][1]) for row in rows if "completion" in row]
    return {
        name: [float(np.mean(each)), float(np.std(each, ddof=1) / np.sqrt(len(each)))]
        for name, each in [("acc", right), ("acc_norm", right_norm), ("exact_match", written)]
    }


def with_bos(folder):
    shutil.copytree(TINY, folder, dirs_exist_ok=True)
    path = Path(folder) / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    bos = json.loads((Path(folder) / "tokenizer_config.json").read_text())["bos_token"]
    bos = bos if isinstance(bos, str) else bos["content"]
    identity = next(token["id"] for token in tokenizer["added_tokens"] if token["content"] == bos)
    special = {"SpecialToken": {"id": bos, "type_id": 0}}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    second = {"Sequence": {"id": "B", "type_id": 1}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [special, text],
        "pair": [special, text, second],
        "special_tokens": {bos: {"id": bos, "ids": [identity], "tokens": [bos]}},
    }
    path.write_text(json.dumps(tokenizer))
    return tokenizer["post_processor"]


with tempfile.TemporaryDirectory() as folder:
    post_processor = with_bos(folder)
    cases = [
        {"name": "as it is", "post_processor": None, **answers(TINY, EVERYDAY + EDGES)},
        {"name": "with BOS", "post_processor": post_processor, **answers(folder, EVERYDAY[::8] + EDGES)},
    ]
print(json.dumps(cases, ensure_ascii=False, indent=1))
