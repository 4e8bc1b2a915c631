"""Expected losses and gradients of lungfish's any-of training, from PyTorch (float64).

    python bce.py         writes bce.json beside itself

torch.nn.functional.binary_cross_entropy_with_logits(weight, pos_weight), the function of torch.nn.BCEWithLogitsLoss, and
its gradient with respect to the logits. What is not known (null among the targets) has weight 0, and the mean is over what
is known: without such targets it is BCEWithLogitsLoss with its mean reduction, which is asserted. PyTorch has no label
smoothing for this loss; targets are moved towards one half, t * (1 - s) + s / 2.
"""

import json
import pathlib

import torch

here = pathlib.Path(__file__).parent


def cases():
    out = []
    for labels, films in [(1, 4), (3, 5)]:
        for masked in (False, True):
            for weighted in ("none", "pos_weight", "both"):
                for smoothing in (0.0, 0.2):
                    i = torch.arange(films * labels, dtype=torch.float64)
                    # Exact in single floats too, so that both sides start from the same logits.
                    logits = (4.0 * torch.sin(1.7 * i + labels)).float().double().reshape(films, labels).requires_grad_()
                    hard = ((3 * i + i * i) % 4 < 2).double().reshape(films, labels)
                    known = ((5 * i + labels) % 3 != 0).reshape(films, labels) if masked else torch.ones_like(hard).bool()
                    weight = torch.tensor([0.5 + 0.75 * k for k in range(labels)], dtype=torch.float64)
                    pos_weight = torch.tensor([3.0 - 0.8 * k for k in range(labels)], dtype=torch.float64)
                    use_weight, use_pos = weighted == "both", weighted != "none"
                    soft = hard * (1 - smoothing) + smoothing / 2
                    each = (weight if use_weight else torch.ones_like(weight)) * known
                    loss = (
                        torch.nn.functional.binary_cross_entropy_with_logits(
                            logits, soft, weight=each, pos_weight=pos_weight if use_pos else None, reduction="sum"
                        )
                        / known.sum()
                    )
                    if not masked:
                        plain = torch.nn.BCEWithLogitsLoss(
                            weight=weight if use_weight else None, pos_weight=pos_weight if use_pos else None
                        )(logits, soft)
                        assert abs(plain.item() - loss.item()) < 1e-12
                    loss.backward()
                    targets = [t if k else None for t, k in zip(hard.flatten().tolist(), known.flatten().tolist())]
                    out.append(
                        {
                            "labels": labels,
                            "targets": targets,
                            "weight": weight.tolist() if use_weight else None,
                            "pos_weight": pos_weight.tolist() if use_pos else None,
                            "label_smoothing": smoothing,
                            "logits": logits.detach().flatten().tolist(),
                            "loss": loss.item(),
                            "gradient": logits.grad.flatten().tolist(),
                        }
                    )
    return out


(here / "bce.json").write_text(
    json.dumps({"made_by": "golden/training/bce.py", "torch": torch.__version__, "tolerance": 1e-6, "cases": cases()}) + "\n"
)
