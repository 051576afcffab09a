"""Single blocks of a llama GGUF file as files of their own, so that llama.cpp's arithmetic can be seen block by
block: over many blocks any rounding of activations grows chaotically.

single_blocks.py MODEL JOB FOLDER   JOB: {"ids": [...], "blocks": [...]}. For every block, FOLDER/<index>.gguf is a
model of that block alone. Its embedding holds the inputs of the block on these ids, one token a position;
its head is the identity, so that its logits are the block's normalised outputs. The last block has the
first rows of the file's own norm and head instead. FOLDER/<index>.exact.f32 and .rounded.f32 are the outputs
[ids, hidden] by torch on the same inputs, activations as they are and rounded as by llama.cpp.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter
from gguf_model import load
from llama_rounding import round_activations

SIZES = (
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.layer_norm_rms_epsilon",
    "rope.freq_base",
    "rope.dimension_count",
)


def write(path, reader, index, inputs, head, norm):
    """`inputs` [ids, hidden] become the embedding; `head` [hidden, hidden] is Q8_0, as its bytes, or F32."""
    hidden = inputs.shape[1]
    embedding = np.zeros((hidden, hidden), dtype=np.float32)
    embedding[: len(inputs)] = inputs
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    for name in SIZES:
        field = reader.fields.get(f"llama.{name}")
        if field is not None:
            writer.add_key_value(f"llama.{name}", field.contents(), field.types[0])
    # Any vocabulary of the right size will do: only ids are given.
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list([f"<{id}>" for id in range(hidden)])
    writer.add_token_merges(["a b"])
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output_norm.weight", norm)
    kind = GGMLQuantizationType.Q8_0 if head.dtype == np.uint8 else None
    writer.add_tensor("output.weight", head, raw_dtype=kind)
    prefix = f"blk.{index}."
    for tensor in reader.tensors:
        if tensor.name.startswith(prefix):
            name = tensor.name.replace(prefix, "blk.0.")
            writer.add_tensor(name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    model_path, folder = Path(sys.argv[1]), Path(sys.argv[3])
    job = json.loads(Path(sys.argv[2]).read_text())
    ids = torch.tensor([job["ids"]])
    model = load(model_path)
    inputs, outputs = {}, {"exact": {}, "rounded": {}}

    def watch(how):
        def enter(index, given):
            if how == "exact":
                inputs[index] = given[0]
            # Each block gets the exact input, whatever the one before it made of its own.
            return (inputs[index], *given[1:])

        def leave(index, out):
            outputs[how][index] = out

        hooks = []
        for index, layer in enumerate(model.model.layers):
            hooks.append(layer.register_forward_pre_hook(lambda _m, x, i=index: enter(i, x)))
            hooks.append(layer.register_forward_hook(lambda _m, _x, y, i=index: leave(i, y)))
        logits = model(ids).logits[0]
        for hook in hooks:
            hook.remove()
        return logits

    with torch.no_grad():
        logits = {"exact": watch("exact")}
        round_activations(model, model_path)
        logits["rounded"] = watch("rounded")
    reader = GGUFReader(model_path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    hidden, epsilon = model.config.hidden_size, model.config.rms_norm_eps
    last = len(model.model.layers) - 1
    for index in job["blocks"]:
        head, norm = np.eye(hidden, dtype=np.float32), np.ones(hidden, dtype=np.float32)
        if index == last:
            head = tensors.get("output.weight", tensors["token_embd.weight"]).data[:hidden]
            norm = tensors["output_norm.weight"].data
        write(folder / f"{index}.gguf", reader, index, inputs[index][0].numpy(), head, norm)
        for how in ("exact", "rounded"):
            y = outputs[how][index][0]
            y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + epsilon)
            if index == last:
                y = logits[how][:, :hidden]
            y.numpy().astype("<f4").tofile(folder / f"{index}.{how}.f32")


main()
