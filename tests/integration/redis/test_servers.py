# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers, healthy and broken: what redis_stats and the probe say of them."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.check import Check, Status
from ansible_collections.bilingual_tutor.ops.plugins.module_utils.redis.parse import COMMANDS, GRANTS

from .conftest import Server, free_port, look, until

SECRET = "tops3cret-passphrase"


def test_a_healthy_server_has_nothing_to_say(server: Server) -> None:
    server.start()
    first = server.look(host="127.0.0.1", port=server.port, unix_socket="")
    second = server.look(first.state, host="127.0.0.1", port=server.port, unix_socket="")
    for looked in (first, second):
        # The wheel of 6.2 is open to a known hole, which is a finding of its own below.
        looked.checks = [check for check in looked.checks if check.id != "redis.version"]
        assert looked.bad() == {}
        assert looked["redis.up"].status is Status.OK
        assert looked["redis.exposure"].summary == "listens on loopback only"
    assert second["redis.hit_rate"].reason == "insufficient_data"
    assert json.loads(json.dumps(second.state)) == second.state


def test_versions_are_told_apart(server: Server) -> None:
    looked = server.start().look()
    name, version = looked.stats["server"]["name"], looked.stats["server"]["version"]
    if server.flavour == "valkey":
        assert name == "Valkey"
        assert looked["redis.version"].status is Status.OK
    elif server.flavour == "redis-6.2":
        assert name == "Redis"
        assert version.startswith("6.2.")
        assert looked["redis.version"].status is Status.CRITICAL
        assert looked["redis.latency.p999"].status is Status.SKIPPED
        assert "not in this version" in looked["redis.latency.p999"].summary
    else:
        assert looked["redis.version"].status is Status.OK
        assert "distribution" in looked["redis.version"].summary


def test_no_memory_limit_is_worth_a_warning(system: Server) -> None:
    looked = system.start(maxmemory="0").look()
    assert set(looked.bad()) == {"redis.mem.unbounded"}
    assert looked["redis.mem.unbounded"].status is Status.WARNING
    assert looked["redis.mem.maxmemory"].status is Status.SKIPPED


# Passwords and permissions


def test_wrong_password(server: Server) -> None:
    server.start(requirepass="the-right-one-42")
    looked = server.look(password=SECRET)
    assert [check.id for check in looked.checks] == ["redis.up"]
    up = looked["redis.up"]
    assert (up.status, up.reason) == (Status.CRITICAL, "denied")
    assert "user default" in up.summary
    assert SECRET not in looked.text()
    # Our own refused login of that run is not reported as somebody's attack by the next one.
    good = server.look(server.look(password="the-right-one-42").state, password="the-right-one-42")
    assert good["redis.acl_denied"].value == 0
    worse = server.look(server.look(good.state, password=SECRET).state, password="the-right-one-42")
    assert worse["redis.acl_denied"].value == 0
    with pytest.raises(redis.RedisError, match="invalid username-password"):
        server.client(password="guess").ping()
    attacked = server.look(worse.state, password="the-right-one-42")
    assert attacked["redis.acl_denied"].value == 1
    assert attacked["redis.acl_denied"].status is Status.WARNING


def test_password_on_one_side_only(server: Server) -> None:
    server.start(requirepass="the-right-one-42")
    assert server.look()["redis.up"].message == "redis.up.password_wanted"
    server.admin.config_set("requirepass", "")
    assert server.look(password=SECRET)["redis.up"].message == "redis.up.no_password_set"


def test_the_documented_user_suffices(server: Server) -> None:
    server.start()
    server.admin.execute_command("ACL", "SETUSER", "ops", "on", f">{SECRET}", *GRANTS.values())
    looked = server.look(username="ops", password=SECRET)
    assert looked["redis.access"].status is Status.OK
    assert [check.id for check in looked.checks if check.reason == "denied"] == []
    assert SECRET not in looked.text()


def test_a_user_without_config(server: Server) -> None:
    server.start()
    grants = [grant for grant in GRANTS.values() if "config" not in grant]
    server.admin.execute_command("ACL", "SETUSER", "ops", "on", f">{SECRET}", *grants)
    first = server.look(username="ops", password=SECRET)
    second = server.look(first.state, username="ops", password=SECRET)
    for looked in (first, second):
        bad = looked.bad()
        bad.pop("redis.version", None)
        assert set(bad) == {"redis.access"}
        assert "CONFIG GET" in looked["redis.access"].summary
        assert looked["redis.exposure"].status is Status.SKIPPED
        assert looked["redis.exposure"].reason == "denied"
        assert looked["redis.rdb"].reason == "denied"
        assert looked["redis.slowlog"].status is Status.OK
    # The nine refusals of our own first run do not count against anybody.
    assert second["redis.acl_denied"].value == 0
    # The advice is a command: it is run as it is written, and then everything may be looked at.
    server.admin.execute_command(*first["redis.access"].evidence[0].split())
    assert server.look(second.state, username="ops", password=SECRET)["redis.access"].status is Status.OK


