#!/usr/bin/python3
"""check_layers.py sees what it is for."""
import unittest

from planted import Planted
import check_layers


class Layers(Planted):
    clean = {
        "src/base/types.h": "#include <stdint.h>\n",
        "src/base/text.c": '#include "base/types.h"\n#include <stdio.h>\n',
        "src/format/batch.c": '#include "format/batch.h"\n#include "base/types.h"\n',
        "src/core/state/keys.c": '#include "core/state/keys.h"\n#include "format/batch.h"\n',
        "src/env/env_uv.c": '#include "base/types.h"\n#include <uv.h>\n#include <sys/stat.h>\n',
        "src/engine/db.c": '#include "tidemark.h"\n#include "env/env.h"\n#include "core/ship.h"\n',
        "src/server/http.c": '#include "tidemark.h"\n#include <microhttpd.h>\n#include "env/env.h"\n',
        "src/cli/serve.c": '#include "server/server.h"\n#include "format/batch.h"\n',
    }

    def check(self, root):
        return check_layers.check(root)

    def test_allowed_includes_pass(self):
        self.assertEqual(self.findings({}), [])

    def test_core_may_not_see_env(self):
        self.assert_named({"src/core/ship.c": '/* */\n#include "env/env.h"\n'},
                          "src/core/ship.c:2:", "core/ may not include env/")

    def test_base_may_not_see_format(self):
        self.assert_named({"src/base/x.h": '#include "format/batch.h"\n'}, "base/ may not include format/")

    def test_env_may_not_see_format(self):
        self.assert_named({"src/env/x.c": '#include "format/batch.h"\n'}, "env/ may not include format/")

    def test_server_has_no_back_door(self):
        self.assert_named({"src/server/x.c": '#include "engine/db.h"\n'}, "server/ may not include engine/")

    def test_cli_sees_one_header_of_server(self):
        self.assert_named({"src/cli/x.c": '#include "server/resp.h"\n'}, "cli/ may not include server/")

    def test_engine_is_not_seen_from_below(self):
        self.assert_named({"src/core/x.h": '# include "tidemark.h"\n'}, "core/ may not include tidemark.h")

    def test_pure_layers_do_not_reach_the_system(self):
        for header in ("stdio.h", "unistd.h", "pthread.h", "time.h", "errno.h", "sys/stat.h", "uv.h"):
            self.assert_named({"src/core/x.c": "#include <%s>\n" % header}, "core/ is pure", header)

    def test_exception_holds_for_its_file_only(self):
        self.assert_named({"src/base/map.c": "#include <stdio.h>\n"}, "src/base/map.c:1:", "stdio.h")

    def test_engine_reaches_the_system_through_env(self):
        self.assert_named({"src/engine/x.c": "#include <unistd.h>\n"}, "through env/ only")

    def test_relative_include_is_named(self):
        self.assert_named({"src/core/x.c": '#include "keys.h"\n'}, "does not start with a layer")

    def test_unknown_layer_is_named(self):
        self.assert_named({"src/util/x.c": "\n"}, "util/ is not in the layer picture")


if __name__ == "__main__":
    unittest.main()
