"""Logits of models of text and images by transformers in float32, of a text and of the same text behind an image.

wrapped_logits.py JOBS   JOBS: a JSON file [{"model", "trusted", "ids", "text", "image"}, ...]: a folder, whether its code is trusted,
and where logits [ids, vocab] go to, float32. Images are random, from one seed. Prints for every job, as a JSON list: the class and
its module, the parameters, what of the folder's tensors was not used or missing, and how much another image changes the logits.
"""

import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText


def image_inputs(config, ids, seed):
    """What a processor gives for one image of 28 x 28 in front of the text, but random."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape):
        return torch.randn(shape, generator=generator)

    kind = config.model_type.removeprefix("struprune_")
    qwen = kind.startswith("qwen")
    # Tokens of an image: its four patches, or one where four are merged.
    idefics = kind in ("idefics3", "smolvlm")
    count = 1 if qwen or idefics else 4
    ids = torch.tensor([[config.image_token_id] * count + ids])
    inputs = {"input_ids": ids}
    seen = (ids == config.image_token_id).long()
    if qwen:
        side = config.vision_config.patch_size
        inputs["pixel_values"] = random(4, 3 * 2 * side * side)
        inputs["image_grid_thw"] = torch.tensor([[1, 2, 2]])
        inputs["mm_token_type_ids"] = seen
    elif kind == "lfm2_vl":
        inputs["pixel_values"] = random(1, 16, 3 * 14 * 14)
        inputs["spatial_shapes"] = torch.tensor([[4, 4]])
        inputs["pixel_attention_mask"] = torch.ones(1, 16, dtype=torch.long)
    elif idefics:
        inputs["pixel_values"] = random(1, 1, 3, 28, 28)
    else:
        inputs["pixel_values"] = random(1, 3, 28, 28)
    if kind == "gemma3":
        inputs["token_type_ids"] = seen
    if kind == "mistral3":
        inputs["image_sizes"] = torch.tensor([[28, 28]])
    return inputs


def answer(job):
    model, loading = AutoModelForImageTextToText.from_pretrained(
        job["model"],
        dtype=torch.float32,
        attn_implementation="eager",
        trust_remote_code=job["trusted"],
        output_loading_info=True,
    )
    model.eval()

    def logits(**inputs):
        with torch.no_grad():
            return model(**inputs).logits[0, -len(job["ids"]) :]

    image, other = (logits(**image_inputs(model.config, job["ids"], seed)) for seed in (1, 2))
    text = logits(input_ids=torch.tensor([job["ids"]]))
    text.numpy().astype("<f4").tofile(job["text"])
    image.numpy().astype("<f4").tofile(job["image"])
    return {
        "class": type(model).__name__,
        "module": type(model).__module__,
        "parameters": sum(value.numel() for value in model.parameters()),
        "loose": [name for kind in loading.values() for name in kind],
        "seen": (image - other).abs().max().item(),
    }


jobs = json.loads(Path(sys.argv[1]).read_text())
print(json.dumps([answer(job) for job in jobs]))
