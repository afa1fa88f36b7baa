#!/usr/bin/python3
"""What is made from the table of metrics (src/base/metric.h): docs/METRICS.md, the alert rules for
Prometheus and the dashboard for Grafana.

    tools/metrics.py [ROOT]           write the three files
    tools/metrics.py --check [ROOT]   exit 1 and one line per file that is not up to date

An alert may name no metric that is not in the table and has a test (packaging/prometheus); each
metric is in a panel.
"""
import json
import os
import re
import sys

TABLE = "src/base/metric.h"
TESTS = "packaging/prometheus/tidemark.test.yml"
FILES = {
    "docs/METRICS.md": "page",
    "packaging/prometheus/tidemark.rules.yml": "rules",
    "packaging/grafana/tidemark.json": "dashboard",
}

# --- the table ---

ROW = re.compile(r"X\((METRIC_\w+),\s*((?:\"(?:[^\"\\]|\\.)*\"|[^()\"])*)\)", re.S)
STRINGS = re.compile(r"\"((?:[^\"\\]|\\.)*)\"")


class Metric:
    def __init__(self, name, type_, unit, labels, panel, help_):
        self.name, self.type, self.unit, self.help = name, type_, unit, help_
        self.labels = labels.split(",") if labels else []
        self.row, self.panel = panel.split("/", 1)


def cells_of(text, words):
    """The cells of a row; neighbouring strings are one, defined words stand for their text."""
    cells, depth = [""], False
    for part in re.findall(r"\"(?:[^\"\\]|\\.)*\"|,|\w+", text):
        if part == ",":
            cells.append("")
        else:
            cells[-1] += part[1:-1] if part.startswith('"') else words.get(part, part)
    return cells


def read(root, path):
    with open(os.path.join(root, path)) as f:
        return f.read()


def read_table(root):
    text = read(root, TABLE).replace("\\\n", "\n")
    words = dict(re.findall(r"#define (\w+) \"([^\"]*)\"", text))
    metrics = []
    for constant, rest in ROW.findall(text):
        cells = cells_of(rest, words)
        if len(cells) != 6:
            sys.exit("%s: %s has %d columns, not 6" % (TABLE, constant, len(cells)))
        metrics.append(Metric(cells[0], cells[1].lower(), *cells[2:]))
    return metrics


# --- alerts: name, severity, for, expression, summary, what to do ---

