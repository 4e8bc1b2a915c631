"""Expected values of Grad-CAM, computed by pytorch-grad-cam in float64.

    python cam.py       writes cam.json beside this script

needs torch, torchvision, efficientnet_lite_pytorch and grad-cam (pytorch-grad-cam). Side 224, 2 films,
the networks, weights and input of networks.py; the target is the log-odds of class 1 of 2, the
difference of the two logits before LogSoftmax, and once more the logit of class 0 alone. What is kept
is every element of the map as GradCAM.get_cam_image gives it: the sum over channels of weight times
activation, before GradCAM cuts off what is negative and scales what is left.

`hidden` are the units of the head that its ReLU leaves at 0, a film: the gradient has to know them.
`float32` is how far PyTorch's own single floats are off, as the tests measure it.
"""

import json
from pathlib import Path

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from torch import nn

import networks

SIDE, FILMS = 224, 2
NAMES = ["resnet18", "resnet34", "efficientnet-lite0"]


class Raw(GradCAM):
    """GradCAM that keeps its map as it is before the ReLU and the scaling."""

    def get_cam_image(self, *args, **kwargs):
        self.raw = super().get_cam_image(*args, **kwargs)
        return self.raw


def maps(name, dtype):
    model, _ = networks.make(name, dtype)
    head = "_fc" if "lite" in name else "fc"
    if "lite" in name:
        # One module is the activation of stem and top alike: a name of its own for what is pooled.
        model._avg_pooling = nn.Sequential(nn.Identity(), model._avg_pooling)
        layer = model._avg_pooling[0]
    else:
        layer = model.layer4[-1]
    hidden = []
    getattr(model, head).relu.register_forward_hook(lambda m, i, y: hidden.append((y == 0).sum(1).tolist()))
    getattr(model, head).output = nn.Identity()
    model.eval()
    x = networks.batch(networks.NETWORKS[name][3], (SIDE, FILMS), dtype)
    out = {}
    for what, target in {"log_odds": lambda y: y[1] - y[0], "logit_0": lambda y: y[0]}.items():
        cam = Raw(model=model, target_layers=[layer])
        cam(input_tensor=x, targets=[target] * FILMS)
        out[what] = np.asarray(cam.raw)
        cam.activations_and_grads.release()
    return out, hidden[0]


if __name__ == "__main__":
    files = {}
    for name in NAMES:
        double, hidden = maps(name, torch.float64)
        single, _ = maps(name, torch.float32)
        off = max(np.abs(single[k] - double[k]).max() / np.abs(double[k]).max() for k in double)
        assert all(m.dtype == np.float64 for m in double.values())
        print(name, {k: m.shape for k, m in double.items()}, "float32 off by", off, "units at 0:", hidden)
        rounded = {k: [[float(f"{v:.9g}") for v in film.ravel()] for film in m] for k, m in double.items()}
        files[name] = {"shape": list(double["log_odds"].shape[1:]), "hidden": hidden, "float32": float(f"{off:.2g}"), **rounded}
    lines = ",\n".join(f' "{name}": {json.dumps(file)}' for name, file in files.items())
    Path(__file__).with_name("cam.json").write_text(f"{{\n{lines}\n}}\n")
