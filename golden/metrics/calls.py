"""Writes calls.json: figures of calls at a cut for lungfish-metrics to be compared with.

Run with: python golden/metrics/calls.py   (needs numpy, scikit-learn, statsmodels, confidenceinterval)
What is undefined is null, where scikit-learn says 0 with a warning or a number that is not one. Tolerance of the
comparison: 1e-12 relative, all arithmetic is float64.
"""

import json
import pathlib
import warnings

import confidenceinterval
import numpy as np
import sklearn
import statsmodels
from sklearn.metrics import (
    accuracy_score, balanced_accuracy_score, class_likelihood_ratios, cohen_kappa_score, confusion_matrix, f1_score,
    matthews_corrcoef, precision_score, recall_score,
)
from statsmodels.stats.inter_rater import cohens_kappa

warnings.filterwarnings("ignore")


def case(name, positive, scores, cut):
    positive, scores = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64)
    called = scores >= cut
    (tn, fp), (fn, tp) = confusion_matrix(positive, called, labels=[False, True])
    both, called_both = bool(tp + fn and tn + fp), bool(tp + fp and tn + fn)
    value = lambda of, defined: float(of(positive, called)) if defined else None
    plus, minus = class_likelihood_ratios(positive, called, labels=[False, True], replace_undefined_by=np.nan)
    finite = lambda x: float(x) if np.isfinite(x) else None
    out = {
        "name": name, "positive": positive.tolist(), "scores": scores.tolist(), "cut": cut,
        "counts": [int(tp), int(fp), int(tn), int(fn)],
        "sensitivity": value(recall_score, tp + fn > 0),
        "specificity": value(lambda y, p: recall_score(~y, ~p), tn + fp > 0),
        "ppv": value(precision_score, tp + fp > 0),
        "npv": value(lambda y, p: precision_score(~y, ~p), tn + fn > 0),
        "accuracy": value(accuracy_score, True),
        "balanced_accuracy": value(balanced_accuracy_score, both),
        "youden": value(lambda y, p: balanced_accuracy_score(y, p, adjusted=True), both),
        "f1": value(f1_score, 2 * tp + fp + fn > 0),
        "matthews": value(matthews_corrcoef, both and called_both),
        "kappa": value(cohen_kappa_score, both or called_both),
        "plus": finite(plus) if both and fp > 0 else None,
        "minus": finite(minus) if both and tn > 0 else None,
    }
    if out["kappa"] is not None:
        assert abs(out["kappa"] - cohens_kappa([[tn, fp], [fn, tp]]).kappa) < 1e-12
    if both:
        # Sensitivity with Wilson's interval, as that package has it, which adds 1e-7 to the denominator of the share.
        share, interval = confidenceinterval.tpr_score(positive.astype(int), called.astype(int), method="wilson")
        assert abs(share - out["sensitivity"]) < 1e-6
        out["sensitivity_wilson"] = [float(v) for v in interval]
    return out


rng = np.random.default_rng(43)


def drawn(films, share):
    positive = rng.random(films) < share
    return positive, np.round(1 / (1 + np.exp(-(rng.normal(size=films) + 1.5 * positive - 0.7))), 2)


cases = [
    case("even", *drawn(80, 0.5), 0.5),
    case("few positives", *drawn(120, 0.1), 0.7),
    case("low cut", *drawn(60, 0.6), 0.2),
    case("all called positive", *drawn(30, 0.5), 0.0),
    case("none called positive", *drawn(30, 0.5), 1.5),
    case("no false alarm", [0, 0, 1, 1], [0.1, 0.2, 0.4, 0.9], 0.3),
    case("all wrong", [1, 1, 0, 0], [0.1, 0.2, 0.4, 0.9], 0.3),
    case("no negative", [1, 1, 1], [0.2, 0.9, 0.2], 0.5),
    case("no positive", [0, 0], [0.2, 0.9], 0.5),
    case("one film", [1], [0.8], 0.8),
]
versions = {"scikit-learn": sklearn.__version__, "statsmodels": statsmodels.__version__}
path = pathlib.Path(__file__).with_name("calls.json")
path.write_text(json.dumps({**versions, "cases": cases}) + "\n")
print(path, path.stat().st_size, "bytes")
