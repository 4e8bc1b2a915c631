"""Writes bootstrap.json: intervals of given resamples for lungfish-metrics to be compared with.

Run with: python golden/metrics/bootstrap.py   (needs numpy, scipy)
Resamples are drawn by scipy here and by another generator there, so that what is compared is what is made of them: the
percentile interval, the bias-corrected and accelerated one, and the acceleration from leaving films out. Tolerance of
the comparison: 1e-10.
"""

import json
import pathlib

import numpy as np
import scipy
from scipy.stats import bootstrap

rng = np.random.default_rng(53)


def acceleration(samples, statistic):
    """Of one or several strata, as scipy's `_bca_interval` has it: from what is left without each value."""
    cubes = squares = 0.0
    for which, sample in enumerate(samples):
        n = len(sample)
        without = [
            statistic(*[np.delete(s, i) if j == which else s for j, s in enumerate(samples)]) for i in range(n)
        ]
        influence = (n - 1) * (np.mean(without) - np.array(without))
        cubes += (influence**3).sum() / n**3
        squares += (influence**2).sum() / n**2
    return cubes / squares**1.5 / 6


def case(name, samples, statistic, level):
    drawn = bootstrap(samples, statistic, n_resamples=499, vectorized=False, rng=rng, method="percentile")
    interval = {
        method: bootstrap(samples, statistic, n_resamples=0, bootstrap_result=drawn, vectorized=False,
                          confidence_level=level, method=method).confidence_interval
        for method in ("percentile", "BCa")
    }
    return {
        "name": name, "samples": [sample.tolist() for sample in samples], "level": level,
        "estimate": float(statistic(*samples)), "values": drawn.bootstrap_distribution.tolist(),
        "acceleration": float(acceleration(samples, statistic)), "standard_error": float(drawn.standard_error),
        "percentile": [float(v) for v in interval["percentile"]], "bca": [float(v) for v in interval["BCa"]],
    }


cases = [
    case("mean", (rng.exponential(size=25),), np.mean, 0.95),
    case("mean of 0 and 1", ((rng.random(30) < 0.8).astype(float),), np.mean, 0.95),
    case("deviation", (rng.lognormal(size=40),), np.std, 0.9),
    case("two strata", (rng.exponential(size=20), rng.normal(size=12)), lambda a, b: a.mean() - b.mean(), 0.95),
]
path = pathlib.Path(__file__).with_name("bootstrap.json")
path.write_text(json.dumps({"scipy": scipy.__version__, "cases": cases}) + "\n")
print(path, path.stat().st_size, "bytes")
