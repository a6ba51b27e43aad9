"""docs/validation/accuracy on tables of a few rows: accuracy_test.py TESSERA, run by CTest."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "docs" / "validation" / "accuracy"
TESSERA = sys.argv.pop() if len(sys.argv) > 1 else str(ROOT / "tessera")

ROWS = """op,dtype,m,n,k,rows,cols,measured_us,source
gemm,bf16,256,256,256,,,20,"bench, one"
add,bf16,,,,512,1024,30,bench two
gemm,bf16,512,256,256,,,25,"bench, one"
gemm,bf16,64,64,64,,,3,bench three
"""


def run(*arguments):
    return subprocess.run([sys.executable, "-B", SCRIPT, "--tessera", TESSERA, *arguments],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)


class Accuracy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.measured = self.folder / "measured"
        self.measured.mkdir()
        self.table("toy.rows.csv", ROWS)
        self.page = self.folder / "page.md"

    def table(self, name, text):
        (self.measured / name).write_text(text, encoding="utf-8")

    def classes(self, name):
        """What validate says of a table."""
        command = [TESSERA, "validate", "--chip", "toy", "--json", "-"]
        done = subprocess.run([*command, "--measured", self.measured / name],
                              stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)["classes"]

    def test_each_class_has_a_table_of_validates_figures(self):
        done = run(self.measured, "--output", self.page)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "")
        page = self.page.read_text(encoding="utf-8")
        gemm, add = self.classes("toy.rows.csv")
        sections = page.split("\n## ")[1:]
        self.assertEqual([section.split("\n")[0] for section in sections],
                         ["gemm bf16, `toy.rows.csv`", "add bf16, `toy.rows.csv`"])
        for section, one in zip(sections, [gemm, add]):
            for name, errors in [("**tessera**", one), ("ideal roofline", one["roofline"])]:
                self.assertIn("| {} | {} | {:.1f} | {:.1f} | {:.1f} | {:.1f} | {:+.1f} |".format(
                    name, *(errors[key] for key in ("n", "mape", "median", "p90", "max", "bias"))),
                    section)
            self.assertIn("fitted roofline", section)
        self.assertIn("| noise floor, estimate |  | 4.5 |", sections[0])
        self.assertIn("| PyTorchSim (published) |  | 11.5 |", sections[0])
        self.assertIn("Measured: bench, one; bench three.", sections[0])
        self.assertIn("m=64 n=64", sections[0])
        # Of one row none is left to test the fitted roofline on.
        self.assertIn("| add bf16, `toy.rows.csv` | 1 | **{:.1f}** | {:.1f} | - |".format(
            add["mape"], add["roofline"]["mape"]), page)
        self.assertIn("not fitted to | 0 | - | - | - | - | - |", sections[1])
        self.assertNotIn("| - |", sections[0])
        # Nobody publishes figures of additions, and their noise is not known.
        self.assertNotIn("published", sections[1])
        self.assertNotIn("noise", sections[1])
        self.assertIn("    docs/validation/accuracy ", page)
        self.assertIn("with tessera ", page)

    def test_the_page_is_the_same_every_time_and_nothing_else_is_left(self):
        pages = []
        for jobs in ("1", "2"):
            done = run(self.measured, "--output", self.page, "--jobs", jobs)
            self.assertEqual(done.returncode, 0, done.stderr)
            pages.append(self.page.read_bytes())
        self.assertEqual(pages[0], pages[1])
        self.assertEqual(sorted(x.name for x in self.folder.iterdir()), ["measured", "page.md"])

    def test_every_second_row_is_a_sample_that_says_so_on_standard_output(self):
        done = run(self.measured, "--every", "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        # The first and the third row.
        self.assertIn("| **tessera** | 2 |", done.stdout)
        self.assertNotIn("## add", done.stdout)
        self.assertIn("--every 2\n", done.stdout)
        self.assertIn("a sample, one row in 2", done.stdout)

    def test_a_failure_leaves_the_page_as_it_was(self):
        self.page.write_text("before", encoding="utf-8")
        self.table("toy.wrong.csv", "op,dtype,m,n,k,measured_us\nhemm,bf16,1,1,1,1\n")
        done = run(self.measured, "--output", self.page)
        self.assertEqual(done.returncode, 1)
        self.assertIn("toy.wrong.csv", done.stderr)
        self.assertEqual(self.page.read_text(encoding="utf-8"), "before")
        self.assertEqual(sorted(x.name for x in self.folder.iterdir()), ["measured", "page.md"])

    def test_tables_are_named_after_their_chip(self):
        self.table("rows.csv", ROWS)
        done = run(self.measured, "--output", self.page)
        self.assertEqual(done.returncode, 1)
        self.assertIn("CHIP.WHAT.csv", done.stderr)
        empty = self.folder / "empty"
        empty.mkdir()
        self.assertIn("no tables", run(empty, "--output", self.page).stderr)
        self.assertEqual(run(self.measured, "--every", "0").returncode, 2)


if __name__ == "__main__":
    unittest.main()
