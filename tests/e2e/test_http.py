#!/usr/bin/python3
"""The HTTP port as tools and people use it: commands as JSON, the members; and settings that change while a node runs."""

import json
import time
import urllib.error
import urllib.request

import tm


def post(node, words, status=200):
    """The answer to one command, which must have this HTTP status."""
    request = urllib.request.Request("http://%s/v1/command" % node.http, data=json.dumps(words).encode(),
                                     headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=tm.PATIENCE_S) as r:
            got, text = r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        got, text = e.code, e.read().decode()
    tm.equal(got, status, "%s: %s" % (words, text))
    return json.loads(text)


@tm.test
def a_command_as_json_does_what_it_does_as_resp(world):
    node = world.start("leader")
    token = post(node, ["SIGNAL", "view", "a", "W", 2.5, "AT", 1700000000000])
    tm.equal(token, node.call("POSITION"))
    tm.equal(post(node, ["SCORE", "view", "a", "AT", 1700000000000]), 2.5)
    tm.equal(post(node, ["COUNT", "view", "a", "all"]), 1)
    page = post(node, ["RETRIEVE", "top", "NOW", 1700000000000])
    tm.equal(page["items"][0][0], "a")
    tm.equal(page["cursor"], None)
    # Bytes that are no UTF-8 go both ways.
    post(node, ["SIGNAL", "view", {"base64": "/wA="}, "W", 100])
    tm.check({"base64": "/wA="} in [i[0] for i in post(node, ["RETRIEVE", "top"])["items"]], "the bytes came back")
    tm.contains(post(node, ["INFO", "replication"]), "role:master")
    tm.equal(post(node, ["SIGNAL", "nosuch", "a"], status=400)["error"]["code"], "SCHEMA")
    tm.equal(post(node, ["MULTI"], status=400)["error"]["code"], "ERR")
    names = post(node, ["COMMAND", "LIST"])
    tm.check("retrieve" in names, "%s", names)


@tm.test
def a_follower_names_the_leader_and_both_know_the_members(world):
    leader = world.start("leader")
    follower = world.start("f1", follow=leader)
    tm.until("the follower is connected", lambda: [f for f in leader.status_json()["followers"] if f["connected"]])
    tm.wait_equal(leader, follower)
    error = post(follower, ["SIGNAL", "view", "a"], status=421)["error"]
    tm.equal(error["code"], "READONLY")
    tm.contains(error["message"], leader.data)
    for node in (leader, follower):
        wanted = [("leader", "leader", leader.data), ("follower", "f1", follower.data)]
        tm.until("%s knows the members" % node.name, lambda n=node: [
            (m["role"], m["id"], m.get("data")) for m in json.loads(n.get("/topology.json")[1])["members"]] == wanted)
        tm.equal(json.loads(node.get("/topology.json")[1])["self"], node.name)


@tm.test
def a_changed_setting_takes_effect_and_is_shown(world):
    node = world.start("leader", "--mark-interval", "1h")
    node.call("SIGNAL", "view", "a")
    time.sleep(0.3)
    tm.equal(node.status_json()["digest_mark"], 0)
    tm.equal(node.call("CONFIG", "SET", "mark_interval", "100ms", "log_level", "error"), "OK")
    tm.until("a mark after the new interval", lambda: node.status_json()["digest_mark"] > 0)
    shown = tm.pairs(node.call("CONFIG", "GET", "mark_interval*"))
    tm.equal(shown["mark_interval"], "100ms")
    tm.equal(shown["mark_interval.source"], "CONFIG SET")
    tm.contains(node.error("CONFIG", "SET", "port", "1"), "port is fixed at the start")
    tm.contains(node.error("CONFIG", "SET", "log_level", "info", "markinterval", "1s"), "did you mean mark_interval?")
    tm.equal(tm.pairs(node.call("CONFIG", "GET", "log_level"))["log_level"], "error")


tm.main()
