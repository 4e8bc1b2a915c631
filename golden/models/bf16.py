"""How far PyTorch's autocast is from PyTorch in float64: what bf16 and f16 here are held to.

    python bf16.py [--f16] [NETWORK ...]    writes bf16.json, or f16.json, beside this script

needs what networks.py needs. Networks, weights, input and groups are those of networks.py (each network at side 64, with
training, and once more at the side that it was made for); the parameters are float32, and forward and backward run under
torch.autocast("cpu", dtype=torch.bfloat16); with --f16, dtype=torch.float16 and a loss that is scaled by 1024, as
torch.amp.GradScaler does (it begins with 65536, by which PyTorch's own gradients to weights, which are halves, overflow). The file in the repository has the networks and sides that the tests ask for. For each group: the relative L2 distance of its members from float64's, the median
over the members and the largest. Of `adam`, the losses: the median and the largest difference. Of each member that is zero by
mathematics nothing is told. `train` and `gradient` are those of single steps: what a kink sends another way counts.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

import networks


def distances(half, double):
    out = {}
    for group, members in double.items():
        if group == "adam":
            off = np.abs(half[group]["losses"] - members["losses"])
        else:
            scale = max(np.linalg.norm(t) for t in members.values())
            kept = [k for k, t in members.items() if np.linalg.norm(t) > 1e-9 * scale]
            off = [np.linalg.norm(half[group][k] - members[k]) / np.linalg.norm(members[k]) for k in kept]
        out[group] = {"median": float(f"{np.median(off):.3g}"), "largest": float(f"{np.max(off):.3g}")}
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("networks", nargs="*", choices=[*networks.NETWORKS, []])
    parser.add_argument("--f16", action="store_true")
    args = parser.parse_args()
    path = Path(__file__).with_name("f16.json" if args.f16 else "bf16.json")
    kind, scale = (torch.float16, 1024.0) if args.f16 else (torch.bfloat16, 1.0)
    # Those that are not asked for stay as they are.
    file = json.loads(path.read_text()) if path.exists() else {}
    for name in args.networks or networks.NETWORKS:
        for size in (networks.SMALL, networks.WHOLE.get(name, (224, 2))):
            double = networks.run(name, size)
            # Without its cache, which would keep the weights of before a step.
            with torch.autocast("cpu", dtype=kind, cache_enabled=False):
                half = networks.run(name, size, torch.float32, scale)
            file[f"{name}-{size[0]}"] = distances(half, double)
            print(name, size[0], json.dumps(file[f"{name}-{size[0]}"]), flush=True)
            file["torch"] = torch.__version__
            lines = ",\n".join(f' "{name}": {json.dumps(groups)}' for name, groups in file.items())
            path.write_text(f"{{\n{lines}\n}}\n")
