"""Dense perplexity of a checkpoint by transformers in fp32.

Text is tokenised whole without BOS and cut into non-overlapping windows; the figure is exp of the mean
loss over window - 1 targets of every whole window.
"""

import argparse
import math
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).resolve().parents[2]


@torch.no_grad()
def perplexity(model: torch.nn.Module, tokens: list[int], window: int, batch: int = 4) -> float:
    """`tokens` is the whole text; a last part shorter than `window` is left out."""
    count = len(tokens) // window
    windows = torch.tensor(tokens[: count * window]).view(count, window)
    total = 0.0
    for some in windows.split(batch):
        logits = model(some).logits[:, :-1].float()
        targets = some[:, 1:].reshape(-1)
        total += torch.nn.functional.cross_entropy(
            logits.reshape(targets.numel(), -1), targets, reduction='sum'
        ).item()
    return math.exp(total / (count * (window - 1)))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('model', nargs='?', default=ROOT / 'assets/tiny', type=Path)
    parser.add_argument('--text', default=ROOT / 'assets/text/evaluation.txt', type=Path)
    parser.add_argument('--window', default=256, type=int)
    parser.add_argument('--max-tokens', type=int, help='of the text, from its start')
    options = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(options.model, trust_remote_code=True)
    text = options.text.read_text(encoding='utf-8')
    ids = tokenizer.encode(text, add_special_tokens=False)[: options.max_tokens]
    # Widths that differ between blocks come with a modeling file of their own.
    network = AutoModelForCausalLM.from_pretrained(options.model, trust_remote_code=True)
    network = network.float().eval()
    windows = len(ids) // options.window
    value = perplexity(network, ids, options.window)
    print(f'{len(ids)} tokens, {windows} windows of {options.window}: perplexity {value:.4f}')
