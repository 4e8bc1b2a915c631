"""Writes state_dict_shapes.json: names and shapes of every tensor of the original networks.

    python shapes.py            needs torch, torchvision and efficientnet_lite_pytorch

One object a network: {"params": {name: shape}, "buffers": {name: shape}}, in the order of the
state dict, with the original 1000-class classifier and without num_batches_tracked.
"""

import json
from pathlib import Path

import torchvision
from efficientnet_lite_pytorch import EfficientNet

NETWORKS = {
    "resnet18": torchvision.models.resnet18,
    "resnet34": torchvision.models.resnet34,
    "resnet50": torchvision.models.resnet50,
    "efficientnet-lite0": lambda: EfficientNet.from_name("efficientnet-lite0"),
    "efficientnet-lite1": lambda: EfficientNet.from_name("efficientnet-lite1"),
    "efficientnet-lite2": lambda: EfficientNet.from_name("efficientnet-lite2"),
}

listing = {}
for name, make in NETWORKS.items():
    model = make()
    params = {n: list(p.shape) for n, p in model.named_parameters()}
    buffers = {n: list(b.shape) for n, b in model.named_buffers() if not n.endswith("num_batches_tracked")}
    listing[name] = {"params": params, "buffers": buffers}

text = "{\n"
for i, (name, sides) in enumerate(listing.items()):
    text += f" {json.dumps(name)}: {{\n"
    for j, (side, tensors) in enumerate(sides.items()):
        body = ",\n".join(f"   {json.dumps(n)}: {json.dumps(s)}" for n, s in tensors.items())
        text += f"  {json.dumps(side)}: {{\n{body}\n  }}" + (",\n" if j == 0 else "\n")
    text += " }" + (",\n" if i + 1 < len(listing) else "\n")
Path(__file__).with_name("state_dict_shapes.json").write_text(text + "}\n")
