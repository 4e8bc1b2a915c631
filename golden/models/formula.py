"""Weights, inputs and sample positions by formula, the same bits here and in Rust.

Everything starts from integers: element i of the tensor called `name` is
    k = splitmix64(fnv1a64(name) + i * 0x9e3779b97f4a7c15) >> 40          (24 bits)
    v = k / 2^23 - 1                                                     (in [-1, 1), exact in f32)
and is then scaled in float64 and rounded once to float32.
"""

import numpy as np

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
SAMPLES = 256


def splitmix64(x):
    with np.errstate(over="ignore"):
        z = x + GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def fnv1a64(name):
    h = 0xCBF29CE484222325
    for b in name.encode():
        h = (h ^ b) * 0x100000001B3 % 2**64
    return np.uint64(h)


def unit(name, n):
    """n float64 values in [-1, 1) for the tensor called `name`."""
    with np.errstate(over="ignore"):
        x = fnv1a64(name) + np.arange(n, dtype=np.uint64) * GOLDEN
    return (splitmix64(x) >> np.uint64(40)).astype(np.float64) / 2**23 - 1


def tensor(name, shape, gain, shift, last):
    """A parameter or running statistic, float32.

    gain multiplies batch-norm scales; shift is the mean of every bias, running variances follow it.
    last is how the batch-norm that ends a residual branch is called; its scale is a quarter, as a
    deep network of equal branches would magnify rounding beyond what can be compared.
    """
    n = int(np.prod(shape))
    v = unit(name, n)
    if name.endswith("running_mean"):
        v = 0.1 * v
    elif name.endswith("running_var"):
        v = (1 + shift) ** 2 * (1 + 0.5 * v)
    elif len(shape) > 1:  # uniform with variance 2 / fan_in, less in the head
        v = v * np.sqrt(6 / (n // shape[0])) * (0.3 if len(shape) == 2 else 1)
    elif name.endswith(".weight"):
        v = (0.25 if name.endswith(f"{last}.weight") else gain) * (0.75 + 0.25 * v)
    else:
        v = shift + 0.1 * v
    return v.astype(np.float32).reshape(shape)


def pixels(name, n, side):
    """A batch [n, 3, side, side], float32 in [-2, 2): blocks of 32 pixels, of 8, and noise."""
    out = np.zeros((n, 3, side, side))
    for block, weight in ((32, 1.0), (8, 0.5), (1, 0.5)):
        k = -(-side // block)
        v = unit(f"{name}.{block}", n * 3 * k * k).reshape(n, 3, k, k)
        out += weight * v.repeat(block, 2).repeat(block, 3)[:, :, :side, :side]
    return out.astype(np.float32)


def positions(n, samples=SAMPLES):
    """Which elements of a tensor of n are kept, where at most so many are."""
    if n <= samples:
        return np.arange(n)
    return (splitmix64(np.arange(samples, dtype=np.uint64)) % np.uint64(n)).astype(np.int64)
