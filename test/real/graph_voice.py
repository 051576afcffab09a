"""Drawn speech for silero-vad, and how far pruned graphs agree with the dense one on it.

    graph_voice.py MODEL OUT.safetensors CLIPS SEED
    graph_voice.py agree CLIPS SEED MODEL OTHER ...

Speech is drawn: pulses of a voice that rises and falls, through resonances that move from vowel to vowel, with hisses and pauses, in noise and hum of
many levels. The first writes every chunk of the clips (16 kHz, 512 values with 64 of the chunk before) with the states that MODEL
had in front of it. The second runs each graph over all clips with its own states, as a program would, and prints JSON: of each the share
of chunks that it calls speech (a probability of one half or more) where MODEL does, or not where it does not; and the share of speech.
"""
import json
import sys

import numpy as np
import onnxruntime
from safetensors.numpy import save_file

RATE, CHUNK, BEFORE = 16000, 512, 64
SECONDS = 6


def resonance(x, frequency, width):
    r = np.exp(-np.pi * width / RATE)
    a, b = 2 * r * np.cos(2 * np.pi * frequency / RATE), -r * r
    y = np.zeros(len(x) + 2)
    for i, value in enumerate(x):
        y[i + 2] = (1 - r) * value + a * y[i + 1] + b * y[i]
    return y[2:]


def syllable(rng, pitch):
    length = int(RATE * rng.uniform(0.12, 0.3))
    times = np.arange(length) / length
    phase = np.cumsum(pitch * (1 + rng.uniform(-0.2, 0.2) * times + 0.02 * np.sin(40 * times))) / RATE
    pulses = np.diff(np.floor(phase), prepend=0)
    source = pulses + 0.02 * rng.normal(size=length)
    formants = [(rng.uniform(270, 800), 60), (rng.uniform(850, 2300), 90), (rng.uniform(2300, 3000), 120)]
    voiced = sum(resonance(source, f, w) / (i + 1) for i, (f, w) in enumerate(formants))
    voiced *= np.sin(np.pi * times) ** 0.5
    hiss = rng.normal(size=int(RATE * rng.uniform(0, 0.08)))
    hiss = np.diff(hiss, prepend=0) * 0.03
    return np.concatenate([hiss, voiced / (np.abs(voiced).max() + 1e-9)])


def clip(rng):
    sound = np.zeros(RATE * SECONDS)
    pitch = rng.uniform(90, 240)
    at = int(RATE * rng.uniform(0, 1.5))
    while at < len(sound):
        for _ in range(rng.integers(3, 12)):
            part = syllable(rng, pitch * rng.uniform(0.85, 1.15))[: max(0, len(sound) - at)]
            sound[at : at + len(part)] += part
            at += len(part) + int(RATE * rng.uniform(0, 0.06))
        at += int(RATE * rng.uniform(0.4, 1.6))
    noise = np.cumsum(rng.normal(size=len(sound)))
    noise = noise - np.convolve(noise, np.ones(64) / 64, "same") + rng.uniform(0, 2) * rng.normal(size=len(sound))
    hum = np.sin(2 * np.pi * rng.uniform(50, 400) * np.arange(len(sound)) / RATE)
    level = 10 ** rng.uniform(-3, -0.7)
    mixed = sound + level * noise / noise.std() + rng.uniform(0, level) * hum
    return (rng.uniform(0.05, 0.5) * mixed / np.abs(mixed).max()).astype(np.float32)


def chunks(sound):
    padded = np.concatenate([np.zeros(BEFORE, np.float32), sound])
    count = len(sound) // CHUNK
    return np.stack([padded[i * CHUNK : i * CHUNK + BEFORE + CHUNK] for i in range(count)])


def states(session, rows):
    """Of every chunk its probability, and the states in front of it."""
    h, c = np.zeros((2, 1, 1, 128), np.float32)
    found = []
    for row in rows:
        p, after, cells = session.run(None, {"input": row[None], "h": h, "c": c})
        found.append((float(p[0]), h, c))
        h, c = after, cells
    return found


def drawn(count, seed):
    rng = np.random.default_rng(int(seed))
    return [chunks(clip(rng)) for _ in range(int(count))]


def open_(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options)


def samples(model, out, count, seed):
    session = open_(model)
    clips = drawn(count, seed)
    each = [states(session, rows) for rows in clips]
    h, c = ([found[i] for found in sum(each, [])] for i in (1, 2))
    save_file({"input": np.concatenate(clips), "h": np.concatenate(h), "c": np.concatenate(c)}, out)


def agree(count, seed, *models):
    clips = drawn(count, seed)
    calls = [np.concatenate([[p >= 0.5 for p, _, _ in states(open_(model), rows)] for rows in clips]) for model in models]
    print(json.dumps({"speech": calls[0].mean(), **{model: (call == calls[0]).mean() for model, call in zip(models, calls)}}))


if __name__ == "__main__":
    first, *rest = sys.argv[1:]
    agree(*rest) if first == "agree" else samples(first, *rest)
