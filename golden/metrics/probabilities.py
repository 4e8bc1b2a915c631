"""Writes probabilities.json: Brier scores, calibration, temperatures and decision curves for lungfish-metrics to be
compared with.

Run with: python golden/metrics/probabilities.py   (needs numpy, scipy, scikit-learn, statsmodels, dcurves)
Reliability diagrams are scikit-learn's, lines on the logit statsmodels', decision curves dcurves'. Temperatures are
scipy's least values of the negative log-likelihood, good to some 1e-7 there. Murphy's parts and the calibration error
are computed here from the diagram. Tolerances of the comparison: 1e-12 for sums, 1e-8 for regressions, 1e-6 for
temperatures.
"""

import json
import pathlib
import warnings

import numpy as np
import pandas as pd
import scipy
import sklearn
import statsmodels
import statsmodels.api as sm
from dcurves import dca
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

warnings.filterwarnings("ignore")
rng = np.random.default_rng(47)
THRESHOLDS = [0.0, 0.01, 0.1, 0.25, 0.5, 0.6, 0.9, 0.99]


def decision(positive, p, prevalence):
    data = pd.DataFrame({"is": positive.astype(int), "model": p})
    curve = dca(data=data, outcome="is", modelnames=["model"], thresholds=THRESHOLDS, prevalence=prevalence)
    of = lambda name: curve[curve.model == name].sort_values("threshold").net_benefit.astype(float).tolist()
    return {"thresholds": THRESHOLDS, "prevalence": prevalence, "model": of("model"), "all": of("all")}


def least(loss):
    of_log = lambda log_t: loss(np.exp(log_t))
    found = minimize_scalar(of_log, bounds=np.log([0.1, 10]), method="bounded", options={"xatol": 1e-12})
    return float(np.exp(found.x)), float(found.fun)


def binary(name, films, share, slope, shift, bins):
    positive = rng.random(films) < share
    true_logit = rng.normal(size=films) + 1.6 * (positive - 0.5)
    logits = slope * true_logit + shift
    p = 1 / (1 + np.exp(-logits))
    out = {"name": name, "positive": positive.tolist(), "logits": logits.tolist(), "probabilities": p.tolist()}
    out["bins"] = bins
    out["brier"] = float(brier_score_loss(positive, p))

    shares, means = calibration_curve(positive, p, n_bins=bins, strategy="quantile")
    size, mean = films // bins, positive.mean()
    assert len(shares) == bins and films % bins == 0
    out["reliability"] = [means.tolist(), shares.tolist()]
    out["ece"] = float(np.abs(shares - means).mean())
    parts = [((means - shares) ** 2).mean(), ((shares - mean) ** 2).mean(), mean * (1 - mean)]
    out["murphy"] = [float(part) for part in parts]

    model = sm.Logit(positive.astype(float), sm.add_constant(logits))
    line = model.fit(disp=0, method="newton", tol=1e-14, maxiter=100)
    out["line"] = {
        "params": line.params.tolist(), "covariance": line.cov_params().tolist(),
        "slope_interval": line.conf_int()[1].tolist(),
    }
    large = sm.GLM(positive.astype(float), np.ones(films), family=sm.families.Binomial(), offset=logits).fit(tol=1e-14)
    out["large"] = [float(large.params[0]), float(large.cov_params()[0, 0])]

    loss = lambda t: np.logaddexp(0, np.where(positive, -1, 1) * logits / t).mean()
    out["temperature"], out["nll_after"] = least(loss)
    out["nll_before"] = float(log_loss(positive, p))
    out["decisions"] = [decision(positive, p, None), decision(positive, p, 0.02)]
    return out


def many(name, films, classes, scale):
    labels = rng.integers(0, classes, films)
    rows = log_softmax(scale * (rng.normal(size=(films, classes)) + 1.4 * np.eye(classes)[labels]), axis=1)
    loss = lambda t: -log_softmax(rows / t, axis=1)[np.arange(films), labels].mean()
    temperature, after = least(loss)
    return {
        "name": name, "classes": classes, "labels": labels.tolist(), "rows": rows.ravel().tolist(),
        "temperature": temperature, "nll_after": after, "nll_before": float(loss(1.0)),
    }


golden = {
    "scipy": scipy.__version__, "scikit-learn": sklearn.__version__, "statsmodels": statsmodels.__version__,
    "binary": [
        binary("too sure", 300, 0.4, 3.0, 0.0, 15),
        binary("not sure enough", 200, 0.5, 0.5, 0.3, 10),
        binary("about right", 100, 0.3, 1.6, -0.9, 5),
        binary("too low", 120, 0.6, 1.0, -3.0, 4),
    ],
    "many": [many("too sure", 90, 3, 3.0), many("not sure enough", 60, 5, 0.6), many("two", 80, 2, 2.0)],
}
path = pathlib.Path(__file__).with_name("probabilities.json")
path.write_text(json.dumps(golden) + "\n")
print(path, path.stat().st_size, "bytes")
