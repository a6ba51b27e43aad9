#!/usr/bin/env python3
"""Measures a plan's attention with PyTorch: attention.py PLAN TABLE.csv.

torch.nn.functional.scaled_dot_product_attention chooses the kernel (FlashAttention or cuDNN); the
source column says which was allowed. Back to back in a CUDA graph, K and V in turn through copies
that fill the L2 three times, median of the replays: as tests/hardware/run measures the rest.
"""
import csv
import statistics
import sys

COLUMNS = ("op,dtype,m,n,k,batch,q_len,kv_len,heads,kv_heads,head_dim,causal,kv_dtype,rows,cols,"
           "ranks,bytes,tokens,hidden,inter,topk,experts,measured_us,source").split(",")
TYPES = {"bf16": "bfloat16", "fp16": "float16"}
SAMPLES = 15
REPLAY_US = 5000


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


def measure(torch, operation):
    """Microseconds of one call, a sample each replay."""
    size = {key: int(operation[key])
            for key in ("batch", "q_len", "kv_len", "heads", "kv_heads", "head_dim", "causal")}
    kind = getattr(torch, TYPES[operation["dtype"]])
    shape = lambda heads, length: (size["batch"], heads, length, size["head_dim"])
    query = torch.randn(shape(size["heads"], size["q_len"]), device="cuda", dtype=kind)
    kv_bytes = 4 * size["batch"] * size["kv_heads"] * size["kv_len"] * size["head_dim"]
    copies = copies_of(kv_bytes, torch.cuda.get_device_properties(0).L2_cache_size)
    pairs = [(torch.randn(shape(size["kv_heads"], size["kv_len"]), device="cuda", dtype=kind),
              torch.randn(shape(size["kv_heads"], size["kv_len"]), device="cuda", dtype=kind))
             for _ in range(copies)]
    causal = size["causal"] == 1 and size["q_len"] > 1

    def rotation(times):
        for _ in range(times):
            for key, value in pairs:
                torch.nn.functional.scaled_dot_product_attention(
                    query, key, value, is_causal=causal,
                    enable_gqa=size["heads"] != size["kv_heads"])

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
    for _ in range(2):
        replay_us(graph)
    return [replay_us(graph) / (times * copies) for _ in range(SAMPLES)]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__.splitlines()[0])
    import torch  # here, so that the rest can be tested without it
    gpu = torch.cuda.get_device_name()
    how = f"PyTorch {torch.__version__} scaled_dot_product_attention, CUDA graph"
    rows = []
    for operation in plan_of(sys.argv[1]):
        try:
            rows.append(row_of(operation, measure(torch, operation), gpu, how))
        except (RuntimeError, KeyError) as error:
            print(f"not measured: {operation}: {error}", file=sys.stderr)
    with open(sys.argv[2], "w", newline="", encoding="utf-8") as table:
        writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
