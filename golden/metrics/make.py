"""Writes cases.json: figures by scikit-learn and torch for lungfish-metrics to be compared with.

Run with: python golden/metrics/make.py   (needs numpy, scikit-learn, torch)
A figure that is undefined is null. Tolerance of the comparison: 1e-12 relative, all arithmetic is float64.
"""

import json
import pathlib
import warnings

import numpy as np
import sklearn
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support, roc_auc_score

warnings.filterwarnings("ignore")


def or_null(values):
    return [None if np.isnan(v) else float(v) for v in values]


def auc(labels, scores):
    """Binary AUC, None where one of the two classes is absent."""
    return float(roc_auc_score(labels, scores)) if len(set(labels)) == 2 else None


def case(name, classes, labels, probabilities):
    labels, probabilities = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    predicted = probabilities.argmax(axis=1)
    every = list(range(classes))
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=every, zero_division=np.nan
    )
    if classes == 2:
        area = auc(labels, probabilities[:, 1])
    elif set(labels) == set(every):
        area = float(roc_auc_score(labels, probabilities, multi_class="ovr", average="macro", labels=every))
    else:
        area = None
    nll = torch.nn.functional.nll_loss(torch.from_numpy(np.log(probabilities)), torch.from_numpy(labels))
    return {
        "name": name,
        "classes": classes,
        "labels": labels.tolist(),
        "probabilities": probabilities.ravel().tolist(),
        "predicted": predicted.tolist(),
        "accuracy": float(accuracy_score(labels, predicted)),
        "confusion": confusion_matrix(labels, predicted, labels=every).tolist(),
        "precision": or_null(precision),
        "recall": or_null(recall),
        "f1": or_null(f1),
        "support": [int(s) for s in support],
        "auc": area,
        "nll": float(nll),
    }


def drawn(rng, classes, films, levels=None, present=None):
    labels = rng.choice(present if present is not None else classes, size=films)
    logits = rng.normal(size=(films, classes))
    logits[np.arange(films), labels] += 1.0
    if levels:  # few different scores, so many ties
        logits = np.round(logits * levels) / levels
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    if levels:
        p = np.round(p * 8 + 0.5) / 16
        p /= p.sum(axis=1, keepdims=True)
    return labels, p


rng = np.random.default_rng(12)
cases = [
    case("binary", 2, *drawn(rng, 2, 60)),
    case("binary with ties", 2, *drawn(rng, 2, 60, levels=2)),
    case("binary, every score equal", 2, [0, 1, 1, 0, 1], [[0.5, 0.5]] * 5),
    case("binary, perfect", 2, [0, 0, 1, 1], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]),
    case("binary, all wrong", 2, [1, 1, 0, 0], [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.1, 0.9]]),
    case("binary, one class absent", 2, *drawn(rng, 2, 20, present=[1])),
    case("binary, a class never predicted", 2, [0, 1, 0], [[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]]),
    case("binary, one film", 2, [1], [[0.25, 0.75]]),
    case("three classes", 3, *drawn(rng, 3, 60)),
    case("three classes with ties", 3, *drawn(rng, 3, 60, levels=1)),
    case("three classes, one absent", 3, *drawn(rng, 3, 30, present=[0, 2])),
    case("five classes", 5, *drawn(rng, 5, 80)),
]
out = {"scikit-learn": sklearn.__version__, "torch": torch.__version__, "cases": cases}
path = pathlib.Path(__file__).with_name("cases.json")
path.write_text(json.dumps(out) + "\n")
print(path, path.stat().st_size, "bytes")
