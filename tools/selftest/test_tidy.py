#!/usr/bin/python3
"""tidy.py sees what it is for, and only that."""
import unittest

from planted import Planted
import tidy

CLEAN_C = '/* m: an example. */\n#include "base/m.h"\n\nint m(void)\n{\n    return 1;\n}\n'


class Tidy(Planted):
    clean = {
        "src/base/m.h": "/* m: an example. */\nint m(void);\n",
        "src/base/m.c": CLEAN_C,
        "tests/unit/base/test_m.c": '/* Tests of m. */\n#include "base/m.h"\n',
    }

    def check(self, root):
        return tidy.check(root)

    def in_body(self, line):
        return {"src/base/m.c": CLEAN_C.replace("    return 1;", line)}

    def test_clean_tree_passes(self):
        self.assertEqual(self.findings({}), [])

    def test_every_banned_call_is_named_with_its_replacement(self):
        for call, replacement in tidy.BANNED.items():
            self.assert_named(self.in_body("    %s(x);" % call), "src/base/m.c:6:", call, replacement)

    def test_banned_word_in_comment_string_or_member_passes(self):
        for line in ('    x("strcpy(a)");', "    /* strcpy(a) */", "    r.signal(1);", "    r->rand(1);",
                     "    my_strcpy(a);", "    x('\"'); /* system(1) */"):
            self.assertEqual(self.findings(self.in_body(line)), [], line)

    def test_deciding_code_does_not_allocate(self):
        code = "/* x */\nvoid f(void)\n{\n    p = malloc(1);\n}\n"
        for layer in ("core", "format"):
            self.assert_named({"src/%s/x.c" % layer: code, "tests/unit/%s/test_x.c" % layer: "/* */\n"},
                              "malloc", "alloc_get")

    def test_long_function_is_named(self):
        self.assertEqual(self.findings(self.in_body(("    x();\n" * 100)[:-1])), [])
        self.assert_named(self.in_body(("    x();\n" * 101)[:-1]), "src/base/m.c:5:", "function")

    def test_long_file_is_named(self):
        self.assert_named({"src/base/m.c": CLEAN_C + "int x;\n" * 1200}, "lines; the ceiling is 1200")

    def test_open_ends_are_named(self):
        for word in ("TODO", "FIXME", "XXX"):
            self.assert_named(self.in_body("    /* %s: later */" % word), "src/base/m.c:6:", "open question")

    def test_tab_is_named(self):
        self.assert_named(self.in_body("\treturn 1;"), "src/base/m.c:6:", "tab")

    def test_non_ascii_is_named(self):
        self.assert_named(self.in_body("    /* caf\u00e9 */"), "src/base/m.c:6:", "non-ASCII")

    def test_header_without_top_comment_is_named(self):
        self.assert_named({"src/base/m.h": "int m(void);\n"}, "src/base/m.h:1:", "no comment")

    def test_source_without_test_is_named(self):
        self.assert_named({"src/base/n.c": "/* n */\n"}, "src/base/n.c:1:", "tests/unit/base/test_n.c")

    def test_test_of_a_subfolder_is_found_in_both_places(self):
        for place in ("tests/unit/core/test_k.c", "tests/unit/core/state/test_k.c"):
            self.assertEqual(self.findings({"src/core/state/k.c": "/* k */\n", place: "/* */\n"}), [])

    def test_part_of_a_module_is_tested_with_the_module(self):
        self.assertEqual(self.findings({"src/base/m_read.c": "/* m */\n"}), [])
        self.assert_named({"src/base/mread.c": "/* m */\n"}, "tests/unit/base/test_mread.c")

    def test_own_header_comes_first(self):
        self.assert_named({"src/base/m.c": "/* m */\n#include <a.h>\n" + CLEAN_C.split("\n", 1)[1]},
                          "own header")

    def test_unreferenced_header_tool_and_document_are_named(self):
        self.assert_named({"src/base/lonely.h": "/* x */\n"}, "src/base/lonely.h", "nothing refers")
        self.assert_named({"tools/lonely.sh": "\n"}, "tools/lonely.sh", "nothing refers")
        self.assert_named({"docs/LONELY.md": "\n"}, "docs/LONELY.md", "nothing refers")

    def test_error_word_without_explanation_is_named(self):
        table = {"src/base/m.h": '/* m */\n#define T(X) X(E_IO, 22, "POISONED", CLASS_WORLD, "x")\n'}
        link = {"README.md": "docs/OPERATING.md docs/FORMAT.md"}
        files = {**link, "src/base/error.h": table["src/base/m.h"], "src/base/error.c": '/* */\n#include "base/error.h"\n',
                 "tests/unit/base/test_error.c": "/* */\n"}
        self.assertEqual(self.findings({**files, "docs/OPERATING.md": "`POISONED`: a log write failed\n"}), [])
        self.assert_named({**files, "docs/OPERATING.md": "POISONEDX\n"}, "src/base/error.h", "POISONED")

    def test_record_kind_without_golden_file_or_byte_table_is_named(self):
        files = {"README.md": "docs/FORMAT.md", "src/format/record.c": '/* */\n#include "format/record.h"\n',
                 "src/format/record.h": '/* m */\n#define T(X) X(RECORD_TICK, 20, "tick", "x")\n',
                 "tests/unit/format/test_record.c": "/* */\n"}
        self.assertEqual(self.findings(files), [])
        self.assertEqual(self.findings({**files, "tests/golden/v2/tick.bin": ""}), [])
        self.assert_named({**files, "tests/golden/v2/other.bin": ""}, "tick", "golden")
        self.assert_named({**files, "docs/FORMAT.md": "ticket\n"}, "tick", "docs/FORMAT.md")

    def test_metric_that_is_not_documented_is_named(self):
        files = {**self.in_body('    x("tidemark_log_bytes");'), "README.md": "docs/METRICS.md"}
        self.assertEqual(self.findings({**files, "docs/METRICS.md": "`tidemark_log_bytes`\n"}), [])
        self.assert_named({**files, "docs/METRICS.md": "\n"}, "tidemark_log_bytes")

    def test_lesson_without_its_test_is_named(self):
        files = {"README.md": "docs/LESSONS.md", "tests/e2e/test_lag.py": "def a_truth(world):\n",
                 "tests/unit/base/test_m.c": "/* */\nstatic void a_rule(void **state)\n",
                 "tests/golden/golden_format.c": "/* */\n",
                 "tests/sim/CMakeLists.txt": "foreach(story rot idle)\nsim_bug(1 COUNT 4)\n",
                 "tests/crash/CMakeLists.txt": "add_test(NAME crash.kill9 COMMAND kill9)\next4_test(full crash full)\n",
                 "tools/CMakeLists.txt": "tm_lint(alerts 60 x)\n"}
        for name in ("unit.base.m: a_rule", "e2e.lag: a_truth", "golden.format", "sim.bug1", "sim.story.rot", "crash.kill9",
                     "crash.ext4.full", "lint.alerts"):
            self.assertEqual(self.findings({**files, "docs/LESSONS.md": "| `%s` |\n" % name}), [], name)
        for name in ("unit.base.m: a_rul", "unit.base.n: a_rule", "unit.base.m", "e2e.lag: truth", "golden.x",
                     "sim.bug2", "sim.story.ro", "crash.kill", "crash.ext4.ful", "lint.alert"):
            self.assert_named({**files, "docs/LESSONS.md": "\n`%s`\n" % name}, "docs/LESSONS.md:2:", name)
        for row in ("| G1\u2020 | fault | | |", "| L22 | fault | care | |"):
            self.assert_named({**files, "docs/LESSONS.md": row}, "docs/LESSONS.md:1:", row[2:4])
        for row in ("| # | fault | closed by | missing |", "| C6 | fault | | leases |", "| G1 | fault | `e2e.lag: a_truth` | |"):
            self.assertEqual(self.findings({**files, "docs/LESSONS.md": row}), [], row)

    def test_lesson_that_is_lost_is_named(self):
        rows = ["| %s%d | fault | | care |" % (letter, i) for letter, count in tidy.LESSON_ROWS.items() for i in range(1, count + 1)]
        files = {"README.md": "docs/LESSONS.md", "docs/LESSONS.md": "# Lessons\n" + "\n".join(rows)}
        self.assertEqual(self.findings(files), [])
        files["docs/LESSONS.md"] = "# Lessons\n" + "\n".join(row for row in rows if not row.startswith("| C9 "))
        self.assert_named(files, "docs/LESSONS.md:1:", "C9")


if __name__ == "__main__":
    unittest.main()
