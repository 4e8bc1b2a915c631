"""Expected steps of Adam with parameter groups and one-cycle, from PyTorch in float64.

    python optimizer.py       writes optimizer.json beside itself

A network of three linear layers (6, 5, 4, 3 features; ReLU between, LogSoftmax behind), each a part of its own with its
own learning rate. Weights, inputs and labels are sines that the test computes too. 20 steps each of torch.optim.Adam and
AdamW on the mean of NLLLoss, at constant rates and moved every step by torch.optim.lr_scheduler.OneCycleLR (which cycles
beta1 too). `rates` and `beta1` are those of each step, `losses` come before it, `parameters` after the last.
"""

import json
import pathlib

import torch
from torch import nn

FEATURES, FILMS, STEPS = [6, 5, 4, 3], 8, 20
PARTS = ["first", "second", "head"]


def sines(count, seed, scale):
    i = torch.arange(count, dtype=torch.float64)
    return scale * torch.sin(1.7 * i + seed)


def network():
    layers = []
    for n, (inner, out) in enumerate(zip(FEATURES, FEATURES[1:])):
        layer = nn.Linear(inner, out, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(sines(inner * out, n, 0.5).reshape(out, inner))
            layer.bias.copy_(sines(out, 10 + n, 0.1))
        layers.append(layer)
    return layers


def forward(layers, x):
    for layer in layers[:-1]:
        x = torch.relu(layer(x))
    return torch.log_softmax(layers[-1](x), dim=1)


def case(name, optimizer, lr, one_cycle, **options):
    layers = network()
    groups = [{"params": layer.parameters(), "lr": rate} for layer, rate in zip(layers, lr)]
    adam = getattr(torch.optim, optimizer)(groups, **options)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, max_lr=lr, total_steps=STEPS) if one_cycle else None
    rates, beta1, losses = [], [], []
    for step in range(STEPS):
        x = sines(FILMS * FEATURES[0], 20 + step, 1.0).reshape(FILMS, -1)
        labels = torch.tensor([(film + step) % FEATURES[-1] for film in range(FILMS)])
        rates.append([group["lr"] for group in adam.param_groups])
        beta1.append(adam.param_groups[0]["betas"][0])
        loss = nn.functional.nll_loss(forward(layers, x), labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        if schedule and step + 1 < STEPS:
            schedule.step()
        losses.append(loss.item())
    parameters = {
        f"{part}.{leaf}": getattr(layer, leaf).flatten().tolist()
        for part, layer in zip(PARTS, layers)
        for leaf in ("weight", "bias")
    }
    return {
        "name": name,
        "decoupled": optimizer == "AdamW",
        "weight_decay": options.get("weight_decay", 0.0),
        "rates": rates,
        "beta1": beta1,
        "losses": losses,
        "parameters": parameters,
    }


rates = [1e-3, 1e-2, 5e-2]
cases = [
    case("groups", "Adam", rates, False),
    case("groups with decay", "AdamW", rates, False, weight_decay=0.1),
    case("one-cycle", "Adam", rates, True, weight_decay=0.01),
    case("one-cycle with decay", "AdamW", rates, True, weight_decay=0.1),
]
file = pathlib.Path(__file__).with_suffix(".json")
file.write_text(json.dumps({"made_by": "golden/engine/optimizer.py", "torch": torch.__version__, "cases": cases}) + "\n")
