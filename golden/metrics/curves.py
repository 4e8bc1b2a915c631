"""Writes curves.json: ROC and precision-recall curves by scikit-learn for lungfish-metrics to be compared with.

Run with: python golden/metrics/curves.py   (needs numpy, scikit-learn)
A curve or area that is undefined is null, and so is the infinite threshold of a ROC curve's first point. Tolerance of
the comparison: 1e-12 relative, all arithmetic is float64.
"""

import json
import pathlib

import numpy as np
import sklearn
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve


def case(name, positive, scores):
    positive, scores = np.asarray(positive, dtype=bool), np.asarray(scores, dtype=np.float64)
    out = {"name": name, "positive": positive.tolist(), "scores": scores.tolist()}
    out["roc"] = out["precision_recall"] = out["auc"] = out["average_precision"] = None
    if positive.any() and not positive.all():
        false_positive, true_positive, thresholds = roc_curve(positive, scores, drop_intermediate=False)
        out["roc"] = [false_positive.tolist(), true_positive.tolist(), [None, *thresholds[1:].tolist()]]
        out["auc"] = float(roc_auc_score(positive, scores))
    if positive.any():
        precision, recall, thresholds = precision_recall_curve(positive, scores)
        out["precision_recall"] = [precision.tolist(), recall.tolist(), thresholds.tolist()]
        out["average_precision"] = float(average_precision_score(positive, scores))
    return out


rng = np.random.default_rng(31)


def drawn(films, share, levels=None):
    positive = rng.random(films) < share
    scores = 1 / (1 + np.exp(-(rng.normal(size=films) + 1.5 * positive)))
    return positive, np.round(scores * levels) / levels if levels else scores


cases = [
    case("different scores", *drawn(50, 0.5)),
    case("ties", *drawn(60, 0.4, levels=8)),
    case("few positives", *drawn(40, 0.1)),
    case("two scores", *drawn(30, 0.5, levels=1)),
    case("every score equal", [0, 1, 1, 0, 1], [0.5] * 5),
    case("perfect", [0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9]),
    case("all wrong", [1, 1, 0, 0], [0.1, 0.2, 0.7, 0.9]),
    case("beyond 0 and 1", [0, 1, 0, 1, 1], [-3.5, 0.0, -0.0, 12.0, -3.5]),
    case("no negative", [1, 1, 1], [0.2, 0.9, 0.2]),
    case("no positive", [0, 0], [0.2, 0.9]),
    case("two films", [1, 0], [0.8, 0.3]),
    case("one film", [1], [0.8]),
]
path = pathlib.Path(__file__).with_name("curves.json")
path.write_text(json.dumps({"scikit-learn": sklearn.__version__, "cases": cases}) + "\n")
print(path, path.stat().st_size, "bytes")
