#!/usr/bin/env python3
"""Measures lungfish and its peers side by side and writes a dated record; README.md says how to get ready.

Every program of a table runs once a round, in turn, so that what else the machine does meets all of them alike. A table
has the median over the rounds; the ratios are of medians, each to ours in the same precision. A peer that is not installed
is listed as absent.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import statistics
import subprocess
import sys
import tempfile

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
# What makes PyTorch and oneDNN, which OpenVINO uses too, do without AVX-512; onnxruntime has no such switch.
AVX2 = {"LUNGFISH_SIMD": "avx2+fma", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
PLAIN = {"LUNGFISH_KERNELS": "plain"}


class Program:
    """One row of a table: what to run, and in what environment."""

    def __init__(self, name, command, environment=None, ours=False, dtype="fp32", reference=True):
        self.name, self.command, self.environment = name, [str(word) for word in command], environment or {}
        self.ours, self.dtype = ours, dtype
        # Whether the ratios are against it, where it is the best of its precision.
        self.reference = reference and not ours


def step(args, arch, mode, batch, runs, threads, environment=None, brief=False):
    """The programs of a table of steps."""
    ours = [args.lungfish, "bench", "step", "--arch", arch, "--mode", mode, "--batch", batch, "--runs", runs,
            "--threads", threads, "--json", "--precision"]
    peer = ["--arch", arch, "--batch", batch, "--runs", runs, "--threads", threads]
    # Without AVX-512 nobody has an instruction for bf16.
    dtypes = ["fp32"] if environment == AVX2 else ["fp32", "bf16"]
    programs = [Program("lungfish", [*ours, dtype], environment, ours=True, dtype=dtype) for dtype in dtypes]
    if not brief:
        programs.append(Program("lungfish, plain kernels", [*ours, "fp32"], PLAIN, reference=False))
    layouts = ["channels-last"] if brief else ["channels-last", "nchw"]
    for dtype in dtypes:
        for layout in layouts:
            words = ["--mode", mode, "--dtype", dtype, "--layout", layout]
            command = [args.python, BENCH / "peers/pytorch_step.py", *peer, *words]
            programs.append(Program(f"PyTorch, {layout}", command, environment, dtype=dtype))
    if mode == "infer":
        runtimes = [("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16")]
        for runtime, dtype in runtimes:
            if dtype not in dtypes or (runtime == "onnxruntime" and environment == AVX2):
                continue
            words = ["--runtime", runtime, "--dtype", dtype, "--models", args.models]
            name = {"onnxruntime": "onnxruntime", "openvino": "OpenVINO"}[runtime]
            command = [args.python, BENCH / "peers/runtime_step.py", *peer, *words]
            programs.append(Program(name, command, environment, dtype=dtype))
    return programs


def loader(args, threads):
    ours = [args.lungfish, "bench", "loader", "--data", args.data, "--workers", threads, "--json"]
    peer = [args.python, BENCH / "peers/pytorch_loader.py", "--data", args.data, "--workers", threads]
    return [Program("lungfish", ours, ours=True), Program("PyTorch DataLoader", peer)]


def tables(args):
    """Every table asked for: its section, title and programs."""
    both, one = args.threads, 1
    made = {
        "train": [(f"{arch}, train, batch 32, {both} threads", lambda arch=arch: step(args, arch, "train", 32, 3, both))
                  for arch in args.arch],
        "infer": [(f"{arch}, infer, batch 32, {both} threads", lambda arch=arch: step(args, arch, "infer", 32, 5, both))
                  for arch in args.arch],
        "film": [(f"{arch}, infer, one film, {both} threads", lambda arch=arch: step(args, arch, "infer", 1, 30, both))
                 for arch in args.arch],
        "loader": [(f"Films into batches, {both} workers", lambda: loader(args, both))] if args.data else [],
        "thread": [(f"{arch}, {mode}, batch 32, 1 thread",
                    lambda arch=arch, mode=mode: step(args, arch, mode, 32, 3, one, brief=True))
                   for arch in args.arch for mode in ("train", "infer")],
        "avx2": [(f"{arch}, {mode}, batch 32, {both} threads, without AVX-512",
                  lambda arch=arch, mode=mode: step(args, arch, mode, 32, 3, both, AVX2, brief=True))
                 for arch in args.arch for mode in ("train", "infer")],
    }
    return [(section, title, programs()) for section in args.sections for title, programs in made[section]]


def run(program, args):
    """One measurement: what the program says as JSON, or why it says nothing."""
    command = shlex.split(args.wrap) + program.command
    try:
        # Elsewhere than in the repository: Python would take its folders for modules.
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.timeout, cwd=tempfile.gettempdir(),
                              env=os.environ | program.environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {"failed": str(error)}
    if done.returncode != 0:
        return {"failed": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    try:
        return json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"failed": "it printed no JSON"}


class Results:
    """Measurements by table, program and round; kept in a file, so that a comparison can be broken off and go on."""

    def __init__(self, path):
        self.path, self.found = path, {}
        if path and path.exists():
            for line in path.read_text().splitlines():
                kept = json.loads(line)
                self.found[tuple(kept["key"])] = kept["told"]

    def get(self, key, measure):
        if key not in self.found:
            self.found[key] = measure()
            if self.path:
                with self.path.open("a") as file:
                    file.write(json.dumps({"key": key, "told": self.found[key]}) + "\n")
        return self.found[key]


def median(told, key):
    values = [t[key] for t in told if t.get(key) is not None]
    return statistics.median(values) if values else None


def figure(value):
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def megabytes(value):
    return "" if value is None else f"{value / 1e6:.0f} MB"


def rows(title, programs, told):
    """A table in Markdown, and its ratios in words."""
    is_loader = "loader" in programs[0].command
    heads = [""] + ([] if is_loader else ["precision"]) + ["films/s", "range", "ours : it"]
    heads += [] if is_loader else ["memory at most", "of it the step's"]
    lines = [f"### {title}", "", "| " + " | ".join(heads) + " |", "|" + "-|" * len(heads)]
    ours = {p.dtype: median(measures, "films_per_s") for p, measures in zip(programs, told) if p.ours}
    best = {}
    entries = []
    for program, measures in zip(programs, told):
        value = median(measures, "films_per_s")
        name, precision = program.name, [] if is_loader else [program.dtype]
        if value is None:
            reason = next(m.get("absent") or m.get("failed") for m in measures)
            word = "absent" if any("absent" in m for m in measures) else "failed"
            entry = [name, *precision, word, reason.replace("|", "/")]
            entries.append(entry + [""] * (len(heads) - len(entry)))
            continue
        paces = [m["films_per_s"] for m in measures if "films_per_s" in m]
        if len(paces) < len(measures):
            name += f" ({len(paces)} of {len(measures)} rounds, the others failed)"
        if program.reference and value > best.get(program.dtype, (0, ""))[0]:
            best[program.dtype] = (value, program.name)
        own = ours.get(program.dtype)
        ratio = "" if program.ours or own is None else f"{own / value:.2f}"
        entry = [name, *precision, figure(value), f"{figure(min(paces))} - {figure(max(paces))}", ratio]
        if not is_loader:
            at_most, before = median(measures, "peak_bytes"), median(measures, "peak_bytes_before")
            own = median(measures, "plan_bytes") if before is None else at_most - before
            entry += [megabytes(at_most), megabytes(own) + (" planned" if before is None else "")]
        entries.append(entry)
    if is_loader and (cached := median(told[0], "cached_films_per_s")):
        paces = [m["cached_films_per_s"] for m in told[0] if m.get("cached_films_per_s")]
        peer = median(told[1], "films_per_s")
        entries[0][0] = "lungfish, first pass"
        later = ["lungfish, later passes", figure(cached), f"{figure(min(paces))} - {figure(max(paces))}", ""]
        entries.insert(1, later)
        if peer and ours["fp32"]:
            entries[-1][3] = f"{ours['fp32'] / peer:.2f} first, {cached / peer:.1f} later"
    lines += ["| " + " | ".join(entry) + " |" for entry in entries]
    words = []
    for program, measures in zip(programs, told):
        if program.ours and (share := median(measures, "share_of_peak")) is not None:
            gflops, peak = median(measures, "gflops"), median(measures, "peak_gflops")
            words.append(f"Ours, {program.dtype}: {gflops:.0f} GFLOP/s effective, {100 * share:.0f} % of the {peak:.0f} "
                         "measured of fp32.")
    for dtype, (value, name) in sorted(best.items(), reverse=True):
        if not is_loader and ours.get(dtype):
            words.append(f"Ours to the best {dtype} ({name}): **{ours[dtype] / value:.2f}**.")
    if ours.get("fp32") and ours.get("bf16"):
        words.append(f"Ours, bf16 to fp32: **{ours['bf16'] / ours['fp32']:.2f}**.")
    return lines + ["", *words, ""]


def heading(args, today, results):
    """The machine, what ran on it and how."""
    doctor = json.loads(subprocess.run([args.lungfish, "doctor", "--json"], capture_output=True, text=True,
                                       check=True).stdout)
    commit = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    versions = {f"{t['peer']} {t['version']}" for t in results.found.values() if "version" in t}
    paths = sorted({t["simd"] for t in results.found.values() if "simd" in t})
    memory = doctor["memory"]["total"]
    kept = f", {memory / (1 << 30):.0f} GiB of memory" if memory else ""
    lines = [
        f"# {today}, {args.name or doctor['processor'] or 'an unnamed processor'}, {doctor['cores']} cores", "",
        "Written by `bench/compare.py`: films a second, median of the rounds, with the range over them; 224 pixels,",
        "weights at random, the notebook's head, training all parts with Adam. The ratio is ours in the same precision to it:",
        "above 1 we are faster. bf16 is bfloat16: PyTorch's autocast, OpenVINO's INFERENCE_PRECISION_HINT. Memory is the",
        "process's at its most; a peer's step took what it had beyond its state before the step,",
        "with Adam's moments and gradients to weights in training; ours is activations and gradients to them alone.", "",
        f"- machine: {doctor['processor']}, {doctor['cores']} cores{kept}, {doctor['system']}",
        f"- lungfish {doctor['version']}, commit {commit.stdout.strip() or 'unknown'}; vector path: {', '.join(paths)}",
        f"- peers: {', '.join(sorted(versions)) or 'none installed'}",
        f"- rounds: {args.rounds}; load of the machine as it began: {args.load:.1f}",
    ]
    return lines + ([f"- {args.note}"] if args.note else []) + [""]


class Listed(argparse.Action):
    """Values with spaces or commas between, of a list if there is one."""

    def __init__(self, *args, among=None, **kwargs):
        super().__init__(*args, nargs="+", **kwargs)
        self.among = among

    def __call__(self, parser, namespace, values, option=None):
        given = [value for word in values for value in word.split(",") if value]
        for value in given:
            if self.among and value not in self.among:
                parser.error(f"{option}: {value} is none of {', '.join(self.among)}")
        setattr(namespace, self.dest, given)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sections = ["train", "infer", "film", "loader", "thread", "avx2"]
    built = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/lungfish"
    parser.add_argument("--lungfish", default=built, help="the program, built with --release")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the peers")
    parser.add_argument("--arch", action=Listed, default=["resnet34", "efficientnet-lite0"],
                        help="networks, with spaces or commas between")
    parser.add_argument("--sections", action=Listed, among=sections, default=sections,
                        help=f"tables, likewise, of {', '.join(sections)}")
    parser.add_argument("--data", help="folder of films, DIR/{CLASS}/*; without it there is no section loader")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--wrap", default="", help="put before every measurement, such as 'taskset -c 0,1'")
    parser.add_argument("--timeout", type=float, default=600, help="seconds that one measurement may take")
    parser.add_argument("--name", help="what the record calls the machine [default: the processor]")
    parser.add_argument("--note", help="a sentence to put into the record")
    parser.add_argument("--raw", type=pathlib.Path,
                        help="file of single measurements: what it has is not measured again, what is new goes there")
    parser.add_argument("--out", type=pathlib.Path, help="the record [default: records/DATE-compare.md beside this]")
    args = parser.parse_args()
    args.lungfish, args.data = pathlib.Path(args.lungfish).resolve(), args.data and pathlib.Path(args.data).resolve()
    if not args.lungfish.exists():
        parser.error(f"there is no {args.lungfish}: build it with cargo build --release, or name it with --lungfish")
    if args.rounds < 1:
        parser.error("--rounds is 1 or more")
    args.load = os.getloadavg()[0]
    args.models = tempfile.mkdtemp(prefix="lungfish-bench-")
    today = datetime.date.today().isoformat()
    names = (f"{today}-compare{suffix}.md" for suffix in ["", *(f"-{n}" for n in range(2, 1000))])
    out = args.out or next(path for path in (BENCH / "records" / name for name in names) if not path.exists())

    results, asked = Results(args.raw), tables(args)
    for section, title, programs in asked:
        for turn in range(args.rounds):
            # Every other round the other way round: nobody always runs on a machine that somebody warmed up.
            for program in programs[:: -1 if turn % 2 else 1]:
                told = results.get((title, f"{program.name}, {program.dtype}", turn), lambda: run(program, args))
                said = told.get("absent") or told.get("failed") or f"{figure(told['films_per_s'])} films/s"
                print(f"{title}: {program.name}, {program.dtype}: {said}", file=sys.stderr, flush=True)
    lines = heading(args, today, results)
    headings = {"train": "Training", "infer": "Inference", "film": "One film", "loader": "The data path",
                "thread": "One thread", "avx2": "AVX2"}
    last = None
    for section, title, programs in asked:
        if section != last:
            lines += [f"## {headings[section]}", ""]
            last = section
        told = [[results.found[(title, f"{p.name}, {p.dtype}", turn)] for turn in range(args.rounds)] for p in programs]
        lines += rows(title, programs, told)
    out.write_text("\n".join(lines).rstrip() + "\n")
    print(out)


if __name__ == "__main__":
    main()
