"""Trains a tiny model from nothing and writes it as a Hugging Face folder under assets/."""

import argparse
import json
import math
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM

import corpus
import vocabulary
from families import FAMILIES, Family
from perplexity import ROOT, perplexity

CONTEXT = 256
BATCH = 16
SEED = 20261124
WARMUP = 50
# Share of the steps in which the learning rate falls to nothing.
DECAY = 0.5
MUON_RATE = 0.02
ADAM_RATE = 3e-3
# Half of the windows start with the boundary token, so that the model serves with and without BOS.
BOUNDARY_SHARE = 0.5


def batches(tokens: torch.Tensor, generator: torch.Generator):
    """Endless `[BATCH, CONTEXT + 1]` windows: every pass shifts the cuts and shuffles the windows."""
    span = CONTEXT + 1
    while True:
        start = int(torch.randint(span, (1,), generator=generator))
        count = (tokens.numel() - start) // span
        windows = tokens[start : start + count * span].view(count, span)
        order = torch.randperm(count, generator=generator)
        for rows in order[: count - count % BATCH].split(BATCH):
            batch = windows[rows].clone()
            marked = torch.rand(BATCH, generator=generator) < BOUNDARY_SHARE
            batch[marked, 0] = vocabulary.BOUNDARY_ID
            yield batch


def optimizers(model: torch.nn.Module) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the blocks, Adam for everything else, routers and stacked experts too."""
    matrices, others = [], []
    for name, parameter in model.named_parameters():
        in_block = parameter.ndim == 2 and 'embed' not in name and 'mlp.gate.' not in name
        (matrices if in_block else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=MUON_RATE, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def rate(step: int, steps: int) -> float:
    """Factor on the learning rates: a short rise, level, then a straight fall to zero."""
    return min(1.0, (step + 1) / WARMUP, (steps - step) / (DECAY * steps))


def loss_of(model: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
    """Cross-entropy, and for experts the loss that spreads tokens over them."""
    with torch.autocast('cpu', torch.bfloat16):
        output = model(batch[:, :-1], use_cache=False)
    targets = batch[:, 1:].reshape(-1)
    logits = output.logits.float().reshape(targets.numel(), -1)
    loss = torch.nn.functional.cross_entropy(logits, targets)
    if getattr(output, 'aux_loss', None) is None:
        return loss
    return loss + model.config.router_aux_loss_coef * output.aux_loss


def fit(model: torch.nn.Module, tokens: torch.Tensor, held: list[int], steps: int) -> None:
    stream = batches(tokens, torch.Generator().manual_seed(SEED))
    active = optimizers(model)
    first_rates = [optimizer.param_groups[0]['lr'] for optimizer in active]
    started = time.monotonic()
    recent: list[float] = []
    for step in range(steps):
        for optimizer, first in zip(active, first_rates):
            optimizer.param_groups[0]['lr'] = first * rate(step, steps)
        loss = loss_of(model, next(stream))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in active:
            optimizer.step()
            optimizer.zero_grad()
        recent = [*recent[-99:], loss.item()]
        if (step + 1) % 100 == 0 or step + 1 == steps:
            train = math.exp(sum(recent) / len(recent))
            validation = perplexity(model, held, CONTEXT)
            seconds = time.monotonic() - started
            print(
                f'step {step + 1}/{steps}  {seconds:.0f} s  train perplexity {train:.2f}'
                f'  validation {validation:.2f}',
                flush=True,
            )


def single_maps(name: str, tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    """Experts that transformers stacks in memory, one map a tensor as its files have them."""
    stem, _, kind = name.rpartition('.')
    if not stem.endswith('.experts'):
        return {name: tensor}
    kinds = ('gate_proj', 'up_proj') if kind == 'gate_up_proj' else (kind,)
    return {
        f'{stem}.{expert}.{each}.weight': part
        for expert, rows in enumerate(tensor)
        for each, part in zip(kinds, rows.chunk(len(kinds)))
    }


def save(model: torch.nn.Module, tokenizer: Tokenizer, family: Family, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.to(torch.float16).contiguous()
        for stored, held in model.state_dict().items()
        if stored != 'lm_head.weight'
        for name, tensor in single_maps(stored, held).items()
    }
    save_file(weights, folder / 'model.safetensors', metadata={'format': 'pt'})
    # safetensors writes for the owner alone; a package must be readable by all.
    (folder / 'model.safetensors').chmod(0o644)
    generation = {
        key: family.config[key] for key in ('bos_token_id', 'eos_token_id', 'pad_token_id')
    }
    for name, content in (('config', family.config), ('generation_config', generation)):
        (folder / f'{name}.json').write_text(json.dumps(content, indent=2) + '\n')
    vocabulary.save(tokenizer, folder, family.config['max_position_embeddings'])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--family', choices=FAMILIES, default='llama')
    parser.add_argument('--steps', type=int, help='instead of the number in families.py')
    parser.add_argument('--out', type=Path, help='folder to write; assets/<name> without it')
    options = parser.parse_args()
    family = FAMILIES[options.family]

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(SEED)
    texts = corpus.load()
    tokenizer = vocabulary.train(texts.train)
    tokens = [
        token
        for encoding in tokenizer.encode_batch(texts.train)
        for token in (vocabulary.BOUNDARY_ID, *encoding.ids)
    ]
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(**family.config), dtype=torch.float32
    )
    # What the loss of experts is made of; the file that is shipped asks for none.
    model.config.output_router_logits = 'num_experts' in family.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    print(f'{parameters:,} parameters, {len(tokens):,} training tokens', flush=True)
    held = tokenizer.encode(texts.calibration).ids
    fit(model, torch.tensor(tokens), held, options.steps or family.steps)

    save(model, tokenizer, family, options.out or ROOT / 'assets' / family.folder)


if __name__ == '__main__':
    main()
