"""What the peers share: the notebook's model, and one JSON line a measurement."""

import importlib
import json
import resource
import sys
import time


def need(*modules):
    """Imports modules by name; where one is not installed, says so as a line of its own and ends."""
    found = []
    for name in modules:
        try:
            found.append(importlib.import_module(name))
        except ImportError as error:
            print(json.dumps({"absent": str(error)}))
            sys.exit(0)
    return found if len(found) > 1 else found[0]


def head(features):
    """The notebook's head, of two classes."""
    nn = need("torch").nn
    return nn.Sequential(nn.Linear(features, 256), nn.ReLU(), nn.Linear(256, 2), nn.LogSoftmax(1))


def model(arch):
    """The network with the notebook's head of two classes, weights drawn at random; nothing of it drops anything out."""
    if arch.startswith("efficientnet-lite"):
        lite = need("efficientnet_lite_pytorch").EfficientNet
        net = lite.from_name(arch, dropout_rate=0.0, drop_connect_rate=0.0)
        last = "_fc"
    else:
        net = getattr(need("torchvision").models, arch)(weights=None)
        last = "fc"
    setattr(net, last, head(getattr(net, last).in_features))
    return net


def peak_bytes():
    """The most memory that this process had at once."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def measure(step, batch, runs, **told):
    """Times `runs` steps after one that is not counted, and prints films a second of the median, slowest and fastest."""
    before = peak_bytes()
    step()
    seconds = []
    for _ in range(runs):
        begun = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - begun)
    pace = sorted(batch / s for s in seconds)
    told |= {"batch": batch, "runs": runs, "films_per_s": pace[len(pace) // 2], "films_per_s_min": pace[0],
             "films_per_s_max": pace[-1], "peak_bytes": peak_bytes(), "peak_bytes_before": before}
    print(json.dumps(told), flush=True)
