"""What else than logits our modelling code gives: own_class.py FOLDER… prints facts of each as JSON.

base          largest difference between the logits and the head over AutoModel's hidden states
cache         whether greedy tokens with the cache are those without it
saved         whether save_pretrained and from_pretrained give the same logits, and the same lists of widths
lora          names of the maps that LoRA adapts when none is named
losses        of a few steps of LoRA on one text
"""

import json
import sys
import tempfile

import torch
from transformers import AutoModel, AutoModelForCausalLM

options = {"trust_remote_code": True, "dtype": torch.float32}


def facts(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, **options).eval()
    ids = torch.arange(1, 25)[None]
    with torch.no_grad():
        logits = model(ids).logits
        hidden = AutoModel.from_pretrained(folder, **options).eval()(ids).last_hidden_state
        base = (model.lm_head(hidden) - logits).abs().max().item()
        tokens = {"max_new_tokens": 12, "min_new_tokens": 12, "do_sample": False}
        cached, plain = (model.generate(ids, use_cache=use, **tokens).tolist() for use in (True, False))
        with tempfile.TemporaryDirectory() as again:
            model.save_pretrained(again)
            reread = AutoModelForCausalLM.from_pretrained(again, **options).eval()
            saved = torch.equal(reread(ids).logits, logits) and reread.config.struprune == model.config.struprune

    # Only now, as somebody may who has loaded a model before.
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM"))
    names = sorted({name.split(".lora_A")[0].rsplit(".", 1)[1] for name, _ in adapted.named_parameters() if "lora_A" in name})
    optimiser = torch.optim.AdamW((p for p in adapted.parameters() if p.requires_grad), lr=1e-2)
    losses = []
    for _ in range(4):
        loss = adapted(ids, labels=ids).loss
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    return {"base": base, "cache": cached == plain, "saved": saved, "lora": names, "losses": losses}


print(json.dumps([facts(folder) for folder in sys.argv[1:]]))
