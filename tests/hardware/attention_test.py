"""What attention.py does without a GPU."""
import os
import sys
import tempfile
import unittest

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


if __name__ == "__main__":
    unittest.main()
