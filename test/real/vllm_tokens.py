"""vllm_tokens.py FOLDER PROMPT COUNT [CLASS]: greedy tokens behind a prompt, by vLLM, in a class of its own where one is named, and by
transformers, as one line of JSON."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def by_vllm(folder, ids, count, overrides):
    from vllm import LLM, SamplingParams

    # One process: with another vLLM waits for it for 5 minutes at most, which a busy machine may take.
    model = LLM(
        model=folder,
        trust_remote_code=True,
        enforce_eager=True,
        dtype="float32",
        max_model_len=256,
        hf_overrides=overrides,
    )
    asked = SamplingParams(temperature=0, max_tokens=count, ignore_eos=True)
    (answer,) = model.generate([{"prompt_token_ids": ids}], asked)
    return list(answer.outputs[0].token_ids)


def by_transformers(folder, ids, count):
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True, dtype=torch.float32)
    given = torch.tensor([ids])
    made = model.generate(given, max_new_tokens=count, do_sample=False, eos_token_id=None)
    return made[0, len(ids) :].tolist()


def main():
    folder, prompt, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    ids = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)(prompt).input_ids
    overrides = {"architectures": sys.argv[4:5]} if len(sys.argv) > 4 else {}
    answers = {"transformers": by_transformers(folder, ids, count), "vllm": by_vllm(folder, ids, count, overrides)}
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
