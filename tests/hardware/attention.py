#!/usr/bin/env python3
"""Measures a plan's attention with PyTorch: attention.py PLAN TABLE.csv [SECONDS].

torch.nn.functional.scaled_dot_product_attention chooses the kernel (FlashAttention or cuDNN). Back to
back in a CUDA graph for 85 ms, K and V in turn through copies that fill the L2 three times, median of
the last replays: as tests/hardware/run measures the rest. After SECONDS no row is begun. Rows go to
TABLE.csv.part as they come, renamed at the end. Exit status 1 where one could not be measured.
"""
import csv
import os
import statistics
import sys
import time

COLUMNS = ("op,dtype,m,n,k,batch,q_len,kv_len,heads,kv_heads,head_dim,causal,kv_dtype,rows,cols,"
           "ranks,bytes,tokens,hidden,inter,topk,experts,measured_us,source").split(",")
TYPES = {"bf16": "bfloat16", "fp16": "float16"}
SAMPLES = 15
REPLAY_US = 5000
ROW_US = 85_000
L2_BYTES = 50 << 20  # where PyTorch does not say


def plan_of(path):
    """The attention lines of a plan, as dictionaries of text."""
    operations = []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            words = line.split("#")[0].split()
            if words and words[0] == "attention":
                operations.append(dict(word.split("=", 1) for word in words[1:]))
    return operations


def copies_of(kv_bytes, l2_bytes):
    """How many K and V make each cold when its turn comes round."""
    return max(2, min(16, -(-3 * l2_bytes // kv_bytes) + 1))


def replays_of(replay_us):
    """Replays that warm up and that are measured: together ROW_US, but at least 2 and 3."""
    total = max(5, round(ROW_US / replay_us))
    measured = min(SAMPLES, total - 2)
    return total - measured, measured


def without_groups(operation):
    """The operation with a K and V for each head, as it must be called before PyTorch 2.5."""
    return {**operation, "kv_heads": operation["heads"]}


def row_of(operation, samples, gpu, how):
    """The line of the table."""
    ordered = sorted(samples)
    row = dict.fromkeys(COLUMNS, "")
    row.update(operation)
    row["op"] = "attention"
    row["measured_us"] = f"{statistics.median(ordered):.6g}"
    row["source"] = (f"{gpu}: {how}; median of {len(ordered)}, p10 {ordered[len(ordered) // 10]:.6g}"
                     f", p90 {ordered[len(ordered) * 9 // 10]:.6g}")
    return row


def has_groups(torch):
    """Whether this PyTorch (2.5) attends to fewer heads of K and V than of Q."""
    one = torch.zeros((1, 1, 1, 8))
    try:
        torch.nn.functional.scaled_dot_product_attention(one, one, one, enable_gqa=False)
    except TypeError:
        return False
    return True


def measure(torch, operation):
    """Microseconds of one call, a sample each replay."""
    size = {key: int(operation[key])
            for key in ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "causal")}
    kind = getattr(torch, TYPES[operation["dtype"]])
    random = lambda heads, length: torch.randn(
        (size["batch"], heads, length, size["head_dim"]), device="cuda", dtype=kind)
    query = random(size["heads"], size["q_len"])
    kv_bytes = 4 * size["batch"] * size["kv_heads"] * size["kv_len"] * size["head_dim"]
    l2_bytes = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", L2_BYTES)
    copies = copies_of(kv_bytes, l2_bytes)
    pairs = [(random(size["kv_heads"], size["kv_len"]), random(size["kv_heads"], size["kv_len"]))
             for _ in range(copies)]
    causal = size["causal"] == 1 and size["q_len"] > 1
    groups = {"enable_gqa": True} if size["heads"] != size["kv_heads"] else {}

    def rotation(times):
        for _ in range(times):
            for key, value in pairs:
                torch.nn.functional.scaled_dot_product_attention(
                    query, key, value, is_causal=causal, **groups)

    def graph_of(times):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            rotation(times)
        return graph

    def replay_us(graph):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        return begin.elapsed_time(end) * 1e3

    rotation(1)
    torch.cuda.synchronize()
    graph = graph_of(1)
    replay_us(graph)
    times = max(1, min(200, int(REPLAY_US / replay_us(graph))))
    graph = graph_of(times)
    replay_us(graph)
    warm, measured = replays_of(replay_us(graph))
    for _ in range(warm - 2):
        replay_us(graph)
    return [replay_us(graph) / (times * copies) for _ in range(measured)]


class Table:
    """A CSV that grows as "PATH.part" and gets its name when it is finished; none without rows."""

    def __init__(self, path):
        self.path = path
        self.is_begun = False

    def add(self, row):
        with open(self.path + ".part", "a" if self.is_begun else "w", newline="",
                  encoding="utf-8") as part:
            writer = csv.DictWriter(part, COLUMNS, lineterminator="\n")
            if not self.is_begun:
                writer.writeheader()
            writer.writerow(row)
        self.is_begun = True

    def finish(self):
        if self.is_begun:
            os.replace(self.path + ".part", self.path)


def measure_plan(torch, plan, table, seconds):
    """Exit status. What one row throws is told and the next begun, while CUDA still answers."""
    began = time.monotonic()
    gpu = torch.cuda.get_device_name()
    how = f"PyTorch {torch.__version__} scaled_dot_product_attention, CUDA graph"
    grouped = has_groups(torch)
    failed = 0
    for operation in plan:
        if time.monotonic() - began > seconds:
            print(f"time is over before: {operation}", file=sys.stderr)
            break
        row_how = how
        try:
            if not grouped and operation["heads"] != operation["kv_heads"]:
                row_how += f", {operation['kv_heads']} K and V heads expanded to all"
                operation = without_groups(operation)
            table.add(row_of(operation, measure(torch, operation), gpu, row_how))
            continue
        except Exception as error:  # pylint: disable=broad-except
            message = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"failed: attention {operation}: {message}", file=sys.stderr)
        failed += 1
        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except Exception:  # pylint: disable=broad-except
            print("failed: attention after it: the GPU takes no more work from this process",
                  file=sys.stderr)
            break
    table.finish()
    return 1 if failed else 0


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__.splitlines()[0])
    import torch  # here, so that the rest can be tested without it
    seconds = float(sys.argv[3]) if len(sys.argv) == 4 else float("inf")
    sys.exit(measure_plan(torch, plan_of(sys.argv[1]), Table(sys.argv[2]), seconds))


if __name__ == "__main__":
    main()