FOLLOWER = "{{ $labels.follower }}"
ALERTS = [
    ("TidemarkNodeAway", "critical", "1m", 'up{job="tidemark"} == 0',
     "{{ $labels.instance }} does not answer", "Look whether the process runs; its log says why it ended."),
    ("TidemarkPoisoned", "critical", "0m", 'tidemark_state{state="poisoned"} == 1',
     "{{ $labels.instance }} takes no writes: a log write failed",
     "Look at its disk, then restart it: nothing acknowledged is lost."),
    ("TidemarkHalted", "critical", "0m", 'tidemark_state{state="halted"} == 1',
     "{{ $labels.instance }} stopped before a record that it cannot apply", "Start it with a newer build."),
    ("TidemarkDiverged", "critical", "0m",
     'tidemark_state{state="diverged"} == 1 or tidemark_digest_differences_total > 0 or '
     "tidemark_replication_divergence_total > 0",
     "the state of {{ $labels.instance }}{{ with $labels.follower }} (follower {{ . }}){{ end }} is not its leader's",
     "It stops vouching for its data; status.json names what differs."),
    ("TidemarkFollowerDown", "warning", "1m", "tidemark_replication_connected == 0",
     FOLLOWER + " has no link to its leader", "Its log and status say why; the leader keeps the log for it."),
    ("TidemarkFollowerNeverSynced", "warning", "10m", "tidemark_replication_lag_seconds == +Inf",
     FOLLOWER + " has not reached its leader",
     "It shows old data or none: see its link and, while it copies, rebootstrapping."),
    ("TidemarkFollowerStuck", "critical", "1m",
     "tidemark_replication_lag_records > 0 and changes(tidemark_replication_applied_seqno[2m]) == 0",
     FOLLOWER + " lacks {{ $value }} records and does not move",
     "Look at its status: halted, a stopped process, a full disk, or a link that carries nothing."),
    ("TidemarkLagSeconds", "warning", "1m", "tidemark_replication_lag_seconds > 10 < +Inf",
     FOLLOWER + " may be {{ $value }} s behind",
     "Its disk, its processor or the network does not keep up, or its link is cut."),
    ("TidemarkLagBytes", "warning", "1m", "tidemark_replication_lag_bytes > 268435456",
     FOLLOWER + " is {{ $value | humanize1024 }}B of log behind",
     "It does not keep up with what is written; see the time by stage."),
    ("TidemarkCopiesAgain", "warning", "0m", 'increase(tidemark_resync_total{kind="bootstrap"}[1h]) > 3',
     "followers of {{ $labels.instance }} copy the whole state again and again ({{ $labels.reason }})",
     "A copy takes longer than the log is kept: raise slot_budget_bytes or bootstrap_rate."),
    ("TidemarkLogWentBack", "warning", "0m", "increase(tidemark_log_regressed_total[15m]) > 0",
     "the log of {{ $labels.instance }} went back",
     "It gave up records that its leader does not have: the event says which, they are in quarantine/."),
    ("TidemarkCopiesLong", "warning", "1h", "tidemark_replication_rebootstrapping == 1",
     FOLLOWER + " copies the state for over an hour", "See its progress in status; bootstrap_rate bounds its speed."),
    ("TidemarkSlotAtRisk", "warning", "0m",
     'tidemark_slot_seconds_until_lost < 3600 > 0 or '
     'tidemark_slot_state{state="at_risk"} == 1',
     "the log that is kept for " + FOLLOWER + " nears its budget",
     "Bring the follower back, raise slot_budget_bytes, or drop the slot: once it is lost it copies the whole state."),
    ("TidemarkSlotLost", "critical", "0m", 'tidemark_slot_state{state="lost"} == 1',
     "the log is no longer kept for " + FOLLOWER, "It copies the state when it comes back; drop the slot if it never will."),
    ("TidemarkDiskRung", "warning", "0m", "tidemark_disk_rung > 0 < 4",
     "the disk of {{ $labels.instance }} fills: rung {{ $value }}",
     "Free space or make the disk larger; status says what happens next."),
    ("TidemarkDiskFull", "critical", "0m", "tidemark_disk_rung >= 4",
     "{{ $labels.instance }} refuses writes: its disk is full", "Free space: writes go on by themselves."),
    ("TidemarkDiskFillsSoon", "warning", "10m", "tidemark_disk_seconds_until_full < 14400",
     "the disk of {{ $labels.instance }} is full in {{ $value | humanizeDuration }}",
     "Free space, make the disk larger, or let less log be kept."),
    ("TidemarkApplyErrors", "critical", "0m", "increase(tidemark_replication_apply_errors_total[10m]) > 0",
     FOLLOWER + " cannot apply a record", "Start it with a newer build."),
    ("TidemarkCheckpointOld", "warning", "5m",
     "tidemark_checkpoint_age_seconds > 3600 and delta(tidemark_log_applied_seqno[1h]) > 1000",
     "{{ $labels.instance }} writes and makes no checkpoint",
     "Its log grows and its next start takes long; see checkpoint failures, and mark_interval."),
    ("TidemarkCheckpointFailed", "warning", "0m", "increase(tidemark_checkpoint_failures_total[15m]) > 0",
     "{{ $labels.instance }} could not write a checkpoint", "The event says why; mostly the disk is full."),
    ("TidemarkLevelMissed", "warning", "5m", "rate(tidemark_durability_miss_total[5m]) > 0",
     "writes of {{ $labels.instance }} miss the level {{ $labels.level }}",
     "Followers that count are away or slow; see who is connected and whose acknowledgement is the last."),
    ("TidemarkDigestUnchecked", "warning", "0m", "increase(tidemark_digest_unchecked_total[1h]) > 10",
     "{{ $labels.instance }} does not compare its state with its leader's",
     "It is too slow to hash its state between two marks: raise mark_interval on the leader."),
    ("TidemarkClockStep", "warning", "1m", "tidemark_clock_step_pending == 1",
     "the wall clock of {{ $labels.instance }} stepped and is not followed",
     "Set the clock right, or say CLOCK ACCEPT."),
    ("TidemarkClientsFail", "warning", "5m",
     'sum by (instance) (rate(tidemark_commands_total{outcome=~"world|corruption|unknown"}[5m])) > 1',
     "{{ $labels.instance }} fails {{ $value | humanize }} commands a second", "See the state and the log of the node."),
]

