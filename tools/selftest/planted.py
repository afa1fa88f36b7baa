"""Shared by the self-tests of the checkers: a small tree with one violation planted in it."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Planted(unittest.TestCase):
    """check: the checker's function from a root folder to a list of findings."""

    clean = {}

    def findings(self, planted):
        with tempfile.TemporaryDirectory(prefix="tidemark-" + self.id().split(".")[-1]) as root:
            for path, text in {**self.clean, **planted}.items():
                full = os.path.join(root, path)
                os.makedirs(os.path.dirname(full), exist_ok=True)
                with open(full, "w", encoding="utf-8") as f:
                    f.write(text)
            return self.check(root)

    def assert_named(self, planted, *words):
        """Exactly one finding, and it contains the words."""
        found = self.findings(planted)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])
