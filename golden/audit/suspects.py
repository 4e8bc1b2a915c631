"""Writes suspects.json: which labels cleanlab doubts, for crates/lungfish/src/audit/suspects.rs.

    python suspects.py          (numpy, cleanlab 2)

Confident learning (Northcutt, Jiang and Chuang 2021): the films off the diagonal of the confident joint, ranked by self-confidence.
"""

import json
from pathlib import Path

import numpy as np
from cleanlab.filter import find_label_issues

random = np.random.default_rng(3)
cases = []
for name, films, classes, wrong in [("two classes", 120, 2, 0.08), ("four classes", 200, 4, 0.1), ("nothing wrong", 60, 3, 0.0)]:
    truth = np.concatenate([np.arange(classes)] * 3 + [random.choice(classes, films - 3 * classes, p=random.dirichlet(np.ones(classes) * 4))])
    labels = np.where(random.random(films) < wrong, random.integers(0, classes, films), truth)
    labels[: 3 * classes] = truth[: 3 * classes]
    scores = random.normal(size=(films, classes)) + (3.0 if wrong else 9.0) * np.eye(classes)[truth]
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    p = np.round(p, 6)
    p /= p.sum(1, keepdims=True)
    found = find_label_issues(labels, p, filter_by="confident_learning", return_indices_ranked_by="self_confidence", n_jobs=1)
    cases.append(dict(name=name, classes=classes, labels=labels.tolist(), probabilities=p.ravel().tolist(), suspects=found.tolist()))
    print(name, len(found))
(Path(__file__).parent / "suspects.json").write_text(json.dumps({"cases": cases}) + "\n")