KNOWN_ELSEWHERE = {"up"}
FUNCTIONS = {"changes", "delta", "increase", "rate", "sum", "by", "and", "or", "unless", "on", "instance", "Inf"}


def names_in(expression):
    bare = re.sub(r"\{[^}]*\}|\[\w+\]", "", expression)
    return set(re.findall(r"[a-zA-Z_]\w*", bare)) - FUNCTIONS


def check_alerts(metrics):
    known = KNOWN_ELSEWHERE | {m.name for m in metrics}
    for alert in ALERTS:
        for name in sorted(names_in(alert[3]) - known):
            yield "alert %s names %s, which is no metric of %s" % (alert[0], name, TABLE)


def check_tests(root, metrics):
    """Each alert fires in a test; the tests' series are metrics that exist."""
    text = read(root, TESTS)
    fired = set(re.findall(r"alertname: (\w+)\n +exp_alerts:\n +- exp_labels", text))
    for alert in ALERTS:
        if alert[0] not in fired:
            yield "alert %s fires in no test of %s" % (alert[0], TESTS)
    known = KNOWN_ELSEWHERE | {m.name for m in metrics}
    for name in sorted(set(re.findall(r"series: '(\w+)", text)) - known):
        yield "%s feeds %s, which is no metric of %s" % (TESTS, name, TABLE)


# --- the page ---

INTRO = """# Metrics

`GET /metrics` is Prometheus text (OpenMetrics when the request's `Accept` asks for it). All values of one scrape come from one moment.
Every node announces every metric; a series is absent where there is nothing to say, never 0 because nothing was heard: a follower that
never synced has no lag in records and bytes, +Inf in seconds, and is not connected. Lag counts from the leader's durable position. Both
sides tell their view: the leader one row for each follower, a follower one for itself. No clocks of two machines are subtracted.

`packaging/grafana/tidemark.json` shows all of them, `packaging/prometheus/tidemark.rules.yml` has the alerts below. This page and both
files are made from one table (`src/base/metric.h`) by `tools/metrics.py`.
"""


def page(metrics):
    lines = [INTRO, "| metric | type | labels | meaning |", "|---|---|---|---|"]
    for m in metrics:
        lines.append("| `%s` | %s | %s | %s |" % (
            m.name, m.type, ", ".join("`%s`" % label for label in m.labels), m.help.rstrip(".")))
    lines += ["", "## Alerts", "", "| alert | severity | when | what to do |", "|---|---|---|---|"]
    for name, severity, wait, expression, _, todo in ALERTS:
        when = "`%s`%s" % (expression.replace("|", "\\|"), "" if wait == "0m" else " for " + wait)
        lines.append("| `%s` | %s | %s | %s |" % (name, severity, when, todo))
    return "\n".join(lines) + "\n"


# --- the rules ---

def rules(metrics):
    del metrics
    lines = ["# Alerts for Tidemark: made by tools/metrics.py. Tests: tidemark.test.yml beside it.", "groups:",
             "  - name: tidemark", "    rules:"]
    for name, severity, wait, expression, summary, todo in ALERTS:
        lines += ["      - alert: %s" % name, "        expr: %s" % json.dumps(expression), "        for: %s" % wait,
                  "        labels:", "          severity: %s" % severity, "        annotations:",
                  "          summary: %s" % json.dumps(summary), "          description: %s" % json.dumps(todo)]
    return "\n".join(lines) + "\n"


# --- the dashboard ---

WIDTH, HEIGHT = 8, 7
SOURCE = {"type": "prometheus", "uid": "${source}"}


