"""A small encoder as PyTorch's newer exporter writes it, and what it gives without some heads and units.

    PYTHONPATH=.oracles/exporter:.oracles/graphs:.oracles/python python3 scripts/oracles/make-dynamo-fixtures.py [OUT]

OUT (default test/fixtures/dynamo) receives encoder.onnx (batch and length are open), expected.safetensors (x, and y by torch when
head 1 and units 1, 4, 7, … of the FFN are not read) and versions.json.
"""

import json
import pathlib
import platform
import sys
import warnings

import onnx
import onnxscript
import torch
from safetensors.torch import save_file
from torch import nn

warnings.filterwarnings("ignore")
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WIDTH, HEADS, UNITS = 12, 3, 20


class Encoder(nn.Module):
    """One layer as transformers writes them: heads by views, lengths read off the input."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.before, self.after = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.up, self.down = nn.Linear(WIDTH, UNITS), nn.Linear(UNITS, WIDTH)

    def forward(self, x):
        batch, length, _ = x.shape
        given = self.before(x)
        heads = [
            layer(given).view(batch, length, HEADS, WIDTH // HEADS).transpose(1, 2) for layer in (self.query, self.key, self.value)
        ]
        mixed = nn.functional.scaled_dot_product_attention(*heads)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, length, WIDTH))
        return x + self.down(nn.functional.gelu(self.up(self.after(x))))


def main(out=ROOT / "test/fixtures/dynamo"):
    folder = pathlib.Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    model = Encoder().eval()
    x = torch.randn(2, 7, WIDTH)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter += 0.1 * torch.randn_like(parameter)
        torch.onnx.export(
            model,
            (x,),
            folder / "encoder.onnx",
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},),
            input_names=["x"],
            output_names=["y"],
            external_data=False,
            verbose=False,
        )
        file = onnx.load(folder / "encoder.onnx")
        # Where in which Python file each node comes from.
        for each in [file, file.graph, *file.graph.node, *file.graph.value_info, *file.graph.initializer]:
            del each.metadata_props[:]
        onnx.save(file, folder / "encoder.onnx")
        size = WIDTH // HEADS
        model.out.weight[:, size : 2 * size] = 0
        model.down.weight[:, 1::3] = 0
        save_file({"x": x, "y": model(x)}, folder / "expected.safetensors")
    versions = {"python": platform.python_version(), "torch": torch.__version__, "onnxscript": onnxscript.__version__}
    (folder / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


main(*sys.argv[1:])
