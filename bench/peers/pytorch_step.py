"""Training and inference steps of PyTorch on the CPU: `lungfish bench step` in Python."""

import argparse
import os

import common

torch = common.need("torch")
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--arch", default="efficientnet-lite0")
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--mode", choices=["train", "infer"], default="train")
parser.add_argument("--dtype", choices=["fp32", "bf16"], default="fp32", help="bf16 is torch.autocast")
parser.add_argument("--layout", choices=["nchw", "channels-last"], default="channels-last")
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--runs", type=int, default=7)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
layout = torch.channels_last if args.layout == "channels-last" else torch.contiguous_format
net = common.model(args.arch).to(memory_format=layout)
films = torch.randn(args.batch, 3, 224, 224).contiguous(memory_format=layout)
labels = torch.arange(args.batch) % 2
loss_of = torch.nn.NLLLoss()
adam = torch.optim.Adam(net.parameters(), lr=1e-4)


def precision():
    return torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "bf16")


def train():
    adam.zero_grad()
    with precision():
        scores = net(films)
    loss_of(scores.float(), labels).backward()
    adam.step()


def infer():
    with torch.inference_mode(), precision():
        net(films)


net.train(args.mode == "train")
common.measure(
    {"train": train, "infer": infer}[args.mode], args.batch, args.runs,
    peer="PyTorch", version=torch.__version__, arch=args.arch, mode=args.mode, dtype=args.dtype, layout=args.layout,
    threads=args.threads, isa=torch.backends.cpu.get_cpu_capability(),
)
