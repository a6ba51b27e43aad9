#!/usr/bin/env python3
"""Reruns the published experiments of numerics.md and writes our figures into it.

    docs/validation/numerics.py [TESSERA]     (default ./tessera; some two minutes of one core)

Every number is between the markers `<!-- NAME -->` and `<!-- end -->` of the page; the rest is left alone.
`--check` writes nothing and exits with 1 if a table would change.
"""

import json
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).with_name("numerics.md")


def report(tessera, *arguments):
    command = [tessera, "precision", *arguments, "--json", "-"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def deepseek(tessera):
    rows = []
    for dist in ["normal", "uniform", "uniform01"]:
        for size in ["256", "1024"]:
            r = report(tessera, "gemm", "--m", size, "--n", size, "--k", "4096", "--dist", dist)
            e = r["accumulation"]
            rows.append([dist, f"{size} x {size}", f"{100 * e['max_over_rms']:.2f} %",
                         f"{100 * e['max_over_max']:.2f} %", f"{100 * e['rel_rmse']:.3f} %"])
    return table(["data", "outputs", "max error / RMS", "max error / max", "relative RMSE"], rows)


def accumulation(tessera):
    found = report(tessera, "accumulation", "--seeds", "3")["rows"]
    cells = {}
    for row in found:
        cells.setdefault((row["dist"], row["accumulate"], row["k"]), []).append(row["rel_rmse"])
    lengths = sorted({row["k"] for row in found})
    rows = []
    for dist in dict.fromkeys(row["dist"] for row in found):
        for how in ["fast", "promote128"]:
            means = [sum(v) / len(v) for v in (cells[dist, how, k] for k in lengths)]
            rows.append([dist, how, *(f"{m:.2e}" for m in means)])
    return table(["data", "accumulation", *(f"K = {k}" for k in lengths)], rows)


def attention(tessera):
    sizes = [("1024", "64", "0"), ("4096", "128", "256")]
    columns = []
    for seq, d, queries in sizes:
        r = report(tessera, "attention", "--seq", seq, "--head-dim", d, "--queries", queries,
                   "--seeds", "16")
        columns.append({x["recipe"]: x for x in r["recipes"]})
    paper = {"fp16-baseline": "3.2e-4", "fp16-flash": "1.9e-4", "fp8-baseline": "2.4e-2",
             "fp8-block": "2.4e-2", "fp8-incoherent": "9.3e-3", "fp8-flash3": "9.1e-3"}
    rows = []
    for recipe in columns[0]:
        cells = [f"{c[recipe]['rmse_mean']:.2e} ± {c[recipe]['rmse_deviation']:.1e}" for c in columns]
        rows.append([recipe, paper.get(recipe, "-"), *cells])
    ratio = lambda c, a, b: f"{c[a]['rmse_mean'] / c[b]['rmse_mean']:.2f}"
    rows.append(["FP16: baseline / flash", "1.7",
                 *(ratio(c, "fp16-baseline", "fp16-flash") for c in columns)])
    rows.append(["FP8: baseline / flash3", "2.6",
                 *(ratio(c, "fp8-baseline", "fp8-flash3") for c in columns)])
    return table(["recipe", "published", *(f"{s} keys, d = {d}" for s, d, _ in sizes)], rows)


def recipes(tessera):
    rows = []
    for label, flags in [
            ("FP16", ["--format", "fp16"]), ("BF16", ["--format", "bf16"]),
            ("E4M3 per tensor", []), ("E4M3 per token", ["--scaling", "token"]),
            ("E4M3 block", ["--scaling", "block"]), ("E5M2 per tensor", ["--format", "e5m2"]),
            ("MXFP8 (B200)", ["--scaling", "mx", "--unit", "b200"]),
            ("MXFP4 (B200)", ["--format", "e2m1", "--scaling", "mx", "--unit", "b200"]),
            ("NVFP4 (B200)", ["--format", "e2m1", "--scaling", "nvfp4", "--unit", "b200"])]:
        cells = []
        for dist in ["normal", "outlier"]:
            r = report(tessera, "gemm", "--m", "256", "--n", "256", "--dist", dist, *flags)
            cells += [f"{r['a']['sqnr_db']:.1f}", f"{r['quantisation']['rel_rmse']:.2e}",
                      f"{r['accumulation']['rel_rmse']:.2e}"]
        rows.append([label, *cells])
    return table(["", "normal: operand SQNR, dB", "quantisation", "accumulation",
                  "outlier: operand SQNR, dB", "quantisation", "accumulation"], rows)


def main():
    arguments = [a for a in sys.argv[1:] if a != "--check"]
    tessera = arguments[0] if arguments else "./tessera"
    old = text = PAGE.read_text()
    for function in [deepseek, accumulation, attention, recipes]:
        pattern = re.compile(rf"(<!-- {function.__name__} -->\n).*?(<!-- end -->)", re.S)
        content = function(tessera)
        text, count = pattern.subn(lambda m: m[1] + content + "\n" + m[2], text)
        if count != 1:
            sys.exit(f"{PAGE}: no markers for {function.__name__}")
    if "--check" in sys.argv[1:]:
        sys.exit(0 if text == old else f"{PAGE}: a table differs from what the program prints")
    PAGE.write_text(text)


main()
