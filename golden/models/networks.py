"""Expected values of the networks, computed by PyTorch in float64.

    python networks.py [NETWORK ...]    writes {network}.safetensors and {network}-{side}.safetensors
                                        of those, or of all, beside this script
    python networks.py --full DIR       writes every element to DIR/{network}.safetensors instead;
                                        then LUNGFISH_GOLDEN_FULL=DIR cargo test -p lungfish-models
                                        compares them all

needs torch, torchvision, safetensors and efficientnet_lite_pytorch. Side 64, batch 4, and once more
the side that the network was made for, batch 2; 2 classes, the notebook's head, no dropout, no
drop-connect; weights and inputs from formula.py; the targets are film i mod 2.

A file has five groups (one of the whole side has no `adam`, and of TRAINED_WHOLE alone more than
`eval`), each a tensor `{group}` (F32: the kept elements of all its members, one
after the other), a tensor `{group}.norm` (F64: the L2 norm of each whole member) and in the
metadata their names:
    eval        activations in evaluation mode: stem, layer1 .., pool, logits
    train       the same in training mode, with `loss` last
    gradient    of every parameter, after `train`
    running     running means and unbiased running variances after `train`
    adam        20 losses of torch.optim.Adam (lr 1e-4), each before its step, on batches of its own
"""

import argparse
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
import torchvision
from efficientnet_lite_pytorch import EfficientNet
from safetensors.numpy import save_file
from torch import nn

import formula

CLASSES, STEPS = 2, 20
# Side and batch: the small one for training that goes on, the other (224 unless said here) as networks are used.
SMALL = (64, 4)
WHOLE = {"efficientnet-lite1": (240, 2), "efficientnet-lite2": (260, 2)}
TRAINED_WHOLE = ["resnet34", "efficientnet-lite0"]
# Gain and shift of batch-norms, the one that ends a residual branch, and the input's name.
NETWORKS = {
    "resnet18": (1, 1.5, ".bn2", "input"),
    "resnet34": (1, 1.5, ".bn2", "input"),
    "resnet50": (1, 1.5, ".bn3", "input"),
    "efficientnet-lite0": (1.3, 3, "._bn2", "input"),
    "efficientnet-lite1": (1.3, 3, "._bn2", "input"),
    "efficientnet-lite2": (1.3, 3, "._bn2", "input"),
}
# Elements kept of a tensor, where fewer than formula.SAMPLES are: these networks have many tensors.
SAMPLES = {"efficientnet-lite1": 192, "efficientnet-lite2": 192}
# The last block of each stage.
LAST_BLOCKS = {
    "efficientnet-lite0": [0, 2, 4, 7, 10, 14, 15],
    "efficientnet-lite1": [0, 3, 6, 10, 14, 19, 20],
    "efficientnet-lite2": [0, 3, 6, 10, 14, 19, 20],
}
HERE = Path(__file__).parent


def head(features):
    return nn.Sequential(
        OrderedDict(
            fc1=nn.Linear(features, 256), relu=nn.ReLU(), fc2=nn.Linear(256, CLASSES), output=nn.LogSoftmax(dim=1)
        )
    )


def resnet(name):
    model = getattr(torchvision.models, name)()
    model.fc = head(model.fc.in_features)
    taps = {"stem": model.maxpool, **{f"layer{i}": getattr(model, f"layer{i}") for i in range(1, 5)}}
    return model, {**taps, "pool": model.avgpool, "logits": model.fc.fc2}


def lite(name):
    # No image size: the padding is then worked out from the input, as it is at the size the network was made for.
    model = EfficientNet.from_name(name, image_size=None, drop_connect_rate=0.0, dropout_rate=0.0)
    model._fc = head(model._fc.in_features)
    taps = {f"stage{i}": model._blocks[block] for i, block in enumerate(LAST_BLOCKS[name], 1)}
    return model, {**taps, "pool": model._avg_pooling, "logits": model._fc.fc2}


def make(name, dtype):
    """The model with formula weights, and a dict that its forward pass fills with activations."""
    model, taps = lite(name) if "lite" in name else resnet(name)
    seen = {}
    for tap, module in taps.items():
        module.register_forward_hook(lambda m, i, y, tap=tap: seen.__setitem__(tap, y.detach()))
    if "lite" in name:
        # Its activation is one module for stem and top: the inputs of what follows tell them apart.
        model._blocks[0].register_forward_pre_hook(lambda m, i: seen.__setitem__("stem", i[0].detach()))
        model._avg_pooling.register_forward_pre_hook(lambda m, i: seen.__setitem__("top", i[0].detach()))
    gain, shift, last, _ = NETWORKS[name]
    with torch.no_grad():
        for key, value in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                value.copy_(torch.from_numpy(formula.tensor(key, tuple(value.shape), gain, shift, last)))
    return model.to(dtype), seen


