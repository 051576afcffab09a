"""Recovers what a pruned model has lost: LoRA towards the dense model's predictions, on the CPU or a GPU.

recover.py PRUNED DENSE --text FILE --eval FILE -o OUT

PRUNED is a folder that `struprune-native prune` wrote, DENSE the folder of the model that it was made of. LoRA adapts every linear
map of the blocks; the loss is KL(dense || pruned) over the whole vocabulary at every token. Afterwards the adapters are added to
the weights, so that OUT has PRUNED's shapes and loads as it does. Prints the perplexity on --eval before and after.
"""

import argparse
import time

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import kl_div, log_softmax
from transformers import AutoModelForCausalLM, AutoTokenizer


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pruned")
    parser.add_argument("dense")
    parser.add_argument("--text", required=True, help="UTF-8 text to learn from; not the one to measure on")
    parser.add_argument("--eval", required=True, help="UTF-8 text to measure on")
    parser.add_argument("--eval-windows", type=int, default=16)
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--window", type=int, default=512, help="tokens of a step, and of a window to measure")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-3, help="of Adam's first step; it falls to 0 by a half cosine")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def load(folder):
    # The code of a pruned folder lies in it; a stock folder has none.
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, trust_remote_code=True).to(DEVICE).eval()


def windows(tokenizer, path, window):
    """Whole windows of a text that is tokenised at once, `[count, window]`."""
    with open(path, encoding="utf-8", newline="") as file:
        ids = tokenizer(file.read(), add_special_tokens=False, verbose=False, return_tensors="pt").input_ids[0]
    return ids[: len(ids) // window * window].view(-1, window).to(DEVICE)


@torch.no_grad()
def perplexity(model, texts):
    losses = [model(ids[None], labels=ids[None]).loss for ids in texts]
    return torch.stack(losses).mean().exp().item()


def distil(model, dense, texts, options):
    """One window a step, in random order."""
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=options.rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, options.steps)
    order = torch.cat([torch.randperm(len(texts)) for _ in range(1 + options.steps // len(texts))])
    start = time.monotonic()
    for step, index in enumerate(order[: options.steps], 1):
        ids = texts[index][None]
        with torch.no_grad():
            wanted = log_softmax(dense(ids).logits, -1)
        found = log_softmax(model(ids).logits, -1)
        loss = kl_div(found.flatten(0, 1), wanted.flatten(0, 1), log_target=True, reduction="batchmean")
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
        if step % 10 == 0 or step == options.steps:
            print(f"step {step} of {options.steps}: KL {loss.item():.4f}, {time.monotonic() - start:.0f} s", flush=True)
    model.eval()


DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
options = arguments()
torch.manual_seed(options.seed)
tokenizer = AutoTokenizer.from_pretrained(options.pruned, trust_remote_code=True)
learnt = windows(tokenizer, options.text, options.window)
measured = windows(tokenizer, options.eval, options.window)[: options.eval_windows]
dense, pruned = load(options.dense), load(options.pruned)
print(f"perplexity of the dense model {perplexity(dense, measured):.3f}, pruned {perplexity(pruned, measured):.3f}", flush=True)

adapters = LoraConfig(task_type="CAUSAL_LM", r=options.rank, lora_alpha=2 * options.rank, target_modules="all-linear")
adapted = get_peft_model(pruned, adapters)
distil(adapted, dense, learnt, options)
recovered = adapted.merge_and_unload()
print(f"perplexity after {options.steps} steps of {options.window} tokens: {perplexity(recovered, measured):.3f}", flush=True)
recovered.save_pretrained(options.output)
tokenizer.save_pretrained(options.output)
