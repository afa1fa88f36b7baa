"""What Prometheus itself makes of /metrics and of the alert rules that come with it: it reads both forms,
finds every metric that docs/METRICS.md names, and sees a follower that is gone."""
import json
import os
import socket
import subprocess
import urllib.parse
import urllib.request

import tm
from tm import check, contains, equal, test, until

ROOT = os.path.dirname(os.path.dirname(tm.HERE))
RULES = os.path.join(ROOT, "packaging", "prometheus", "tidemark.rules.yml")

CONFIG = """
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: ["%s"]
scrape_configs:
  - job_name: tidemark
    static_configs: [{targets: %s}]
"""


def free_port():
    """Prometheus takes no port 0."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Prometheus:
    def __init__(self, world, *nodes):
        tm.need("prometheus")
        config = world.path("prometheus.yml")
        self.address = "127.0.0.1:%d" % free_port()
        with open(config, "w") as f:
            f.write(CONFIG % (RULES, json.dumps([n.http for n in nodes])))
        with open(world.path("prometheus.log"), "w") as log:
            self.process = subprocess.Popen(
                ["prometheus", "--config.file", config, "--storage.tsdb.path", world.path("tsdb"),
                 "--web.listen-address", self.address], stdout=log, stderr=log)
        world.at_end.append(self.stop)
        until("Prometheus answers", lambda: self.ask("targets"))

    def stop(self):
        self.process.kill()
        self.process.wait()

    def ask(self, what, **arguments):
        url = "http://%s/api/v1/%s?%s" % (self.address, what, urllib.parse.urlencode(arguments))
        try:
            with urllib.request.urlopen(url, timeout=tm.PATIENCE_S) as r:
                return json.load(r)["data"]
        except OSError:
            return None

    def value(self, query):
        """Of the one series that the query gives; None when there is none."""
        result = self.ask("query", query=query)["result"]
        check(len(result) <= 1, "%s has %d answers", query, len(result))
        return float(result[0]["value"][1]) if result else None


def documented():
    with open(os.path.join(ROOT, "docs", "METRICS.md")) as f:
        return {line.split("`")[1] for line in f if line.startswith("| `") and " alert" not in line and "Tidemark" not in line[:14]}


@test
def prometheus_finds_every_metric_and_sees_a_follower_that_is_gone(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader)
    with leader.connect() as c:
        c.pipe([["SIGNAL", "view", "a"] for _ in range(200)])
    tm.wait_equal(leader, f)
    prometheus = Prometheus(world, leader, f)
    for node in (leader, f):
        until("%s is read" % node.name, lambda node=node: prometheus.value('up{instance="%s"}' % node.http) == 1)
        equal(prometheus.value('tidemark_log_applied_seqno{instance="%s"}' % node.http), node.seqno())
    known = set(prometheus.ask("metadata"))  # a counter is told without _total in this form
    missing = {name for name in documented() if name not in known and name.removesuffix("_total") not in known}
    equal(missing, set())
    equal(prometheus.value('tidemark_replication_lag_records{instance="%s",follower="f"}' % leader.http), 0)
    equal(prometheus.ask("query", query="ALERTS")["result"], [])
    f.kill()
    alert = 'ALERTS{alertname="TidemarkFollowerDown",instance="%s",follower="f"}' % leader.http
    until("the alert waits", lambda: prometheus.value(alert) == 1)
    until("the other, too", lambda: prometheus.value('ALERTS{alertname="TidemarkNodeAway",instance="%s"}' % f.http) == 1)


@test
def both_forms_tell_the_same_and_stages_are_timed(world):
    leader = world.start("leader")
    f = world.start("f", follow=leader)
    with leader.connect() as c:
        for i in range(200):
            c.call("SIGNAL", "view", "a")
    tm.wait_equal(leader, f)
    request = urllib.request.Request("http://%s/metrics" % leader.http, headers={"Accept": "application/openmetrics-text"})
    with urllib.request.urlopen(request, timeout=tm.PATIENCE_S) as r:
        contains(r.headers["Content-Type"], "application/openmetrics-text; version=1.0.0")
        text = r.read().decode()
    check(text.endswith("\n# EOF\n"), "%r", text[-20:])
    contains(text, "# TYPE tidemark_commands counter\n", "# UNIT tidemark_log_bytes bytes\n")
    plain = leader.metrics().judge()
    other = tm.Metrics(text)
    equal({(n, tuple(l.items())) for n, l, _ in other.rows if "le" not in l},
          {(n, tuple(l.items())) for n, l, _ in plain.rows if "le" not in l})
    count = "tidemark_replication_stage_seconds_count"
    for stage in ("append", "sync", "apply"):
        check(plain.of(count, stage=stage) >= 3, "%s of the leader", stage)
    for stage in ("ship", "ack"):
        check(plain.of(count, stage=stage, follower="f") >= 1, "%s of the link", stage)
    for stage in ("receive", "store", "apply"):
        check(f.metrics().judge().of(count, stage=stage, follower="f") >= 1, "%s of the follower", stage)


if __name__ == "__main__":
    tm.main()
