"""Writes trees.json: what scikit-learn's boosted trees say of made-up numbers, for crates/lungfish/src/trees.rs.

    python trees.py          (numpy, scikit-learn 1.9)
"""

import json
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

random = np.random.default_rng(7)


def case(name, films, table_of):
    table, new = (np.round(table_of(n), 4) for n in (films, 40))
    slope = random.normal(size=table.shape[1])
    score = table @ slope / np.abs(table @ slope).mean() + 0.5 * np.sin(3 * table[:, 0])
    has = (score + random.logistic(size=films) * 0.7 > np.median(score)).astype(int)
    model = HistGradientBoostingClassifier(max_iter=100, early_stopping=False).fit(table, has)
    return dict(name=name, columns=table.shape[1], table=table.ravel().tolist(), has=has.tolist(), new=new.ravel().tolist(),
                logits=model.decision_function(new).tolist())


cases = [
    # More different numbers than bins, so that they are divided at percentiles.
    case("many values", 700, lambda n: random.normal(size=(n, 3))),
    case("few values", 300, lambda n: random.integers(0, 9, size=(n, 4)).astype(float)),
    case("both kinds", 400, lambda n: np.column_stack([random.gamma(2.0, size=n), random.integers(0, 3, n), random.normal(size=n)])),
    case("few films", 60, lambda n: random.normal(size=(n, 2))),
]
Path(__file__).with_suffix(".json").write_text(json.dumps({"cases": cases}) + "\n")
