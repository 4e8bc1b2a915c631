"""What torchinfo says of each network.

    python summary.py         writes summary.json beside itself

needs torch, torchvision, torchinfo and efficientnet_lite_pytorch. Of each network with the notebook's head for 2 classes
(256 hidden features): totals at several sizes of batch and image, all parts trained and the head alone; and for each
module with parameters its output shape, parameters and multiply-adds at batch 1 and side 224.
"""

import json
import pathlib

import torch
import torchinfo

import networks

COLUMNS = ("output_size", "num_params", "mult_adds", "trainable")


def totals(model, films, side):
    of = torchinfo.summary(model, (films, 3, side, side), depth=9, verbose=0, col_names=COLUMNS, mode="eval")
    return of, {
        "films": films,
        "side": side,
        "parameters": of.total_params,
        "trainable": of.trainable_params,
        "mult_adds": of.total_mult_adds,
        "input_bytes": of.total_input,
        "pass_bytes": of.total_output_bytes,
        "parameter_bytes": of.total_param_bytes,
    }


cases = []
for name in networks.NETWORKS:
    model = networks.lite(name)[0] if "lite" in name else networks.resnet(name)[0]
    model = model.float().eval()
    names = {id(module): path for path, module in model.named_modules()}
    whole, all_parts = totals(model, 1, 224)
    layers = {
        names[info.layer_id]: [info.class_name, info.output_size, info.num_params, info.macs]
        for info in whole.summary_list
        if info.is_leaf_layer and info.num_params > 0
    }
    several = totals(model, 4, 96)[1]
    for path, parameter in model.named_parameters():
        parameter.requires_grad = path.startswith(("fc.", "_fc."))
    head = totals(model, 2, 160)[1]
    cases.append({"network": name, "totals": [all_parts, several, head], "layers": layers})

file = pathlib.Path(__file__).with_suffix(".json")
made = {"made_by": "golden/models/summary.py", "torch": torch.__version__, "torchinfo": torchinfo.__version__}
file.write_text(json.dumps({**made, "cases": cases}) + "\n")
