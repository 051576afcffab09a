"""Quantises a GGUF file by llama.cpp's own quantiser, from the libraries that node-llama-cpp brings.

    python llama_quantize.py LIBRARIES IN.gguf OUT.gguf FTYPE

FTYPE is a number of llama.h's llama_ftype: 15 is Q4_K_M, 18 is Q6_K, 3 is Q4_1.
"""

import ctypes
import os
import sys


class Params(ctypes.Structure):
    """llama_model_quantize_params of llama.h."""

    _fields_ = [
        ("nthread", ctypes.c_int32),
        ("ftype", ctypes.c_int),
        ("output_tensor_type", ctypes.c_int),
        ("token_embedding_type", ctypes.c_int),
        ("allow_requantize", ctypes.c_bool),
        ("quantize_output_tensor", ctypes.c_bool),
        ("only_copy", ctypes.c_bool),
        ("pure", ctypes.c_bool),
        ("keep_split", ctypes.c_bool),
        ("dry_run", ctypes.c_bool),
        ("imatrix", ctypes.c_void_p),
        ("kv_overrides", ctypes.c_void_p),
        ("tt_overrides", ctypes.c_void_p),
        ("prune_layers", ctypes.c_void_p),
        ("max_buf_size", ctypes.c_size_t),
    ]


def load(folder):
    """libllama with the libraries that it links, which lie beside it under names with a version."""
    names = os.listdir(folder)
    for stem in ("libggml-base.so", "libggml.", "libllama."):
        name = next(name for name in sorted(names) if name.startswith(stem))
        library = ctypes.CDLL(os.path.join(folder, name), mode=ctypes.RTLD_GLOBAL)
    return library


def main():
    folder, source, target, ftype = sys.argv[1:]
    llama = load(folder)
    llama.llama_model_quantize_default_params.restype = Params
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.POINTER(Params)]
    llama.llama_model_quantize.restype = ctypes.c_uint32
    params = llama.llama_model_quantize_default_params()
    params.nthread = 2
    params.ftype = int(ftype)
    status = llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params))
    if status != 0:
        sys.exit(f"llama_model_quantize failed: {status}")


main()