def batch(name, size, dtype):
    side, films = size
    return torch.from_numpy(formula.pixels(name, films, side)).to(dtype)


def order(seen):
    rank = lambda tap: ["stem", "layer", "stage", "top", "pool", "logits"].index(tap.rstrip("0123456789"))
    return sorted(seen, key=lambda tap: (rank(tap), tap))


def run(name, size, dtype=torch.float64, scale=1.0):
    """The groups. The loss is multiplied by `scale` on its way back, and what comes of it divided by that."""
    targets = torch.arange(size[1]) % CLASSES
    groups = {}
    model, seen = make(name, dtype)
    model.eval()
    with torch.no_grad():
        model(batch(NETWORKS[name][3], size, dtype))
    groups["eval"] = {k: seen[k] for k in order(seen)}
    if size == SMALL or name in TRAINED_WHOLE:
        groups.update(trained(name, model, seen, size, dtype, targets, scale))
    if size == SMALL:
        groups["adam"] = adam(name, size, dtype, targets, scale)
    return {g: {k: t.double().numpy() for k, t in m.items()} for g, m in groups.items()}


def backward(model, loss, scale):
    (loss * scale).backward()
    for p in model.parameters():
        p.grad /= scale


def trained(name, model, seen, size, dtype, targets, scale):
    groups = {}

    seen.clear()
    model.train()
    loss = nn.functional.nll_loss(model(batch(NETWORKS[name][3], size, dtype)), targets)
    backward(model, loss, scale)
    groups["train"] = {**{k: seen[k] for k in order(seen)}, "loss": loss.detach().reshape(1)}
    groups["gradient"] = {k: p.grad for k, p in model.named_parameters()}
    groups["running"] = {k: b.clone() for k, b in model.named_buffers() if "running" in k}
    return groups


def adam(name, size, dtype, targets, scale):
    model, _ = make(name, dtype)
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = nn.functional.nll_loss(model(batch(f"step{step}", size, dtype)), targets)
        backward(model, loss, scale)
        optimizer.step()
        losses.append(loss.detach())
    return {"losses": torch.stack(losses)}


def pack(groups, pick):
    tensors, metadata = {}, {}
    for group, members in groups.items():
        tensors[group] = np.concatenate([pick(t.reshape(-1)) for t in members.values()]).astype(np.float32)
        tensors[f"{group}.norm"] = np.array([np.linalg.norm(t) for t in members.values()])
        metadata[group] = "\n".join(members)
    return tensors, metadata


def worst(single, double):
    """Largest relative difference of PyTorch's own float32, a group."""
    out = {}
    for group, members in double.items():
        scale = max(np.linalg.norm(t) for t in members.values())
        out[group] = max(
            (np.linalg.norm(single[group][k] - t) / np.linalg.norm(t), k)
            for k, t in members.items()
            if np.linalg.norm(t) > 1e-9 * scale
        )
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", choices=[*NETWORKS, []])
    parser.add_argument("--full", type=Path)
    args = parser.parse_args()
    for name in args.networks or NETWORKS:
        kept = SAMPLES.get(name, formula.SAMPLES)
        for size in (SMALL, WHOLE.get(name, (224, 2))):
            groups = run(name, size)
            if args.full:
                args.full.mkdir(parents=True, exist_ok=True)
                tensors, metadata = pack(groups, lambda t: t)
            else:
                tensors, metadata = pack(groups, lambda t: t[formula.positions(t.size, kept)])
            path = (args.full or HERE) / f"{name}{'' if size == SMALL else f'-{size[0]}'}.safetensors"
            save_file(tensors, path, metadata)
            print(path.name, path.stat().st_size, "bytes")
            gradients = groups.get("gradient", {})
            scale = max((np.linalg.norm(t) for t in gradients.values()), default=0)
            tiny = [k for k, t in gradients.items() if np.linalg.norm(t) <= 1e-9 * scale]
            print("  gradients that vanish:", " ".join(tiny) or "none")
            if "adam" in groups:
                print("  losses of Adam:", *(f"{x:.4f}" for x in groups["adam"]["losses"]))
            for group, (difference, key) in worst(run(name, size, torch.float32), groups).items():
                print(f"  PyTorch's float32, {group}: {difference:.1e} at {key}")
