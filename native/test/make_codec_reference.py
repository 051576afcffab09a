"""Writes native/test/data/codec_reference.bin, the oracle of codec_test.cpp.

Made with numpy 2.4.6 and gguf 0.19.0 (printed when run). Run it again with
    PYTHONPATH=<oracles> python3 native/test/make_codec_reference.py

The file is a sequence of records: u32 length of the name, the name, u32 bytes of stored data, u32
count of floats, the stored data, the floats (all little-endian). A record `dequantise/TYPE` pairs
stored blocks with the values that gguf-py reads from them; `encode/TYPE` pairs values with the bytes
that numpy or gguf-py makes of them, MXFP4 by trying every power.
"""

import struct
from importlib.metadata import version
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, quants
from gguf.constants import GGML_QUANT_SIZES

TARGET = Path(__file__).parent / "data" / "codec_reference.bin"
TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q4_K", "Q5_K", "Q6_K"]
# Byte positions of the half-precision scales in a block.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "MXFP4": [],
}
VALUES = 2048


def random_halves(rng: np.random.Generator, count: int) -> np.ndarray:
    """Finite halves of every size and sign, subnormal ones and both zeros included."""
    bits = rng.integers(0, 0x7C00, count, dtype=np.uint16) | (
        rng.integers(0, 2, count, dtype=np.uint16) << np.uint16(15))
    bits[:2] = [0x0001, 0x8000]
    return bits


def stored(rng: np.random.Generator, name: str) -> np.ndarray:
    if name == "F32":
        return rng.standard_normal(VALUES).astype(np.float32).view(np.uint8)
    if name == "F16":
        return random_halves(rng, VALUES).view(np.uint8)
    if name == "BF16":
        return (random_halves(rng, VALUES) & np.uint16(0xBFFF)).view(np.uint8)
    elements, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    blocks = rng.integers(0, 256, (VALUES // elements, size), dtype=np.uint8)
    for at in SCALES[name]:
        blocks[:, at:at + 2] = random_halves(rng, len(blocks)).view(np.uint8).reshape(-1, 2)
    if name == "MXFP4":
        blocks[:, 0] = rng.integers(0, 252, len(blocks), dtype=np.uint8)
    return blocks.reshape(-1)


def values_to_encode(rng: np.random.Generator) -> np.ndarray:
    """Finite values inside the range of halves: normal, tiny, and exact ties of every format."""
    values = rng.standard_normal(VALUES).astype(np.float32)
    values[256:512] *= np.float32(1e-6)  # subnormal as halves
    values[512:544] = 0
    values[544:576] = np.float32(1e-36)  # the scale of the block is stored as zero
    ties = rng.integers(0x3000, 0x7000, 256, dtype=np.uint16).view(np.float16).astype(np.float32)
    values[576:832] = ties * np.float32(1 + 2**-12)
    half_ties = (rng.integers(0x3F000000, 0x40000000, 64, dtype=np.uint32) & 0xFFFFE000) | 0x1000
    values[832:896] = half_ties.astype(np.uint32).view(np.float32)
    bf_ties = (rng.integers(0x3F000000, 0x40000000, 64, dtype=np.uint32) & 0xFFFF0000) | 0x8000
    values[896:960] = bf_ties.astype(np.uint32).view(np.float32)
    values[960:992] = (np.arange(32) - 16 + 0.5).astype(np.float32)
    values[975] = 127  # scale 1: the quants are ties
    return values


def mxfp4(values: np.ndarray) -> np.ndarray:
    """GGUF's blocks of OCP's E2M1 with the power of all 255 that errs least, the first of several; halves to even codes, no zero with a sign."""
    codes = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
    even_first = np.argsort(np.arange(8) % 2, kind="stable")
    stored = bytearray()
    for block in values.astype(np.float64).reshape(-1, 32):
        best = None
        for power in range(255):
            scaled = np.abs(block) / 2.0 ** (power - 127)
            # Of two that are as near argmin takes the first, which is the even one.
            code = even_first[np.abs(scaled[:, None] - codes[even_first]).argmin(axis=1)]
            error = ((codes[code] * 2.0 ** (power - 127) - np.abs(block)) ** 2).sum()
            if best is None or error < best[0]:
                best = (error, power, code | np.where((block < 0) & (code > 0), 8, 0))
        _, power, code = best
        stored += bytes([power, *(code[:16] | code[16:] << 4)])
    return np.frombuffer(bytes(stored), np.uint8)


def main() -> None:
    rng = np.random.default_rng(20261124)
    records: list[tuple[str, np.ndarray, np.ndarray]] = []
    # Which came later has numbers of its own: those of the others stay.
    for name, numbers in [*((name, rng) for name in TYPES), ("MXFP4", np.random.default_rng(39))]:
        data = stored(numbers, name)
        records.append(
            (f"dequantise/{name}", data, quants.dequantize(data, GGMLQuantizationType[name])))
    values = values_to_encode(rng)
    for name in ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]:
        encoded = quants.quantize(values, GGMLQuantizationType[name])
        records.append((f"encode/{name}", encoded.view(np.uint8), values))
    records.append(("encode/MXFP4", mxfp4(values), values))
    TARGET.parent.mkdir(exist_ok=True)
    with TARGET.open("wb") as out:
        for name, data, floats in records:
            assert np.isfinite(floats).all(), name
            out.write(struct.pack("<I", len(name)) + name.encode())
            out.write(struct.pack("<II", data.size, floats.size))
            out.write(data.tobytes() + floats.astype("<f4").tobytes())
    print(f"numpy {np.__version__}, gguf {version('gguf')}: {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
