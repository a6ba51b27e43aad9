"""What attention.py does without a GPU."""
import contextlib
import io
import os
import sys
import tempfile
import types
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import attention  # pylint: disable=wrong-import-position


class AttentionPlan(unittest.TestCase):
    def test_takes_the_attention_lines_of_a_plan(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as plan:
            plan.write("gemm m=1 n=2 k=3\n# attention batch=9\nattention batch=2 q_len=1  # decode\n")
            plan.flush()
            self.assertEqual(attention.plan_of(plan.name), [{"batch": "2", "q_len": "1"}])

    def test_the_plan_that_comes_with_it_has_prefill_and_decode(self):
        here = os.path.dirname(os.path.abspath(__file__))
        operations = attention.plan_of(os.path.join(here, "plan.txt"))
        self.assertTrue(any(o["q_len"] == "1" for o in operations))
        self.assertTrue(any(o["q_len"] != "1" for o in operations))
        for operation in operations:
            self.assertIn(operation["dtype"], attention.TYPES)

    def test_rotates_through_three_times_the_l2(self):
        self.assertEqual(attention.copies_of(50 << 20, 50 << 20), 4)
        self.assertEqual(attention.copies_of(1 << 30, 50 << 20), 2)
        self.assertEqual(attention.copies_of(1 << 10, 50 << 20), 16)

    def test_a_row_has_every_column_and_the_median(self):
        row = attention.row_of({"batch": "2", "dtype": "bf16"}, [3.0, 1.0, 2.0], "GPU", "how")
        self.assertEqual(list(row), attention.COLUMNS)
        self.assertEqual(row["measured_us"], "2")
        self.assertEqual(row["op"], "attention")
        self.assertEqual(row["source"], "GPU: how; median of 3, p10 1, p90 3")

    def test_a_row_takes_85_ms_of_replays(self):
        self.assertEqual(attention.replays_of(5000), (2, 15))
        self.assertEqual(attention.replays_of(2500), (19, 15))
        self.assertEqual(attention.replays_of(10_000), (2, 6))
        self.assertEqual(attention.replays_of(1e6), (2, 3))


def torch_of(synchronize=lambda: None, groups=True):
    """As much of PyTorch as measure_plan() sees."""
    def attend(*_, **named):
        if not groups and "enable_gqa" in named:
            raise TypeError("unexpected keyword argument 'enable_gqa'")
    cuda = types.SimpleNamespace(get_device_name=lambda: "GPU", synchronize=synchronize,
                                 empty_cache=lambda: None)
    functional = types.SimpleNamespace(scaled_dot_product_attention=attend)
    return types.SimpleNamespace(__version__="2", cuda=cuda, zeros=lambda _: 0,
                                 nn=types.SimpleNamespace(functional=functional))


class AttentionRows(unittest.TestCase):
    PLAN = [{"q_len": length, "heads": "8", "kv_heads": "2"} for length in ("1", "2", "3")]

    def run_plan(self, torch, measure, seconds=60.0):
        """Exit status, lines of the table, what is in the folder, errors."""
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(attention, "measure", measure), \
                contextlib.redirect_stderr(io.StringIO()) as errors:
            path = os.path.join(folder, "t.csv")
            status = attention.measure_plan(torch, self.PLAN, attention.Table(path), seconds)
            lines = []
            if os.path.exists(path):
                with open(path, encoding="utf-8") as table:
                    lines = table.read().splitlines()
            return status, lines, os.listdir(folder), errors.getvalue()

    @staticmethod
    def fails_second(_, operation):
        if operation["q_len"] == "2":
            raise AttributeError("no such\nthing")
        return [1.0]

    def test_one_that_fails_costs_its_row(self):
        status, lines, names, errors = self.run_plan(torch_of(), self.fails_second)
        self.assertEqual((status, len(lines), names), (1, 3, ["t.csv"]))
        self.assertIn("failed: attention {'q_len': '2'", errors)
        self.assertIn("AttributeError: no such thing", errors)

    def test_a_lost_gpu_ends_it_and_keeps_the_rows(self):
        def lost():
            raise RuntimeError("an illegal memory access was encountered")
        status, lines, _, errors = self.run_plan(torch_of(lost), self.fails_second)
        self.assertEqual((status, len(lines)), (1, 2))
        self.assertIn("takes no more work", errors)

    def test_no_row_begins_after_the_time(self):
        status, lines, names, errors = self.run_plan(torch_of(), lambda *_: [1.0], -1.0)
        self.assertEqual((status, lines, names), (0, [], []))
        self.assertIn("time is over before", errors)

    def test_before_pytorch_2_5_the_row_is_of_expanded_heads(self):
        status, lines, _, _ = self.run_plan(torch_of(groups=False), lambda *_: [1.0])
        self.assertEqual((status, len(lines)), (0, 4))
        row = dict(zip(attention.COLUMNS, lines[1].split(",")))
        self.assertEqual((row["heads"], row["kv_heads"]), ("8", "8"))
        self.assertIn("2 K and V heads expanded to all", lines[1])


if __name__ == "__main__":
    unittest.main()