def test_a_user_who_may_do_nothing(server: Server) -> None:
    server.start()
    server.admin.execute_command("ACL", "SETUSER", "nobody", "on", f">{SECRET}")
    looked = server.look(username="nobody", password=SECRET)
    assert set(looked.bad()) == {"redis.access"}
    for command in GRANTS:
        assert command in looked["redis.access"].summary
    assert looked["redis.up"].reason == "denied"
    assert looked.state["own_denials"] == len(COMMANDS)


def test_open_to_the_world(system: Server) -> None:
    system.start(bind="0.0.0.0", protected_mode="no")
    assert system.look()["redis.exposure"].status is Status.CRITICAL
    system.admin.config_set("protected-mode", "yes")
    assert system.look()["redis.exposure"].status is Status.WARNING
    system.admin.config_set("requirepass", SECRET)
    assert system.look(password=SECRET)["redis.exposure"].status is Status.OK


# Down, stopped, slow, foreign


def test_stopped_server(server: Server) -> None:
    server.start().freeze()
    looked = server.look({"run_id": "x", "at": 1.0}, seconds=0.4)
    up = looked["redis.up"]
    assert (up.status, up.reason, up.message) == (Status.CRITICAL, "timeout", "redis.up.silent")
    assert "0.4 s" in up.summary
    assert looked.seconds < 4.0  # 0.4, and room for a busy machine
    assert looked.state == {"run_id": "x", "at": 1.0}


def test_nothing_listens(system: Server) -> None:
    system.start().stop()
    looked = look(port=system.port)
    assert looked["redis.up"].message == "redis.up.refused"
    assert looked["redis.up"].status is Status.CRITICAL
    assert look(unix_socket="/nonexistent/redis.sock")["redis.up"].message == "redis.up.no_socket"
    assert look(host="no-such-host.invalid")["redis.up"].message == "redis.up.unresolved"


