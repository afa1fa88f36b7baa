#!/bin/bash
# The alert rules are well formed, and each one fires where it should and not where it should not
# (packaging/prometheus/tidemark.test.yml). Without promtool it is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/../packaging/prometheus"
command -v promtool >/dev/null || { echo "skipped: promtool is not installed (package prometheus)"; exit 77; }
promtool check rules tidemark.rules.yml
promtool test rules tidemark.test.yml
