#!/usr/bin/env python3
"""Trains on real films to the end, tests, and times the same recipe in PyTorch on some of them; prints it as Markdown.

EfficientNet-Lite0 from ImageNet's weights, films squashed to 224 pixels, otherwise the default recipe: ten epochs with
all but the head frozen, then all parts. The films lie in DIR/train/{CLASS}/*; validation and test are carved out of them.
"""

import argparse
import csv
import json
import os
import pathlib
import resource
import shlex
import subprocess
import sys
import time

BENCH = pathlib.Path(__file__).resolve().parent


def run(command, keep):
    """Runs a command to its end: its standard output where it is kept, and seconds."""
    print("$ " + shlex.join(map(str, command)), file=sys.stderr, flush=True)
    begun = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE if keep else sys.stderr, text=True, check=True)
    return done.stdout, time.perf_counter() - begun


def figure(value):
    return "-" if value is None else f"{value:.4f}"


def pace(records):
    """Films a second over epochs, from films a second and seconds of each."""
    return sum(r["films_per_s"] * r["seconds"] for r in records) / sum(r["seconds"] for r in records)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", BENCH.parent / "target")) / "release/lungfish"
parser.add_argument("--lungfish", default=built, help="the program, built with --release")
parser.add_argument("--python", default=sys.executable, help="the Python that has the peer")
parser.add_argument("--data", required=True, type=pathlib.Path)
parser.add_argument("--out", required=True, type=pathlib.Path, help="run folder to make")
parser.add_argument("--epochs", type=int, default=3, help="unfrozen ones")
parser.add_argument("--limit", type=int, default=0, help="use so many films, to try it; 0 is all")
parser.add_argument("--precision", choices=["fp32", "bf16"], default="fp32", help="of both; PyTorch's bf16 is autocast")
parser.add_argument("--peer-films", type=int, default=600, help="films that PyTorch trains on; 0 leaves it out")
args = parser.parse_args()

limit = ["--limit", str(args.limit)] if args.limit else []
# What PyTorch's side does: the notebook's augmentation, optimiser and loss.
settings = ["fit=squash", "augment=notebook", "optimizer=adam", "weight_decay=0", "lr=1e-4", "schedule=cosine", "label_smoothing=0",
            "prior=none", "best=accuracy", "val_views=0", "sizes=full", f"precision={args.precision}"]
settings = [word for setting in settings for word in ("--set", setting)]
train = ["train", "--data", args.data, "--out", args.out, *settings, "--epochs", str(args.epochs), *limit]
_, seconds = run([args.lungfish, *train], keep=False)
memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
said, _ = run([args.lungfish, "test", "--model", args.out, "--data", args.data, "--no-pictures", "--json"], keep=True)
test = json.loads(said)
epochs = [json.loads(line) for line in (args.out / "log.jsonl").read_text().splitlines()]
frozen, unfrozen = (
    [e for e in epochs if e["phase"] == phase and e["films_per_s"] is not None] for phase in ("frozen", "unfrozen")
)

print("| epoch | train NLL | validation NLL | accuracy | AUC | films/s | seconds |")
print("|-|-|-|-|-|-|-|")
for e in epochs:
    # Epoch 0 is the validation before the first unfrozen step.
    speed = "-" if e["films_per_s"] is None else f"{e['films_per_s']:.0f}"
    print(f"| {e['phase']} {e['epoch']} | {figure(e['train_loss'])} | {figure(e['val_loss'])} | "
          f"{figure(e['val_accuracy'])} | {figure(e['val_auc'])} | {speed} | {e['seconds']:.1f} |")
print(f"\nWall clock of the training, everything: {seconds:.0f} s; peak memory {memory / (1 << 20):.0f} MiB.")
print(f"Test, {test['films']} films: accuracy {figure(test['accuracy'])}, AUC {figure(test['auc'])}, "
      f"NLL {figure(test['loss'])}.")
for c in test["classes"]:
    print(f"{c['name']}: {c['support']} films, precision {figure(c['precision'])}, recall {figure(c['recall'])}.")
if args.peer_films:
    peer, _ = run([args.python, BENCH / "peers/pytorch_train.py", "--data", args.data / "train", "--films",
                   str(args.peer_films), "--dtype", args.precision], keep=True)
    print("\n| | lungfish, films/s over its epochs | PyTorch, films/s | ratio |\n|-|-|-|-|")
    ours = {"frozen": frozen, "unfrozen": unfrozen}
    with open(args.out / "split.csv", encoding="utf-8", newline="") as rows:
        films = sum(row["split"] == "train" for row in csv.DictReader(rows))
    theirs = 0.0
    for told in map(json.loads, peer.splitlines()):
        if "absent" in told:
            print(f"| absent: {told['absent']} | | | |")
            continue
        mine = pace(ours[told["phase"]])
        theirs += films * len(ours[told["phase"]]) / told["films_per_s"]
        first = f" (the first, with the features, {frozen[0]['films_per_s']:.0f})" if told["phase"] == "frozen" else ""
        print(f"| {told['phase']} | {mine:.1f}{first} | {told['films_per_s']:.1f} ({told['films']} films, one epoch) | "
              f"{mine / told['films_per_s']:.1f} |")
    if theirs:
        print(f"\nAs many films in as many epochs, at PyTorch's pace of one epoch, {args.precision}, without its validation: {theirs:.0f} s. "
              f"Ours, with reading, checking and validation: {seconds:.0f} s, {theirs / seconds:.1f} times as fast.")
