"""Lines of drawn text, as PP-OCRv4's recogniser takes them, and what models read there.

    graph_lines.py draw OUT.safetensors COUNT SEED TEXT.txt
    graph_lines.py turned OUT.safetensors COUNT SEED TEXT.txt
    graph_lines.py agree SAMPLES.safetensors DENSE.onnx FILE.onnx…

draw: x [COUNT, 3, 48, 320], each a few words of TEXT with a size, contrast, slope, blur and noise of its own. turned: the same, as
the classifier of directions takes them: x [COUNT, 3, 48, 192], and label [COUNT], 1 for a line that is upside down. agree prints JSON: by
file the share of lines that it reads as the first one does, and of their characters; DENSE's own share is that of characters of the
text. Each file passes onnx's checker first.
"""
import json
import sys

import numpy as np
import onnx
import onnxruntime
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from safetensors.numpy import load_file, save_file

HEIGHT, WIDTH = 48, 320


def line(random, words):
    size = int(random.integers(22, 37))
    font = ImageFont.load_default(size)
    back, ink = int(random.integers(170, 256)), int(random.integers(0, 100))
    image = Image.new("L", (WIDTH, HEIGHT), back)
    draw = ImageDraw.Draw(image)
    first, text = int(random.integers(len(words))), ""
    while first < len(words) and draw.textlength(f"{text} {words[first]}".strip(), font) < WIDTH - 14:
        text, first = f"{text} {words[first]}".strip(), first + 1
    draw.text((int(random.integers(2, 8)), (HEIGHT - size) // 2 - 3 + int(random.integers(-3, 4))), text, fill=ink, font=font)
    image = image.rotate(random.uniform(-1.5, 1.5), resample=Image.Resampling.BILINEAR, fillcolor=back)
    image = image.filter(ImageFilter.GaussianBlur(random.uniform(0, 0.9)))
    pixels = np.asarray(image, dtype=np.float32) + random.normal(0, random.uniform(0, 16), (HEIGHT, WIDTH))
    return np.clip(pixels, 0, 255), text


def draw(out, count, seed, path):
    random = np.random.default_rng(int(seed))
    words = [word for word in open(path, encoding="utf-8").read().split() if word.isascii() and len(word) < 16]
    inputs, texts = [], []
    while len(inputs) < int(count):
        pixels, text = line(random, words)
        if text:
            inputs.append(np.repeat((pixels / 127.5 - 1)[None], 3, axis=0))
            texts.append(text)
    save_file({"x": np.asarray(inputs, np.float32)}, out, metadata={"texts": json.dumps(texts)})


def turned(out, count, seed, path):
    draw(out, count, seed, path)
    x = (load_file(out)["x"][:, 0] + 1) * 127.5
    label = np.random.default_rng(int(seed)).integers(2, size=len(x))
    small = [Image.fromarray(each.astype(np.uint8)).resize((192, HEIGHT), Image.Resampling.BILINEAR) for each in x]
    pixels = np.stack([np.rot90(each, 2 * turns) for each, turns in zip(small, label)]).astype(np.float32)
    save_file({"x": np.repeat(pixels[:, None] / 127.5 - 1, 3, axis=1), "label": label}, out)


def read(path, x):
    """What CTC makes of the likeliest characters."""
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = onnxruntime.InferenceSession(path)
    letters = session.get_modelmeta().custom_metadata_map["character"].splitlines() + [" "]
    lines = []
    for at in range(0, len(x), 16):
        for places in session.run(None, {session.get_inputs()[0].name: x[at : at + 16]})[0].argmax(-1):
            changed = np.concatenate([[True], places[1:] != places[:-1]])
            lines.append("".join(letters[i - 1] for i in places[changed] if i > 0))
    return lines


def distance(one, other):
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (a != b))
    return row[-1]


def alike(lines, wanted):
    return 1 - sum(map(distance, lines, wanted)) / sum(map(len, wanted))


def agree(samples, dense, *files):
    from safetensors import safe_open

    x = load_file(samples)["x"]
    texts = json.loads(safe_open(samples, "np").metadata()["texts"])
    wanted = read(dense, x)
    shares = {dense: {"characters": alike(wanted, texts)}}
    for file in files:
        lines = read(file, x)
        same = float(np.mean([a == b for a, b in zip(lines, wanted)]))
        shares[file] = {"lines": same, "characters": alike(lines, wanted)}
    print(json.dumps(shares))


if __name__ == "__main__":
    {"draw": draw, "turned": turned, "agree": agree}[sys.argv[1]](*sys.argv[2:])
