"""Expected losses, gradients and learning rates of lungfish's training, from PyTorch (float64).

    python make.py        writes losses.json, schedules.json and one-cycle.json beside itself

Losses: torch.nn.CrossEntropyLoss(weight, label_smoothing), mean reduction, and its gradient with respect
to the log-probabilities' logits. Schedules: torch.optim.lr_scheduler.StepLR and CosineAnnealingLR, the
learning rate with which each epoch trains. One-cycle: torch.optim.lr_scheduler.OneCycleLR over Adam, the learning rate
and beta1 with which each step trains.
"""

import json
import pathlib
import warnings

import torch

warnings.simplefilter("ignore")
here = pathlib.Path(__file__).parent


def losses():
    cases = []
    for classes, films in [(2, 5), (3, 7), (4, 1)]:
        for weighted in (False, True):
            for smoothing in (0.0, 0.1, 0.3):
                i = torch.arange(films * classes, dtype=torch.float64)
                logits = (2.0 * torch.sin(1.7 * i + classes)).reshape(films, classes).requires_grad_()
                labels = [(3 * f + f * f) % classes for f in range(films)]
                weight = torch.tensor([0.5 + 0.75 * c for c in range(classes)], dtype=torch.float64)
                loss = torch.nn.CrossEntropyLoss(weight=weight if weighted else None, label_smoothing=smoothing)(
                    logits, torch.tensor(labels)
                )
                loss.backward()
                cases.append(
                    {
                        "classes": classes,
                        "labels": labels,
                        "weight": weight.tolist() if weighted else None,
                        "label_smoothing": smoothing,
                        "logits": logits.detach().flatten().tolist(),
                        "loss": loss.item(),
                        "gradient": logits.grad.flatten().tolist(),
                    }
                )
    return cases


def schedules():
    cases = []
    for kind, epochs, lr, step_size, gamma in [
        ("step", 12, 1e-3, 4, 0.1),
        ("step", 7, 3e-4, 1, 0.9),
        ("cosine", 10, 1e-3, 1, 1.0),
        ("cosine", 1, 2e-4, 1, 1.0),
    ]:
        optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=lr)
        if kind == "step":
            schedule = torch.optim.lr_scheduler.StepLR(optimiser, step_size=step_size, gamma=gamma)
        else:
            schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=epochs)
        rates = []
        for _ in range(epochs):
            rates.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            schedule.step()
        cases.append(
            {"schedule": kind, "epochs": epochs, "lr": lr, "step_size": step_size, "gamma": gamma, "rates": rates}
        )
    return cases


def one_cycle():
    cases = []
    for total, lr, pct_start, div_factor, final_div_factor in [
        (20, 1e-3, 0.3, 25.0, 1e4),
        (57, 3e-4, 0.1, 10.0, 100.0),
        (10, 1e-2, 1.0, 25.0, 1e4),
        (6, 1e-2, 0.0, 25.0, 1e4),
        (2, 1e-3, 0.3, 25.0, 1e4),
        (1, 1e-3, 0.3, 25.0, 1e4),
    ]:
        optimiser = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=lr)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser,
            max_lr=lr,
            total_steps=total,
            pct_start=pct_start,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
        )
        rates, beta1 = [], []
        for step in range(total):
            rates.append(optimiser.param_groups[0]["lr"])
            beta1.append(optimiser.param_groups[0]["betas"][0])
            optimiser.step()
            if step + 1 < total:
                schedule.step()
        cases.append(
            {
                "lr": lr,
                "pct_start": pct_start,
                "div_factor": div_factor,
                "final_div_factor": final_div_factor,
                "rates": rates,
                "beta1": beta1,
            }
        )
    return cases


for name, cases in [("losses", losses()), ("schedules", schedules()), ("one-cycle", one_cycle())]:
    (here / f"{name}.json").write_text(
        json.dumps({"made_by": "golden/training/make.py", "torch": torch.__version__, "tolerance": 1e-6, "cases": cases})
        + "\n"
    )
