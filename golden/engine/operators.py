"""Every operator of the engine, forward and backward, in float64 PyTorch. Writes operators.json.

    python operators.py      (torch; any recent version)

Inputs come from one formula, so that the file holds them only once; outputs and gradients are complete.
"""
import json, os, torch, torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def ramp(shape, seed):
    n = 1
    for s in shape:
        n *= s
    i = torch.arange(n, dtype=torch.float64)
    # Irrational steps: no two elements alike, no ties for a max-pool.
    return (((i * 0.6180339887498949 + seed * 0.7548776662466927) % 1.0) * 2 - 1).reshape(shape)


def same(i, k, s):
    total = max((-(-i // s) - 1) * s + k - i, 0)
    return total // 2, total - total // 2


cases = []


def case(name, op, x_shape, params, run, buffers=None, eval_mode=False):
    x = ramp(x_shape, 1).float().double().requires_grad_()
    ps = {k: (ramp(s, 2 + j) * 0.5).float().double().requires_grad_() for j, (k, s) in enumerate(params.items())}
    bs = {k: (ramp(s, 20 + j) * 0.25 + (1.0 if "var" in k else 0.0)).float().double() for j, (k, s) in enumerate((buffers or {}).items())}
    before = {k: v.clone() for k, v in bs.items()}
    y = run(x, ps, bs)
    dy = ramp(y.shape, 9).float().double()
    (y * dy).sum().backward()
    flat = lambda t: [float(f"{v:.9g}") for v in t.detach().reshape(-1).tolist()]
    cases.append({"name": name, "op": op, "eval": eval_mode, "x_shape": list(x_shape), "x": flat(x), "y": flat(y), "dy": flat(dy),
                  "dx": flat(x.grad), "params": {k: flat(v) for k, v in ps.items()}, "grads": {k: flat(v.grad) for k, v in ps.items()},
                  "buffers": {k: flat(v) for k, v in before.items()}, "buffers_after": {k: flat(v) for k, v in bs.items()}})


def conv(name, n, ci, h, w, co, k, s, pads, groups, bias):
    def run(x, p, b):
        t, l, bo, r = pads if pads != "same" else (same(h, k, s)[0], same(w, k, s)[0], same(h, k, s)[1], same(w, k, s)[1])
        return F.conv2d(F.pad(x, (l, r, t, bo)), p["weight"], p.get("bias"), stride=s, groups=groups)
    params = {"weight": (co, ci // groups, k, k)}
    if bias:
        params["bias"] = (co,)
    case(name, {"kind": "Conv", "out": co, "kernel": k, "stride": s, "pads": pads, "groups": groups, "bias": bias}, (n, ci, h, w), params, run)


conv("conv 3x3", 2, 3, 5, 6, 4, 3, 1, [1, 1, 1, 1], 1, False)
conv("conv 3x3 stride 2 with bias", 2, 3, 6, 5, 5, 3, 2, [1, 1, 1, 1], 1, True)
conv("conv 7x7 stride 2", 1, 3, 9, 9, 2, 7, 2, [3, 3, 3, 3], 1, False)
conv("conv 1x1", 3, 4, 3, 3, 5, 1, 1, [0, 0, 0, 0], 1, False)
conv("conv 1x1 stride 2", 2, 3, 5, 4, 4, 1, 2, [0, 0, 0, 0], 1, False)
conv("conv with four pads", 1, 2, 5, 5, 3, 3, 2, [0, 1, 2, 1], 1, False)
conv("depthwise 3x3", 2, 5, 4, 4, 5, 3, 1, [1, 1, 1, 1], 5, False)
conv("depthwise 3x3 stride 2 same", 2, 4, 6, 5, 4, 3, 2, "same", 4, False)
conv("depthwise 5x5 stride 2 same", 1, 3, 8, 8, 3, 5, 2, "same", 3, False)
conv("conv in two groups", 1, 4, 4, 4, 6, 3, 1, [1, 1, 1, 1], 2, False)

for training in (True, False):
    def run(x, p, b):
        return F.batch_norm(x, b["running_mean"], b["running_var"], p["weight"], p["bias"], training, 0.1, 1e-5)
    case("batch-norm " + ("train" if training else "eval"), {"kind": "BatchNormalization"}, (3, 4, 3, 2),
         {"weight": (4,), "bias": (4,)}, run, {"running_mean": (4,), "running_var": (4,)}, not training)

case("relu", {"kind": "Relu"}, (2, 3, 3, 3), {}, lambda x, p, b: F.relu(x))
case("clip", {"kind": "Clip", "min": -0.5, "max": 0.25}, (2, 3, 3, 3), {}, lambda x, p, b: F.hardtanh(x, -0.5, 0.25))
case("add", {"kind": "Add"}, (2, 3, 2, 2), {}, lambda x, p, b: F.relu(x) + x)
case("max-pool 3x3 stride 2", {"kind": "MaxPool"}, (2, 3, 7, 6), {}, lambda x, p, b: F.max_pool2d(x, 3, 2, 1))
case("average pool", {"kind": "GlobalAveragePool"}, (2, 3, 4, 5), {}, lambda x, p, b: x.mean((2, 3)))
case("linear", {"kind": "Gemm", "out": 4}, (3, 5, 1, 1), {"weight": (4, 5), "bias": (4,)},
     lambda x, p, b: F.linear(x.reshape(3, 5), p["weight"], p["bias"]))
case("log-softmax", {"kind": "LogSoftmax"}, (4, 3, 1, 1), {}, lambda x, p, b: F.log_softmax(x.reshape(4, 3), 1))

with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "operators.json"), "w") as f:
    json.dump({"torch": torch.__version__, "cases": cases}, f, separators=(",", ":"))
print(len(cases), "cases")
