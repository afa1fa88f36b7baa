#!/usr/bin/python3
"""metrics.py reads the table as the compiler does, and sees what is out of date, unknown or untested."""
import contextlib
import io
import json
import os
import shutil
import tempfile
import unittest

from planted import Planted  # noqa: F401 (finds the tools)
import metrics

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Metrics(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="tidemark-test_metrics-")
        self.addCleanup(shutil.rmtree, self.root)
        for path in [metrics.TABLE, metrics.TESTS, *metrics.FILES]:
            os.makedirs(os.path.dirname(os.path.join(self.root, path)), exist_ok=True)
            shutil.copy(os.path.join(ROOT, path), os.path.join(self.root, path))

    def change(self, path, before, after):
        text = metrics.read(self.root, path)
        self.assertIn(before, text)
        with open(os.path.join(self.root, path), "w") as f:
            f.write(text.replace(before, after, 1))

    def run_check(self):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = metrics.main(["--check", self.root])
        return code, said.getvalue()

    def test_the_tree_passes(self):
        self.assertEqual(self.run_check()[0], 0)

    def test_every_line_of_the_table_is_read(self):
        rows = metrics.read(self.root, metrics.TABLE).count("X(METRIC_")
        self.assertEqual(len(metrics.read_table(self.root)), rows)

    def test_a_changed_table_makes_all_that_is_made_of_it_old(self):
        self.change(metrics.TABLE, "Items known", "Things known")
        code, said = self.run_check()
        self.assertEqual(code, 1)
        self.assertIn("docs/METRICS.md is not what", said)
        self.assertIn("packaging/grafana/tidemark.json is not what", said)

    def test_an_alert_of_an_unknown_metric_is_named(self):
        self.change(metrics.TABLE, '"tidemark_clock_step_pending"', '"tidemark_clock_step_waiting"')
        code, said = self.run_check()
        self.assertEqual(code, 1)
        self.assertIn("alert TidemarkClockStep names tidemark_clock_step_pending", said)
        self.assertIn("feeds tidemark_clock_step_pending", said)

    def test_an_alert_without_a_test_is_named(self):
        self.change(metrics.TESTS, "alertname: TidemarkPoisoned\n        exp_alerts", "alertname: TidemarkOther\n        exp_alerts")
        self.assertIn("alert TidemarkPoisoned fires in no test", self.run_check()[1])

    def test_each_metric_is_in_a_panel(self):
        board = json.loads(metrics.dashboard(metrics.read_table(self.root)))
        drawn = json.dumps([p["targets"] for p in board["panels"] if p["type"] != "row"])
        for m in metrics.read_table(self.root):
            self.assertIn(m.name, drawn)


if __name__ == "__main__":
    unittest.main()
