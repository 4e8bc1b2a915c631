"""The notebook's data path on a folder DIR/{CLASS}/*: Pillow, torchvision's transforms, DataLoader."""

import argparse
import json
import os
import time

import common

torch, torchvision = common.need("torch", "torchvision")
transforms = torchvision.transforms
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", required=True)
parser.add_argument("--workers", type=int, default=os.cpu_count())
parser.add_argument("--passes", type=int, default=3)
args = parser.parse_args()

torch.set_num_threads(1)
films = torchvision.datasets.ImageFolder(args.data, transforms.Compose([
    transforms.Resize(224), transforms.CenterCrop(224), transforms.RandomRotation(20),
    transforms.RandomHorizontalFlip(), transforms.ToTensor(),
    transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
]))
loader = torch.utils.data.DataLoader(films, batch_size=32, shuffle=True, num_workers=args.workers)
pace = []
# The first pass is not counted: nobody is timed on films that are not in memory yet.
for turn in range(args.passes + 1):
    begun = time.perf_counter()
    count = sum(len(labels) for _, labels in loader)
    if turn > 0:
        pace.append(count / (time.perf_counter() - begun))
pace.sort()
print(json.dumps({
    "peer": "PyTorch DataLoader", "version": torch.__version__, "workers": args.workers, "films": len(films),
    "films_per_s": pace[len(pace) // 2], "films_per_s_min": pace[0], "films_per_s_max": pace[-1],
}))
