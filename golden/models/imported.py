"""What networks say that were trained with PyTorch and imported: log-probabilities by torchvision, in float64.

    python imported.py        writes imported.json beside this script

needs torch, torchvision and Pillow. Weights and inputs from formula.py; the weights of linear layers are 16 times those where there
is one, and twice where there are two, so that films differ in what is said of them.

`networks`: ResNet-18 with the heads that people give it, on 4 inputs of 64 pixels that are normalised already:
    plain      fc = Linear(512, 2), as torchvision's own
    notebook   fc = fc1, ReLU, fc2, LogSoftmax
    dropout    fc = Linear(512, 64), ReLU, Dropout, Linear(64, 3): its layers are called 0 and 3
    single     fc = Linear(512, 1), a logit: log-probabilities of both classes by logsigmoid
    gray       the first convolution reads one channel; plain head
`films`: probabilities of the plain head for films of 300x260 pixels, through torchvision's transforms of a Pillow image:
    gray       Resize(224), CenterCrop(224), ImageNet's normalisation
    rgb        the same of a film in colours
    squashed   the film in colours, Resize((128, 128)), mean and std 0.5
"""

import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from torch import nn
from torchvision import transforms

import formula

SETTINGS = (1, 1.5, ".bn2")


def network(head, channels=3):
    model = torchvision.models.resnet18()
    if channels == 1:
        model.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
    model.fc = head
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                value.copy_(torch.from_numpy(formula.tensor(key, tuple(value.shape), *SETTINGS)))
                if value.dim() == 2:
                    value *= 16 if key == "fc.weight" else 2
    return model.double().eval()


def notebook():
    layers = dict(fc1=nn.Linear(512, 256), relu=nn.ReLU(), fc2=nn.Linear(256, 2), output=nn.LogSoftmax(dim=1))
    return nn.Sequential(OrderedDict(layers))


def film():
    """[260, 300, 3], bytes."""
    values = formula.pixels("film", 1, 320)[0].astype(np.float64)
    return np.floor((values + 2) * 63.75).astype(np.uint8).transpose(1, 2, 0)[:260, :300]


def through(model, image, resize, mean, std):
    steps = [*resize, transforms.ToTensor(), transforms.Normalize(mean, std)]
    x = transforms.Compose(steps)(image.convert("RGB")).double()[None]
    return torch.softmax(model(x), 1)[0].tolist()


with torch.no_grad():
    x = torch.from_numpy(formula.pixels("input", 4, 64)).double()
    plain = network(nn.Linear(512, 2))
    single = network(nn.Linear(512, 1))(x)
    dropout = nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 3))
    log = lambda logits: torch.log_softmax(logits, 1).tolist()
    networks = {
        "plain": log(plain(x)),
        "notebook": network(notebook())(x).tolist(),
        "dropout": log(network(dropout)(x)),
        "single": torch.cat([nn.functional.logsigmoid(-single), nn.functional.logsigmoid(single)], 1).tolist(),
        "gray": log(network(nn.Linear(512, 2), 1)(x[:, :1])),
    }
    usual = [transforms.Resize(224), transforms.CenterCrop(224)]
    imagenet = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    gray, rgb = Image.fromarray(film()[:, :, 0]), Image.fromarray(film())
    films = {
        "gray": through(plain, gray, usual, *imagenet),
        "rgb": through(plain, rgb, usual, *imagenet),
        "squashed": through(plain, rgb, [transforms.Resize((128, 128))], [0.5] * 3, [0.5] * 3),
    }
out = {"networks": networks, "films": films}
Path(__file__).with_name("imported.json").write_text(json.dumps(out, indent=1) + "\n")
print(json.dumps(out, indent=1))
