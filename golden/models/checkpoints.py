"""Writes checkpoints/: small files as torch.save writes them, for the tests of the readers.

    python checkpoints.py       needs torch, torchvision and safetensors

notebook-zip.pth, notebook-legacy.pth   a notebook's whole checkpoint: state_dict, the head as a
                                        pickled module, the transforms, the Adam optimiser both as
                                        an object and as a state dict
plain-zip.pth, plain-legacy.pth         the state dict alone, with one float64, one float16 and one
                                        bfloat16 tensor and a transposed (non-contiguous) one
module.pth                              the head alone as a pickled module
mixed.safetensors                       the same as plain-zip.pth
hostile.pth                             a pickle that asks its reader to run a command

Element i of the k-th tensor of the state dict, in its order and leaving out num_batches_tracked,
is (i % 61) / 8 - k: exact in every float type used here.
"""

import os
from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import transforms

OUT = Path(__file__).with_name("checkpoints")
OUT.mkdir(exist_ok=True)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)


class Tiny(nn.Module):
    """ResNet-like names, few numbers."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Block())
        self.fc = nn.Sequential(
            OrderedDict(
                fc1=nn.Linear(4, 6), relu=nn.ReLU(), fc2=nn.Linear(6, 2), output=nn.LogSoftmax(dim=1)
            )
        )

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = x + self.layer1[0].bn1(self.layer1[0].conv1(x))
        return self.fc(x.mean((2, 3)))


def fill(tensors):
    k = 0
    for name, tensor in tensors.items():
        if name.endswith("num_batches_tracked"):
            continue
        values = torch.arange(tensor.numel(), dtype=torch.float64) % 61 / 8 - k
        tensor.copy_(values.reshape(tensor.shape))
        k += 1


torch.manual_seed(0)
model = Tiny()
model.class_to_idx = {"NORMAL": 0, "PNEUMONIA": 1}
optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
nn.NLLLoss()(model(torch.rand(2, 3, 8, 8)), torch.tensor([0, 1])).backward()
optimizer.step()
with torch.no_grad():
    fill(model.state_dict())

image_transforms = {
    "train": transforms.Compose(
        [
            transforms.Resize(224),
            transforms.CenterCrop(224),
            transforms.RandomRotation(20),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    ),
    "val": transforms.Compose([transforms.Resize(256), transforms.ToTensor()]),
}
notebook = {
    "class_to_idx": model.class_to_idx,
    "idx_to_class": {v: k for k, v in model.class_to_idx.items()},
    "epochs": 10,
    "lr": 1e-4,
    "fc": model.fc,
    "state_dict": model.state_dict(),
    "optimizer": optimizer,
    "optimizer_state_dict": optimizer.state_dict(),
    "transforms": image_transforms,
}
torch.save(notebook, OUT / "notebook-zip.pth")
# The legacy format also stores the source of pickled modules' classes; a stand-in keeps it small
# and free of this machine's paths.
torch.serialization.get_source_lines_and_file = lambda obj, *_: ([f"class {obj.__name__}: ...\n"], 0, "module.py")
torch.save(notebook, OUT / "notebook-legacy.pth", _use_new_zipfile_serialization=False)

plain = OrderedDict((n, t.detach().clone()) for n, t in model.state_dict().items())
plain["bn1.weight"] = plain["bn1.weight"].double()
plain["bn1.bias"] = plain["bn1.bias"].half()
plain["bn1.running_mean"] = plain["bn1.running_mean"].bfloat16()
plain["fc.fc1.weight"] = plain["fc.fc1.weight"].t().contiguous().t()
torch.save(plain, OUT / "plain-zip.pth")
torch.save(plain, OUT / "plain-legacy.pth", _use_new_zipfile_serialization=False)
torch.save(model.fc, OUT / "module.pth")
save_file({n: t.contiguous() for n, t in plain.items()}, OUT / "mixed.safetensors", metadata={"format": "pt"})


class Hostile:
    def __reduce__(self):
        return os.system, ("echo executed > lungfish-executed-a-pickle",)


torch.save({"state_dict": plain, "surprise": Hostile()}, OUT / "hostile.pth")
for path in sorted(OUT.iterdir()):
    print(path.name, path.stat().st_size)