@contextlib.contextmanager
def _stand_in(*answers: bytes, pause: float = 0.0) -> Iterator[int]:
    """Something on a port that sends these bytes, then waits until the client leaves."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                client, _address = listener.accept()
                with client:
                    client.recv(65536)
                    for answer in answers:
                        client.sendall(answer)
                        time.sleep(pause)
                    while client.recv(65536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.close()
            thread.join(5)


def test_a_server_that_drips_is_bounded() -> None:
    with _stand_in(b"$100000\r\n", *[b"x"] * 100, pause=0.05) as port:
        looked = look(port=port, seconds=0.4)
    assert looked["redis.up"].message == "redis.up.drip"
    assert looked["redis.up"].reason == "timeout"
    assert looked.seconds < 4.0  # 0.4, and room for a busy machine


def test_something_else_on_the_port() -> None:
    with _stand_in(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert look(port=port, seconds=1)["redis.up"].message == "redis.up.foreign"


def test_full_server(system: Server) -> None:
    system.start(maxclients="2")
    clients = [system.admin for _number in range(2)]
    for client in clients:
        client.ping()
    assert system.look()["redis.up"].message == "redis.up.full"
    for client in clients:
        client.connection_pool.disconnect()
    until(lambda: system.look()["redis.up"].status is Status.OK, "room again")


def test_loading(server: Server) -> None:
    # While it loads, a server looks at its clients every 2 MB only: 100 keys, 0.2 s with the delay.
    server.start(rdbcompression="no")
    server.admin.execute_command("DEBUG", "POPULATE", "1000", "key", "20000")
    server.admin.save()
    server.stop()
    server.start(wait=False, key_load_delay="2000")

    def loading() -> Check | None:
        up = server.look()["redis.up"]
        return up if up.message == "redis.up.loading" else None

    up = until(loading, "the server says that it loads")
    assert (up.status, up.reason) == (Status.WARNING, "state")
    assert re.search(r"loading its data set \(\d+\.\d+ %, \d+ s\)", up.summary)


# Memory


def test_memory_near_its_limit(server: Server) -> None:
    server.start(maxmemory="0")
    server.admin.set("big", "x" * 20_000_000)
    used = int(server.admin.info("memory")["used_memory"])
    server.admin.config_set("maxmemory", int(used / 0.96))
    assert server.look()["redis.mem.maxmemory"].status is Status.CRITICAL
    server.admin.config_set("maxmemory", int(used / 0.92))
    assert server.look()["redis.mem.maxmemory"].status is Status.WARNING
    server.admin.config_set("maxmemory-policy", "noeviction")
    assert server.look()["redis.mem.maxmemory"].status is Status.CRITICAL
    own = {"redis.mem.maxmemory": {"warn": "@93:", "crit": "@97:"}}
    assert server.look(thresholds=own)["redis.mem.maxmemory"].status is Status.OK
    only_warn = {"redis.mem.maxmemory": {"warn": "@50:"}}
    assert server.look(thresholds=only_warn)["redis.mem.maxmemory"].crit == "@90:"


def test_refused_writes(server: Server) -> None:
    server.start(maxmemory="1", maxmemory_policy="noeviction")
    first = server.look()
    for _number in range(3):
        with pytest.raises(redis.ResponseError, match="OOM|memory"):
            server.admin.set("a", "b")
    second = server.look(first.state)
    assert second["redis.oom_errors"].status is Status.CRITICAL
    assert second["redis.oom_errors"].value == 3
    assert server.look(second.state)["redis.oom_errors"].status is Status.OK


def test_evictions_count_by_role_and_policy(server: Server) -> None:
    server.start()
    before = server.look()
    client = server.admin
    client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 300_000)
    for number in range(100):
        client.set(f"k{number}", "x" * 20_000, ex=3600)
    evicted = int(client.info("stats")["evicted_keys"])
    assert evicted > 10
    assert server.look(before.state)["redis.evictions"].message == "redis.evictions.intended"
    assert server.look(before.state, role="store")["redis.evictions"].status is Status.CRITICAL
    client.config_set("maxmemory-policy", "volatile-lru")
    graded = server.look(before.state)["redis.evictions"]
    assert graded.status is Status.WARNING
    assert evicted <= graded.value <= 100


def test_a_policy_that_finds_nothing(system: Server) -> None:
    system.start(maxmemory="0", maxmemory_policy="volatile-lru")
    system.admin.set("big", "x" * 20_000_000)
    system.admin.config_set("maxmemory", int(int(system.admin.info("memory")["used_memory"]) / 0.85))
    assert system.look()["redis.evictions"].message == "redis.evictions.impossible"
    system.admin.expire("big", 3600)
    assert system.look()["redis.evictions"].status is Status.OK


# Slow log


def test_slow_commands_are_counted_once_and_grouped(server: Server) -> None:
    server.start()
    first = server.look()
    server.admin.execute_command("DEBUG", "SLEEP", "0.02")
    second = server.look(first.state, thresholds={"redis.slowlog.slowest": {"crit": "10"}})
    assert second["redis.slowlog"].status is Status.WARNING
    assert second["redis.slowlog"].params["count"] == 1
    assert second["redis.slowlog"].evidence[0].startswith("DEBUG: 1 x")
    assert second["redis.slowlog.slowest"].status is Status.CRITICAL
    third = server.look(second.state)
    assert third["redis.slowlog"].status is Status.OK
    assert third["redis.slowlog.slowest"].status is Status.OK


def test_a_slow_log_that_forgets(server: Server) -> None:
    server.start(slowlog_max_len="2")
    first = server.look()
    for _number in range(5):
        server.admin.execute_command("DEBUG", "SLEEP", "0.011")
    second = server.look(first.state)
    assert second["redis.slowlog"].params["count"] == 5
    assert second["redis.slowlog.lost"].value == 3
    assert second["redis.slowlog.lost"].status is Status.WARNING
    # Emptied by hand, the ring is not full: the gap in the ids is no loss.
    server.admin.slowlog_reset()
    server.admin.execute_command("DEBUG", "SLEEP", "0.011")
    assert server.look(first.state)["redis.slowlog.lost"].status is Status.OK


def test_a_slow_log_that_is_off(system: Server) -> None:
    looked = system.start(slowlog_log_slower_than="-1").look()
    assert looked["redis.slowlog"].message == "redis.slowlog.off"
    assert looked["redis.slowlog"].status is Status.WARNING


def test_arguments_of_users_stay_where_they_are(server: Server) -> None:
    server.start(slowlog_log_slower_than="0", latency_monitor_threshold="1")
    server.admin.set("user:17", SECRET)
    server.admin.execute_command("ACL", "SETUSER", "other", "on", f">{SECRET}")
    with pytest.raises(redis.RedisError, match="invalid username-password"):
        server.client(username=SECRET, password="x").ping()
    looked = server.look({"run_id": server.look().state["run_id"], "at": 1.0})
    assert looked["redis.acl_denied"].evidence == ["1 x failed login"]
    assert looked.stats["slowlog"]["new"] > 1
    assert SECRET not in looked.text()


def test_latency_spikes(system: Server) -> None:
    system.start(latency_monitor_threshold="10")
    first = system.look()
    assert first["redis.latency_monitor"].message == "redis.latency_monitor.quiet"
    system.admin.execute_command("DEBUG", "SLEEP", "0.12")
    spike = system.look(first.state)["redis.latency_monitor"]
    assert spike.status is Status.WARNING
    assert "command" in spike.summary


# Restarts, persistence, replication


def test_a_restart_is_seen_and_starts_the_counters_anew(server: Server) -> None:
    server.start()
    for _number in range(30):
        server.admin.get("absent")
    first = server.look()
    server.stop()
    server.start()
    server.admin.get("absent")
    second = server.look(first.state)
    assert second["redis.restart"].status is Status.WARNING
    assert second.stats["lookups"] == 1
    third = server.look(second.state)
    assert third["redis.restart"].status is Status.OK
    assert third["redis.restart"].value == 1
    server.stop()
    server.start()
    fourth = server.look(third.state)
    server.stop()
    server.start()
    assert server.look(fourth.state)["redis.restart"].status is Status.CRITICAL


def test_statistics_that_were_reset(server: Server) -> None:
    server.start()
    for _number in range(30):
        server.admin.get("absent")
    first = server.look()
    server.admin.config_resetstat()
    server.admin.get("absent")
    assert server.look(first.state).stats["lookups"] == 1


def test_a_snapshot_that_fails(server: Server) -> None:
    server.start()
    server.admin.set("a", "b")
    shutil.rmtree(server.data)
    server.admin.bgsave()
    until(lambda: server.admin.info("persistence")["rdb_last_bgsave_status"] == "err", "the snapshot fails")
    failed = server.look()["redis.rdb"]
    assert (failed.status, failed.message) == (Status.CRITICAL, "redis.rdb.failed")
    server.data.mkdir()


def test_an_old_snapshot_matters_only_after_changes(system: Server) -> None:
    system.start()
    assert system.look()["redis.rdb"].message == "redis.rdb.clean"
    system.admin.set("a", "b")
    limits = {"redis.rdb": {"warn": "~:-1", "crit": ""}}
    assert system.look(thresholds=limits)["redis.rdb"].status is Status.WARNING
    system.admin.config_set("save", "")
    assert system.look(thresholds=limits)["redis.rdb"].status is Status.SKIPPED


def test_replication_and_its_loss(server: Server, make) -> None:
    master = make(server.flavour).start(repl_diskless_sync_delay="0")
    server.start(replicaof=f"127.0.0.1 {master.port}", repl_timeout="5")
    until(lambda: server.admin.info("replication")["master_link_status"] == "up", "the link is up", 15)
    until(lambda: server.look()["redis.replication.link"].status is Status.OK, "in step")
    first = master.look()
    assert first["redis.replication.lag"].status is Status.OK
    assert first["redis.replication.lag_bytes"].status is Status.OK
    master.admin.set("a", "b" * 1000)
    assert master.look(first.state)["redis.replication.backlog_window"].value is not None
    assert server.look(expected_role="replica")["redis.role"].status is Status.OK
    assert server.look(expected_role="master")["redis.role"].status is Status.CRITICAL
    master.stop()
    until(lambda: server.admin.info("replication")["master_link_status"] == "down", "the link is down")
    link = server.look()["redis.replication.link"]
    assert link.status is Status.CRITICAL
    assert f"127.0.0.1:{master.port}" in link.summary


# Cost


def test_a_million_keys_cost_nothing(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.start(maxmemory="1gb", save="")
    server.admin.execute_command("DEBUG", "POPULATE", "1000000")
    state = server.look().state
    server.admin.config_resetstat()
    looked = server.look(state)
    # The statistics hold our exchange, and the CONFIG RESETSTAT that began them.
    spent = {
        name: fields["usec"]
        for name, fields in server.admin.info("commandstats").items()
        if name not in ("cmdstat_config|resetstat",)
    }
    total = sum(spent.values()) / 1000
    with capsys.disabled():
        print(f"\n{server.flavour}: {looked.stats['keyspace']['keys']} keys, {total:.3f} ms of server time", end=" ")
    assert looked.stats["keyspace"]["keys"] == 1_000_000
    assert {name.split("_", 1)[1].split("|")[0] for name in spent} >= {"info", "ping", "slowlog", "config"}
    assert total < 5.0


def test_port_that_is_free_refuses() -> None:
    assert look(port=free_port())["redis.up"].reason == "state"
