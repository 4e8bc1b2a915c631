"""How a tested run does on the films where the look of a film misleads.

    lungfish train --data DIR --out RUN ...; lungfish test --data DIR --model RUN
    python bench/stress.py --data DIR RUN [RUN ...]          (numpy, Pillow, scikit-learn)

Ten statistics of an image, in which no lung is looked at, are fitted to the labels of a run's training films by boosted trees.
The stress set is those of its test films on which they are wrong or undecided (0.2 to 0.8): who is right there has learnt
more than how films were taken. Two classes; the second is the positive one.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

SIDE = 224


def statistics(path):
    """Sharpness, sharpness by contrast, dark, burnt-out, contrast, coarse contrast, high and middle frequencies, blocks, mean."""
    image = Image.open(path).convert("L")
    x = np.asarray(image if image.size == (SIDE, SIDE) else image.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float64)
    inner = x[1:-1, 1:-1]
    sharpness = np.abs(4 * inner - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]).mean()
    coarse = x.reshape(SIDE // 8, 8, SIDE // 8, 8).mean((1, 3)).std()
    steps = np.abs(np.diff(x, axis=1))
    power = np.fft.fftshift(np.abs(np.fft.fft2(x - x.mean())))
    rows, columns = np.mgrid[-SIDE // 2 : SIDE // 2, -SIDE // 2 : SIDE // 2]
    radius = np.hypot(rows, columns)
    low = power[radius < 20].mean() + 1e-9
    return [
        sharpness,
        sharpness / (x.std() + 1e-9),
        (x < 10).mean(),
        (x > 245).mean(),
        x.std(),
        coarse,
        power[radius > 80].mean() / low,
        power[(radius > 30) & (radius < 60)].mean() / low,
        steps[:, 7::8].mean() / (steps.mean() + 1e-9),
        x.mean(),
    ]


def metrics(truth, p):
    sensitivity, specificity = (p[truth == 1] >= 0.5).mean(), (p[truth == 0] < 0.5).mean()
    right = np.clip(np.where(truth == 1, p, 1 - p), 1e-7, 1)
    both = 0 < truth.sum() < len(truth)
    return dict(films=len(truth), accuracy=((p >= 0.5) == truth).mean(), sensitivity=sensitivity, specificity=specificity,
                auc=roc_auc_score(truth, p) if both else float("nan"), nll=-np.log(right).mean(), ece=calibration_error(truth, p))


def calibration_error(truth, p, bins=10):
    """Of the called class, bins of equally many films."""
    sure, right = np.maximum(p, 1 - p), (p >= 0.5) == truth
    parts = np.array_split(np.argsort(sure), bins)
    return sum(len(i) * abs(sure[i].mean() - right[i].mean()) for i in parts if len(i)) / len(p)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("runs", type=Path, nargs="+")
    args = parser.parse_args()
    known = {}

    def table(films):
        for film in films:
            if film not in known:
                known[film] = statistics(args.data / film)
        return np.array([known[film] for film in films])

    for run in args.runs:
        rows = list(csv.DictReader((run / "split.csv").open()))
        names = sorted({row["label"] for row in rows})
        label = {row["path"]: names.index(row["label"]) for row in rows}
        train, test = ([row["path"] for row in rows if row["split"] == split] for split in ("train", "test"))
        trees = HistGradientBoostingClassifier(max_iter=100, random_state=0)
        trees.fit(table(train), [label[film] for film in train])
        looks = trees.predict_proba(table(test))[:, 1]
        said = {row["path"]: float(row[names[1]]) for row in csv.DictReader((run / "predictions-test.csv").open())}
        by_name = {path: p for path, p in said.items()}
        p = np.array([by_name[film] if film in by_name else by_name[str(args.data / film)] for film in test])
        truth = np.array([label[film] for film in test])
        stress = ((looks >= 0.5) != truth) | ((looks > 0.2) & (looks < 0.8))
        print(f"{run}: the ten statistics alone have an AUC of {roc_auc_score(truth, looks):.3f} on its test films")
        for name, films in (("all", np.ones(len(test), bool)), ("stress", stress), ("rest", ~stress)):
            print(f"  {name:7s}" + "  ".join(f"{key} {value:.4f}" if key != "films" else f"{value:4d} films"
                                             for key, value in metrics(truth[films], p[films]).items()))


if __name__ == "__main__":
    main()
