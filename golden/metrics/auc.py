"""Writes auc.json: AUCs with variances, intervals and tests, independent and clustered, for lungfish-metrics to be
compared with.

Run with: python golden/metrics/auc.py   (needs numpy; R with pROC, survey and jsonlite for auc.R beside it)
DeLong's variance, interval and paired test are pROC's; the clustered proportion's variance and Korn and Graubard's
interval are survey's. Obuchowski's variance and Janes and Pepe's AUC are computed here from the formulas of the papers,
over all pairs of films. What is undefined is null. Tolerance of the comparison: 1e-10, R writes 15 digits.
"""

import json
import pathlib
import subprocess
import tempfile

import numpy as np

rng = np.random.default_rng(41)
HERE = pathlib.Path(__file__).parent


def films(count, share, levels=None, better=1.5, mixed=0.6, largest=1):
    """Two scores of the same films, correlated, of patients of up to `largest` films that are alike."""
    positive = np.zeros(count, dtype=bool)
    positive[: max(2, round(count * share))] = True
    rng.shuffle(positive)
    patient = np.repeat(np.arange(count), rng.integers(1, largest + 1, count))[:count]
    common = rng.normal(size=count)[patient] * (0.7 if largest > 1 else 0)
    base = rng.normal(size=count)
    draw = lambda strength: mixed * base + (1 - mixed) * rng.normal(size=count) + common + strength * positive
    first, second = draw(better), draw(0.7 * better)
    if levels:
        first, second = np.round(first * levels) / levels, np.round(second * levels) / levels
    drawn = {"positive": positive, "first": first, "second": second, "patient": patient}
    return {name: values.tolist() for name, values in drawn.items()}


def named(name, drawn):
    return {"name": name, **drawn}


auc = [
    named("different scores", films(60, 0.5)),
    named("ties", films(60, 0.4, levels=2)),
    named("few scores", films(40, 0.5, levels=0.5)),
    named("two positives", films(40, 0.05)),
    named("three hundred", films(300, 0.3)),
    named("patients", films(80, 0.4, largest=5)),
    named("patients and ties", films(120, 0.5, levels=2, largest=4)),
    named("weak", films(50, 0.5, better=0.1, largest=3)),
    named("worse than chance", films(50, 0.5, better=-2.0, largest=3)),
    named("nearly perfect", films(30, 0.5, better=2.2, mixed=0.5)),
    named("one perfect", {
        "positive": [False] * 4 + [True] * 4, "first": [0, 1, 2, 3, 4, 5, 6, 7], "second": [3, 1, 4, 1, 5, 0, 2, 6],
        "patient": [0, 0, 1, 2, 3, 2, 4, 5]}),
    named("beyond 0 and 1", {
        "positive": [False, True, False, True, True, False], "first": [-3.5, 0.0, 0.0, 12.0, -3.5, 1e300],
        "second": [1, 2, 3, 4, 5, 6], "patient": [0, 1, 2, 3, 3, 0]}),
]
share = []
for count, largest, level in [(30, 3, 0.8), (100, 5, 0.9), (400, 6, 0.7), (60, 2, 0.95)]:
    # All films of a patient alike but for a few: the design effect is above 1.
    patient = np.repeat(np.arange(count), rng.integers(1, largest + 1, count))[:count]
    alike = (rng.random(count) < level)[patient]
    share.append({"is": (alike ^ (rng.random(count) < 0.05)).tolist(), "cluster": patient.tolist()})


def by_pairs(positive, scores):
    positive, scores = np.asarray(positive), np.asarray(scores, dtype=np.float64)
    x, y = scores[positive], scores[~positive]
    won = (x[:, None] > y[None, :]) + 0.5 * (x[:, None] == y[None, :])
    return won.mean(), won.mean(axis=1), won.mean(axis=0)


def obuchowski(case):
    """Obuchowski 1997: variances of two AUCs of clustered films and their covariance, over all pairs of films."""
    positive, patient = np.asarray(case["positive"]), np.asarray(case["patient"])
    ids = np.unique(patient)
    both = [by_pairs(positive, case["first"]), by_pairs(positive, case["second"])]
    m, n = positive.sum(), (~positive).sum()
    with_positive = np.array([(patient[positive] == i).any() for i in ids])
    with_negative = np.array([(patient[~positive] == i).any() for i in ids])
    i10, i01, i = with_positive.sum(), with_negative.sum(), len(ids)
    if min(i10, i01) < 2:
        return None
    deviations = []
    for area, v10, v01 in both:
        sums10 = np.array([(v10[patient[positive] == i] - area).sum() for i in ids])
        sums01 = np.array([(v01[patient[~positive] == i] - area).sum() for i in ids])
        deviations.append((sums10, sums01))

    def covariance(a, b):
        s10 = i10 / ((i10 - 1) * m) * (deviations[a][0] * deviations[b][0])[with_positive].sum()
        s01 = i01 / ((i01 - 1) * n) * (deviations[a][1] * deviations[b][1])[with_negative].sum()
        s11 = i / (i - 1) * (deviations[a][0] * deviations[b][1]).sum()
        s11_turned = i / (i - 1) * (deviations[b][0] * deviations[a][1]).sum()
        return s10 / m + s01 / n + (s11 + s11_turned) / (m * n)

    first, second, common = covariance(0, 0), covariance(1, 1), covariance(0, 1)
    return {"first": first, "second": second, "difference": first + second - 2 * common}


def janes_pepe(case):
    """The mean placement of the positive films among the negative ones of their own stratum (Janes and Pepe 2009)."""
    positive, scores = np.asarray(case["positive"]), np.asarray(case["first"], dtype=np.float64)
    strata = np.asarray(case["patient"]) % 3
    placed = []
    for film in np.flatnonzero(positive):
        others = scores[~positive & (strata == strata[film])]
        if len(others):
            placed.append((scores[film] > others).mean() + 0.5 * (scores[film] == others).mean())
    return {"auc": float(np.mean(placed)), "left_out": int(positive.sum() - len(placed))}


with tempfile.TemporaryDirectory() as folder:
    drawn, found = pathlib.Path(folder, "in.json"), pathlib.Path(folder, "out.json")
    # As lists of cases, which R would otherwise make tables of.
    numbered = lambda cases: {str(i): case for i, case in enumerate(cases)}
    drawn.write_text(json.dumps({"auc": numbered(auc), "share": numbered(share)}))
    subprocess.run(["Rscript", HERE / "auc.R", drawn, found], check=True)
    by_r = json.loads(found.read_text())

golden = {"pROC": by_r["pROC"], "survey": by_r["survey"]}
golden["auc"] = [
    {**case, "pairs": [by_pairs(case["positive"], case[s])[0] for s in ("first", "second")],
     "delong": by_r["auc"][str(i)], "obuchowski": obuchowski(case), "adjusted": janes_pepe(case)}
    for i, case in enumerate(auc)
]
golden["share"] = [{**case, "survey": by_r["share"][str(i)]} for i, case in enumerate(share)]
path = HERE / "auc.json"
path.write_text(json.dumps(golden) + "\n")
print(path, path.stat().st_size, "bytes")
