"""Prints what torch.optim.Adam and AdamW make of a few parameters: the table in optim.rs beside this file.

    python golden_adam.py        (torch 2.x, CPU, float32)
"""

import torch

PARAMS = [0.5, -1.25, 2.0, 1e-3, -3.0]
# The gradient at step s is GRADS scaled by cos(s), so that moments change sign and size.
GRADS = [0.1, -2.0, 1e-4, 3.0, 0.0]

for name, kind, options in [
    ("Adam", torch.optim.Adam, dict(lr=1e-3)),
    ("Adam, decay", torch.optim.Adam, dict(lr=1e-2, weight_decay=0.1, betas=(0.8, 0.99), eps=1e-6)),
    ("AdamW", torch.optim.AdamW, dict(lr=1e-2, weight_decay=0.1)),
]:
    p = torch.tensor(PARAMS, requires_grad=True)
    optimiser = kind([p], **options)
    for step in range(1, 11):
        p.grad = torch.tensor(GRADS) * torch.cos(torch.tensor(float(step)))
        optimiser.step()
        if step in (1, 10):
            state = optimiser.state[p]
            row = [p.detach(), state["exp_avg"], state["exp_avg_sq"]]
            print(name, step, [[f"{v:.9g}" for v in t.tolist()] for t in row])
