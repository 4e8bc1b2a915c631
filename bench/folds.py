"""Recipes compared on films of train alone: folds by patient, seeds, and the films where the look of a film misleads.

    cargo build --release
    python bench/folds.py --data DIR --out OUT --folds 5 --seeds 3 \\
        notebook:augment=notebook robust ema:ema_decay=0.99          (numpy, Pillow, scikit-learn)

DIR holds class folders (of two classes, sorted by name; the second is the positive one). Each fold's films are the validation
split of a training on the others; a recipe is NAME or NAME:KEY=VALUE,KEY=VALUE over the defaults with --set of all of them.
What is told of each recipe, as mean and standard deviation over folds and seeds: the metrics on the fold's films as they are
and augmented (of the epoch that was kept; the fold chose it, for every recipe alike), and on the stress set, which are those
of its films on which trees fitted to ten statistics of the other films (bench/stress.py) are wrong or undecided. What is
finished in OUT is not trained again, so that a comparison can be broken off and widened.
"""

import argparse
import collections
import json
import os
import random
import re
import subprocess
import time
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from stress import metrics, statistics

PATIENT = re.compile(r"^(person\d+_(?:bacteria|virus)|(?:NORMAL2-)?IM-\d+)[-_]")


def folds_of(data, count):
    """The fold of each film, whole patients, the classes evenly."""
    patients = collections.defaultdict(list)
    for path in sorted(data.glob("*/*")):
        match = PATIENT.match(path.name)
        patients[path.parent.name, match.group(1) if match else path.stem].append(path)
    keys = sorted(patients)
    random.Random(12).shuffle(keys)
    load, fold = collections.Counter(), {}
    for label, patient in sorted(keys, key=lambda key: -len(patients[key])):
        least = min(range(count), key=lambda index: load[label, index])
        load[label, least] += len(patients[label, patient])
        fold.update((path, least) for path in patients[label, patient])
    return fold


def link(fold, out, count):
    for index in range(count):
        for path, own in fold.items():
            place = out / f"fold-{index}" / ("val" if own == index else "train") / path.parent.name / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.is_symlink():
                os.symlink(path.resolve(), place)


def looks_of(fold, out, count, names):
    """What the ten statistics alone say of each film, fitted on the other folds."""
    kept = out / "looks.json"
    if kept.exists():
        return json.loads(kept.read_text())
    films = sorted(fold)
    table = np.array([statistics(film) for film in films])
    truth = np.array([names.index(film.parent.name) for film in films])
    of = np.array([fold[film] for film in films])
    says = np.zeros(len(films))
    for index in range(count):
        trees = HistGradientBoostingClassifier(max_iter=100, random_state=0).fit(table[of != index], truth[of != index])
        says[of == index] = trees.predict_proba(table[of == index])[:, 1]
    looks = {f"{film.parent.name}/{film.name}": says[i] for i, film in enumerate(films)}
    kept.write_text(json.dumps(looks))
    return looks


def trained(program, settings, fold, run, threads):
    """Trains where that is not done, and scores the fold's films."""
    scores = run.with_suffix(".jsonl")
    if not scores.exists():
        begun = time.time()
        command = [program, *threads, "train", "--data", fold, "--out", run]
        command += ["--resume"] if (run / "recipe.toml").exists() else ["--set", "test_fraction=0"]
        command += [part for setting in settings for part in ("--set", setting)]
        subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)
        said = subprocess.run([str(program), *threads, "predict", "--model", str(run), str(fold / "val"), "--json"],
                              check=True, capture_output=True, text=True).stdout
        (run / "seconds").write_text(str(time.time() - begun))
        scores.write_text(said)
    return [row for row in map(json.loads, scores.read_text().splitlines()) if "probabilities" in row]


def measured(run, rows, names, looks):
    key = ["/".join(Path(row["path"]).parts[-2:]) for row in rows]
    truth = np.array([names.index(name.split("/")[0]) for name in key])
    p = np.array([row["probabilities"][names[1]] for row in rows])
    look = np.array([looks[name] for name in key])
    stress = ((look >= 0.5) != truth) | ((look > 0.2) & (look < 0.8))
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    kept = min((line for line in log if line["epoch"] > 0 and line.get("robust")), key=lambda line: line["robust"]["choice"])
    plain, hard, seen = metrics(truth, p), metrics(truth[stress], p[stress]), kept["robust"]
    both = lambda m: (m["sensitivity"] + m["specificity"]) / 2
    return {"AUC": plain["auc"], "both classes": both(plain), "NLL": plain["nll"], "ECE": plain["ece"],
            "augmented AUC": seen["auc"], "augmented NLL": seen["loss"], "stress AUC": hard["auc"],
            "stress, both classes": both(hard), "seconds": float((run / "seconds").read_text())}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5, help="folds that are made")
    parser.add_argument("--only", type=int, nargs="*", help="folds that are trained, where not all are")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE for every recipe")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--program", type=Path, default=Path("target/release/lungfish"))
    parser.add_argument("recipes", nargs="+", metavar="NAME[:KEY=VALUE,...]")
    args = parser.parse_args()
    fold = folds_of(args.data, args.folds)
    names = sorted({film.parent.name for film in fold})
    link(fold, args.out, args.folds)
    looks = looks_of(fold, args.out, args.folds, names)
    truth = [names.index(name.split("/")[0]) for name in looks]
    print(f"{len(fold)} films; the ten statistics alone have an AUC of {roc_auc_score(truth, list(looks.values())):.3f}\n")
    threads = ["--threads", str(args.threads)] if args.threads else []
    head = None
    for recipe in args.recipes:
        name, _, settings = recipe.partition(":")
        settings = args.set + [setting for setting in settings.split(",") if setting]
        found = []
        for index in args.only or range(args.folds):
            for seed in range(args.seeds):
                run = args.out / f"{name}-{index}-{seed}"
                rows = trained(args.program, [*settings, f"seed={seed}"], args.out / f"fold-{index}", run, threads)
                found.append(measured(run, rows, names, looks))
        if head is None:
            head = list(found[0])
            print("| recipe | trainings | " + " | ".join(head) + " |\n|-|-|" + "-|" * len(head))
        cells = []
        for key in head:
            values = np.array([one[key] for one in found])
            digits = 0 if key == "seconds" else 4
            spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{values.mean():.{digits}f}{spread}")
        print(f"| {name} | {len(found)} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