def queries_of(m):
    """Expression and legend of each line that a metric draws."""
    where = "{%s}" % ",".join(['instance=~"$instance"'] + (['follower=~"$follower|"'] if "follower" in m.labels else []))
    short = re.sub(r"^(tidemark_)?", "", m.name)
    legend = " ".join(["{{instance}}"] + ["{{%s}}" % label for label in m.labels if label not in ("region", "shard")])
    if m.type == "counter":
        return [("rate(%s%s[$__rate_interval])" % (m.name, where), "%s %s" % (legend, short))]
    if m.type == "histogram":
        by = ", ".join(["le", "instance"] + m.labels)
        return [("histogram_quantile(%s, sum by (%s) (rate(%s_bucket%s[$__rate_interval])))" % (q, by, m.name, where),
                 "%s p%s" % (legend, q[2:].ljust(2, "0"))) for q in ("0.5", "0.99")]
    if m.labels in (["role"], ["state"]):
        return [("%s%s == 1" % (m.name, where), legend)]
    return [(m.name + where, "%s %s" % (legend, short))]


def panel_of(title, members, place, number):
    unit = {"seconds": "s", "bytes": "bytes"}.get(members[0].unit, "short")
    if members[0].type == "counter":
        unit = "Bps" if unit == "bytes" else "cps"
    targets = []
    for m in members:
        for expression, legend in queries_of(m):
            targets.append({"datasource": SOURCE, "expr": expression, "legendFormat": legend,
                            "refId": chr(ord("A") + len(targets))})
    return {"id": number, "type": "timeseries", "title": title, "datasource": SOURCE,
            "description": "\n\n".join("%s: %s" % (m.name, m.help) for m in members),
            "gridPos": {"x": place % 3 * WIDTH, "y": place // 3 * HEIGHT, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0 if unit != "s" else None}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
            "targets": targets}


def panels_of(metrics):
    """Rows in the order of the table, but replication, what one looks for first, on top."""
    rows = list(dict.fromkeys(m.row for m in metrics))
    rows.sort(key=lambda row: row != "Replication")
    panels, y, number = [], 0, 1
    for row in rows:
        panels.append({"id": number, "type": "row", "title": row, "collapsed": False, "panels": [],
                       "gridPos": {"x": 0, "y": y, "w": 3 * WIDTH, "h": 1}})
        number, y = number + 1, y + 1
        titles = list(dict.fromkeys(m.panel for m in metrics if m.row == row))
        for place, title in enumerate(titles):
            panel = panel_of(title, [m for m in metrics if (m.row, m.panel) == (row, title)], place, number)
            panel["gridPos"]["y"] += y
            panels.append(panel)
            number += 1
        y += (len(titles) + 2) // 3 * HEIGHT
    return panels


def variable(name, metric, label):
    query = "label_values(%s, %s)" % (metric, label)
    return {"name": name, "type": "query", "datasource": SOURCE, "query": {"query": query, "refId": name},
            "definition": query, "includeAll": True, "multi": True, "refresh": 2, "sort": 1,
            "current": {"text": "All", "value": "$__all"}}


def dashboard(metrics):
    source = {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"}
    board = {"uid": "tidemark", "title": "Tidemark", "tags": ["tidemark"], "schemaVersion": 38, "version": 1,
             "editable": True, "refresh": "10s", "time": {"from": "now-1h", "to": "now"}, "timezone": "",
             "templating": {"list": [source, variable("instance", "tidemark_epoch", "instance"),
                                     variable("follower", "tidemark_replication_connected", "follower")]},
             "panels": panels_of(metrics)}
    return json.dumps(board, indent=1) + "\n"


# --- the program ---

def main(arguments):
    is_check = arguments[:1] == ["--check"]
    rest = arguments[1:] if is_check else arguments
    root = rest[0] if rest else os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    metrics = read_table(root)
    problems = list(check_alerts(metrics)) + list(check_tests(root, metrics))
    for path, maker in FILES.items():
        text = globals()[maker](metrics)
        full = os.path.join(root, path)
        if not is_check:
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w") as f:
                f.write(text)
        elif not os.path.exists(full) or read(root, path) != text:
            problems.append("%s is not what tools/metrics.py makes of %s; run it" % (path, TABLE))
    print("\n".join(problems) if problems else "metrics: ok, %d of them, %d alerts" % (len(metrics), len(ALERTS)))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
