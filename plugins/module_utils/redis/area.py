# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a Redis or Valkey server: titles, advice, default thresholds and every sentence in both languages.

A rule that depends on the role of the server (cache or store), on its policy or on its configuration says so where it
is decided, in ``rules.py``.
"""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

_RULES = {
    "redis.up": Rule(
        title=Text("Redis answers", "Redis 可用"),
        fix=Text(
            "systemctl status redis-server; journalctl -u redis-server -n 50. Wrong password: compare the inventory's user "
            "and password with requirepass or ACL LIST on the server. A process in state T was stopped: kill -CONT PID.",
            "执行 systemctl status redis-server 和 journalctl -u redis-server -n 50。密码错误：核对清单中的用户和密码与服务器的 "
            "requirepass 或 ACL LIST。进程状态为 T 表示被暂停：kill -CONT PID。",
        ),
        source="samber RedisDown; no PONG in 3 s",
    ),
    "redis.ping": Rule(
        title=Text("Redis response time", "Redis 响应时间"),
        fix=Text(
            "redis-cli --latency; look at redis.slowlog, redis.cpu and redis.fork of the same run, then at the host's CPU "
            "pressure.",
            "执行 redis-cli --latency；查看同次检查中的 redis.slowlog、redis.cpu 和 redis.fork，再看主机 CPU 压力。",
        ),
        warn="10",
        uom="ms",
        source="Redis latency documentation; median of 5 when the first is slow",
    ),
    "redis.access": Rule(
        title=Text("Redis checks are permitted", "Redis 检查权限"),
        fix=Text(
            "Run the ACL SETUSER command of the evidence as an administrator in redis-cli, then ACL SAVE (with an aclfile) or "
            "CONFIG REWRITE. Nothing in it reads or writes keys.",
            "以管理员身份在 redis-cli 中执行证据里的 ACL SETUSER 命令，再执行 ACL SAVE（使用 aclfile 时）或 CONFIG REWRITE。"
            "该授权不读写任何键。",
        ),
    ),
    "redis.latency.p999": Rule(
        title=Text("Slowest commands (p99.9)", "命令延迟 p99.9"),
        fix=Text(
            "redis-cli SLOWLOG GET 20 shows the calls; replace commands that walk large keys, or split those keys.",
            "用 redis-cli SLOWLOG GET 20 查看具体调用；替换遍历大键的命令，或拆分大键。",
        ),
        warn="50",
        crit="250",
        uom="ms",
        source="chosen; the slow log's default is 10 ms",
    ),
    "redis.hit_rate": Rule(
        title=Text("Cache hit rate", "缓存命中率"),
        fix=Text(
            "See redis.evictions (memory too small: raise maxmemory), redis.restart (cold cache) and the times to live the "
            "application sets.",
            "查看 redis.evictions（内存不足则调大 maxmemory）、redis.restart（冷缓存）以及应用设置的过期时间。",
        ),
        warn="80:",
        crit="70:",
        uom="%",
        source="runbook 80/70; Netdata 80",
    ),
    "redis.mem.maxmemory": Rule(
        title=Text("Memory against maxmemory", "内存占 maxmemory 比例"),
        fix=Text(
            "redis-cli --bigkeys finds what is large; raise maxmemory if the host has room, or shorten times to live.",
            "用 redis-cli --bigkeys 查找大键；主机内存充足则调大 maxmemory，否则缩短过期时间。",
        ),
        warn="@80:",
        crit="@95:",
        uom="%",
        source="runbook 80; samber and Linuxfabrik 90; critical at 90 with noeviction",
    ),
    "redis.mem.unbounded": Rule(
        title=Text("Memory limit is set", "已设置内存上限"),
        fix=Text(
            "Set maxmemory and maxmemory-policy in redis.conf (the application's own values: 256mb, allkeys-lru), then "
            "systemctl restart redis-server or CONFIG SET.",
            "在 redis.conf 中设置 maxmemory 和 maxmemory-policy（应用自身取值：256mb、allkeys-lru），"
            "然后 systemctl restart redis-server 或 CONFIG SET。",
        ),
        crit="60",
        uom="%",
        source="Redis administration guide; Linuxfabrik",
    ),
    "redis.mem.system": Rule(
        title=Text("Redis share of host memory", "Redis 占主机内存比例"),
        fix=Text(
            "Lower maxmemory or give the host more memory, before the kernel's OOM killer ends Redis or the application.",
            "降低 maxmemory 或增加主机内存，避免内核 OOM 杀掉 Redis 或应用。",
        ),
        warn="75",
        crit="90",
        uom="%",
        source="redis mixin and samber 90",
    ),
    "redis.frag": Rule(
        title=Text("Memory fragmentation", "内存碎片率"),
        fix=Text(
            "CONFIG SET activedefrag yes (jemalloc builds); otherwise restart in the maintenance window.",
            "执行 CONFIG SET activedefrag yes（jemalloc 版本）；否则在维护窗口重启。",
        ),
        warn="1.4",
        crit="2.0",
        source="MEMORY DOCTOR; active-defrag-ignore-bytes 100 MB",
    ),
    "redis.swap": Rule(
        title=Text("Redis memory in swap", "Redis 使用交换区"),
        fix=Text(
            "Find what else fills the host's memory (free -m, ps aux --sort=-rss), lower maxmemory, then restart Redis in the "
            "window to bring it back from swap.",
            "查明占用内存的其他进程（free -m、ps aux --sort=-rss），降低 maxmemory，再于维护窗口重启 Redis 使其离开交换区。",
        ),
        warn="0",
        crit="64",
        uom="MiB",
        source="Redis latency documentation; netdata#13691",
    ),
    "redis.peak": Rule(
        title=Text("Peak memory", "内存峰值"),
        fix=Text("Nothing to do: MEMORY DOCTOR calls it harmless.", "无需处理：MEMORY DOCTOR 认为无害。"),
        source="MEMORY DOCTOR",
    ),
    "redis.evictions": Rule(
        title=Text("Evicted keys", "键淘汰速率"),
        fix=Text(
            "Raise maxmemory, or shorten the times to live of what is cached. A store must not evict: set noeviction and give "
            "it room.",
            "调大 maxmemory，或缩短缓存过期时间。作为存储时不应淘汰：设置 noeviction 并保证内存。",
        ),
        warn="10",
        crit="1000",
        uom="/min",
        source="runbook 10/min",
    ),
    "redis.oom_errors": Rule(
        title=Text("Writes refused for memory", "因内存不足拒绝写入"),
        fix=Text(
            "Writes fail now: raise maxmemory, or set a policy that may evict (CONFIG SET maxmemory-policy allkeys-lru for a "
            "cache).",
            "写入正在失败：调大 maxmemory，或设置可淘汰策略（缓存可用 CONFIG SET maxmemory-policy allkeys-lru）。",
        ),
        crit="0",
        source="errorstat OOM: refusal of writes with noeviction",
    ),
    "redis.expired_stale_perc": Rule(
        title=Text("Expired keys still in memory", "已过期未清理的键"),
        fix=Text(
            "Many keys expire at one moment: let the application spread its times to live.",
            "大量键同时过期：请让应用错开过期时间。",
        ),
        warn="10",
        crit="25",
        uom="%",
        source="the expire cycle loops above 25 % (Redis latency documentation)",
    ),
    "redis.clients": Rule(
        title=Text("Connected clients", "客户端连接数"),
        fix=Text(
            "redis-cli CLIENT LIST shows who holds connections; a growing number is a pool that is never closed. Raise "
            "maxclients only after that.",
            "用 redis-cli CLIENT LIST 查看连接来源；持续增长说明连接池未释放。确认后再调大 maxclients。",
        ),
        warn="@80:",
        crit="@95:",
        uom="%",
        source="samber 90 % of maxclients",
    ),
    "redis.rejected_connections": Rule(
        title=Text("Rejected connections", "被拒绝的连接"),
        fix=Text(
            "maxclients or the limit of open files was reached: redis-cli CLIENT LIST, then LimitNOFILE of the unit.",
            "已达到 maxclients 或文件句柄上限：先看 redis-cli CLIENT LIST，再看单元的 LimitNOFILE。",
        ),
        warn="0",
        crit="50",
        source="Netdata warns above 0; samber 5/min",
    ),
    "redis.client_buffers": Rule(
        title=Text("Client buffers, average", "客户端缓冲区均值"),
        fix=Text(
            "redis-cli CLIENT LIST, column tot-mem: some client sends or fetches far too much at once.",
            "查看 redis-cli CLIENT LIST 的 tot-mem 列：有客户端一次收发过多数据。",
        ),
        warn="204800",
        uom="B",
        source="MEMORY DOCTOR 200 kB",
    ),
    "redis.client_buffers.max": Rule(
        title=Text("Client buffers, largest", "客户端缓冲区最大值"),
        fix=Text(
            "redis-cli CLIENT LIST, columns qbuf and omem, names the client; set client-output-buffer-limit if it cannot be "
            "repaired.",
            "查看 redis-cli CLIENT LIST 的 qbuf 和 omem 列定位客户端；无法修复时设置 client-output-buffer-limit。",
        ),
        crit="67108864",
        uom="B",
        source="chosen",
    ),
    "redis.replica_buffers": Rule(
        title=Text("Replica buffers", "副本缓冲区"),
        fix=Text(
            "A replica reads too slowly: look at its redis.up and at the network between the two.",
            "副本读取过慢：检查副本的 redis.up 以及两者之间的网络。",
        ),
        warn="10485760",
        crit="268435456",
        uom="B",
        source="MEMORY DOCTOR 10 MB; default hard limit 256 MB",
    ),
    "redis.blocked_clients": Rule(
        title=Text("Blocked clients", "阻塞的客户端"),
        fix=Text(
            "redis-cli CLIENT LIST, flag b. An application that waits with BLPOP is meant to block: switch the warning off "
            "with an empty threshold.",
            "查看 redis-cli CLIENT LIST 中带 b 标志的连接。使用 BLPOP 等待的应用属正常：将该阈值设为空即可关闭告警。",
        ),
        warn="50",
        uom="%",
        source="chosen",
    ),
    "redis.slowlog": Rule(
        title=Text("Slow commands", "慢命令"),
        fix=Text(
            "redis-cli SLOWLOG GET 20 shows the calls with their arguments; the evidence groups them by command.",
            "用 redis-cli SLOWLOG GET 20 查看带参数的调用；证据已按命令汇总。",
        ),
        warn="@1:",
        crit="@20:",
        uom="/h",
        source="Redis defaults 10 ms / 128",
    ),
    "redis.slowlog.slowest": Rule(
        title=Text("Slowest command", "最慢命令"),
        fix=Text(
            "One command held up everything else for that long: redis-cli SLOWLOG GET 20, then replace or split it.",
            "单条命令阻塞了其他所有请求：执行 redis-cli SLOWLOG GET 20，然后替换或拆分该命令。",
        ),
        crit="1000",
        uom="ms",
        source="runbook 1.0 s",
    ),
    "redis.slowlog.lost": Rule(
        title=Text("Slow log kept everything", "慢日志无丢失"),
        fix=Text(
            "CONFIG SET slowlog-max-len 1024 and CONFIG REWRITE: the ring was overwritten between two runs.",
            "执行 CONFIG SET slowlog-max-len 1024 和 CONFIG REWRITE：两次检查之间环形日志被覆盖。",
        ),
        warn="0",
        source="gap in the ids",
    ),
    "redis.latency_monitor": Rule(
        title=Text("Latency spikes", "延迟尖峰"),
        fix=Text(
            "redis-cli LATENCY DOCTOR explains the events; switch the monitor on with CONFIG SET latency-monitor-threshold "
            "100.",
            "用 redis-cli LATENCY DOCTOR 查看说明；用 CONFIG SET latency-monitor-threshold 100 打开监控。",
        ),
        warn="100",
        crit="1000",
        uom="ms",
        source="example of the documentation; default is off",
    ),
    "redis.fork": Rule(
        title=Text("Duration of the last fork", "最近一次 fork 耗时"),
        fix=Text(
            "Redis stands still while it forks: transparent huge pages off, a smaller data set, fewer snapshots.",
            "fork 期间 Redis 停顿：关闭透明大页、减小数据量、减少快照次数。",
        ),
        warn="100",
        crit="1000",
        uom="ms",
        source="9-23 ms per GB are normal (Redis latency documentation)",
    ),
    "redis.rdb": Rule(
        title=Text("Snapshots succeed", "RDB 快照正常"),
        fix=Text(
            "journalctl -u redis-server | grep -i -E 'saving|rdb', df -h of the directory, its owner; then redis-cli BGSAVE.",
            "执行 journalctl -u redis-server | grep -i -E 'saving|rdb'，检查目录的 df -h 与属主；再执行 redis-cli BGSAVE。",
        ),
        warn="26",
        crit="48",
        uom="h",
        source="samber 48 h; Netdata bgsave_broken",
    ),
    "redis.bgsave_slow": Rule(
        title=Text("Running snapshot", "进行中的快照"),
        fix=Text("The disk is too slow or full: iostat -x 1, df -h.", "磁盘过慢或已满：iostat -x 1、df -h。"),
        warn="600",
        crit="1200",
        uom="s",
        source="Netdata",
    ),
    "redis.aof": Rule(
        title=Text("Append-only file", "AOF 持久化"),
        fix=Text(
            "Write error: df -h and the owner of the directory. Delayed fsync: the disk is busy, see host io. Grown file: "
            "redis-cli BGREWRITEAOF in the window.",
            "写入失败：检查 df -h 和目录属主。fsync 延迟：磁盘繁忙，查看主机 IO。文件过大：在维护窗口执行 redis-cli BGREWRITEAOF。",
        ),
        source="INFO persistence",
    ),
    "redis.replication.link": Rule(
        title=Text("Replication link", "复制链路"),
        fix=Text(
            "On the replica: journalctl -u redis-server -n 50; can it reach the master's port, is masterauth right?",
            "在副本上执行 journalctl -u redis-server -n 50；确认能连通主节点端口、masterauth 正确。",
        ),
        source="Netdata",
    ),
    "redis.replication.lag": Rule(
        title=Text("Replication lag", "复制延迟"),
        fix=Text(
            "Look at load and network of the replica; its redis.up and redis.cpu.",
            "检查副本的负载和网络，以及其 redis.up 和 redis.cpu。",
        ),
        warn="10",
        crit="60",
        uom="s",
        source="defaults: repl-ping-replica-period 10 s, repl-timeout 60 s",
    ),
    "redis.replication.lag_bytes": Rule(
        title=Text("Replication lag in bytes", "复制延迟字节数"),
        fix=Text(
            "Beyond the backlog the replica must copy everything: raise repl-backlog-size, look at its network.",
            "超过积压缓冲区将触发全量同步：调大 repl-backlog-size 并检查网络。",
        ),
        warn="1048576",
        uom="B",
        source="repl-backlog-size 1 MB; critical above the server's own backlog",
    ),
    "redis.replication.backlog_window": Rule(
        title=Text("Replication backlog", "复制积压窗口"),
        fix=Text(
            "CONFIG SET repl-backlog-size: bytes written per second times the longest break to survive.",
            "CONFIG SET repl-backlog-size：按每秒写入字节数乘以需要容忍的最长中断时间设置。",
        ),
        warn="60:",
        crit="10:",
        uom="s",
        source="chosen: a partial resync must survive a blip",
    ),
    "redis.replication.full_sync": Rule(
        title=Text("Full resynchronisations", "全量同步次数"),
        fix=Text(
            "Expected once for a new replica. Otherwise: short breaks and a small backlog, see "
            "redis.replication.backlog_window.",
            "新增副本时出现一次属正常。否则为链路抖动且积压过小，参见 redis.replication.backlog_window。",
        ),
        warn="0",
        crit="2",
        uom="/h",
        source="Linuxfabrik sync_partial_err",
    ),
    "redis.role": Rule(
        title=Text("Replication role", "复制角色"),
        fix=Text(
            "The inventory and the server disagree: correct expected_role, or REPLICAOF on the server.",
            "清单与服务器不一致：修正 expected_role，或在服务器上执行 REPLICAOF。",
        ),
        source="samber MissingMaster",
    ),
    "redis.keyspace": Rule(
        title=Text("Number of keys", "键数量"),
        fix=Text(
            "Ask who flushed or filled it: redis-cli INFO commandstats | grep -i flush, redis.restart, the application's log.",
            "查明是谁清空或灌入：redis-cli INFO commandstats | grep -i flush，redis.restart 以及应用日志。",
        ),
        warn="-50:100",
        uom="%",
        source="median of the last 7 days; detects FLUSHDB",
    ),
    "redis.ttl_coverage": Rule(
        title=Text("Keys with a time to live", "带过期时间的键"),
        fix=Text(
            "A cache key without time to live stays for ever: find the code that calls SET without EX.",
            "无过期时间的缓存键将永久驻留：查找未带 EX 的 SET 调用。",
        ),
        warn="50:",
        uom="%",
        source="leak detector",
    ),
    "redis.scripts": Rule(
        title=Text("Cached scripts", "缓存的脚本"),
        fix=Text(
            "Some client builds its scripts with values inside: pass them as ARGV. SCRIPT FLUSH frees the memory.",
            "有客户端把参数拼进脚本：应通过 ARGV 传参。SCRIPT FLUSH 可释放内存。",
        ),
        warn="1000",
        source="MEMORY DOCTOR",
    ),
    "redis.acl_denied": Rule(
        title=Text("Refused logins and commands", "被拒绝的登录和命令"),
        fix=Text(
            "redis-cli ACL LOG 10 names user and address; a wrong password in some service, or somebody who tries.",
            "用 redis-cli ACL LOG 10 查看用户和地址；可能是某服务密码错误，或有人在尝试。",
        ),
        warn="0",
        crit="100",
        uom="/h",
        source="acl_access_denied_*; before 7.2 errorstat NOPERM and WRONGPASS",
    ),
    "redis.exposure": Rule(
        title=Text("Reachable without password", "无密码暴露"),
        fix=Text(
            "bind 127.0.0.1 -::1 and protected-mode yes in redis.conf; if others must reach it, requirepass or ACL users and a "
            "firewall.",
            "在 redis.conf 中设置 bind 127.0.0.1 -::1 和 protected-mode yes；如需远程访问，设置 requirepass 或 ACL 用户并配置防火墙。",
        ),
        source="Lynis DBS-1884 and DBS-1888",
    ),
    "redis.os": Rule(
        title=Text("Kernel settings for Redis", "内核参数"),
        fix=Text(
            "sysctl vm.overcommit_memory=1, sysctl net.core.somaxconn=1024 (keep them in /etc/sysctl.d), and echo madvise > "
            "/sys/kernel/mm/transparent_hugepage/enabled.",
            "sysctl vm.overcommit_memory=1、sysctl net.core.somaxconn=1024（写入 /etc/sysctl.d），"
            "并 echo madvise > /sys/kernel/mm/transparent_hugepage/enabled。",
        ),
        source="Redis administration guide; Linuxfabrik",
    ),
    "redis.restart": Rule(
        title=Text("Restarts of Redis", "Redis 重启"),
        fix=Text(
            "journalctl -u redis-server --since -1d: an upgrade, an operator, or the OOM killer (journalctl -k | grep -i oom)?",
            "执行 journalctl -u redis-server --since -1d：升级、人工操作，还是 OOM（journalctl -k | grep -i oom）？",
        ),
        warn="0",
        crit="2",
        source="run_id changed; 3 in 24 h",
    ),
    "redis.cpu": Rule(
        title=Text("Redis main thread", "Redis 主线程 CPU"),
        fix=Text(
            "Redis serves all clients in one thread: the top commands of redis_stats say what fills it.",
            "Redis 用单线程处理所有请求：查看 redis_stats 的 top_commands 找出占用者。",
        ),
        warn="80",
        crit="95",
        uom="%",
        source="single thread",
    ),
    "redis.version": Rule(
        title=Text("Redis version", "Redis 版本"),
        fix=Text(
            "Upgrade to a maintained branch, or use the package of the distribution, which is patched with the system.",
            "升级到受维护的分支，或改用发行版软件包（随系统更新打补丁）。",
        ),
        source="endoflife.date; release notes of 2025-10-03",
    ),
}

_SENTENCES = {
    # redis.up
    "redis.up.ok": Text(
        "{server} {version} answers, up {days:.1f} days", "{server} {version} 响应正常，已运行 {days:.1f} 天"
    ),
    "redis.up.refused": Text(
        "no connection to {item}: {detail}; is the server running?", "无法连接 {item}：{detail}；服务是否在运行？"
    ),
    "redis.up.no_socket": Text(
        "there is no socket {item}: the server is down or listens elsewhere (unixsocket in redis.conf)",
        "套接字 {item} 不存在：服务未运行或监听其他路径（redis.conf 的 unixsocket）",
    ),
    "redis.up.forbidden_socket": Text(
        "this user may not open the socket {item}: add it to the group redis, or become root",
        "当前用户无权打开套接字 {item}：加入 redis 组或使用 root",
    ),
    "redis.up.connect_timeout": Text(
        "{item} did not accept the connection within {waited:.1f} s", "{item} 在 {waited:.1f} 秒内未接受连接"
    ),
    "redis.up.silent": Text(
        "{item} accepted the connection but did not answer INFO within {waited:.1f} s: the process is stopped or blocked",
        "{item} 已接受连接，但 {waited:.1f} 秒内未响应 INFO：进程被暂停或阻塞",
    ),
    "redis.up.drip": Text(
        "{item} did not finish its answer within {waited:.1f} s ({detail} bytes came)",
        "{item} 在 {waited:.1f} 秒内未完成应答（收到 {detail} 字节）",
    ),
    "redis.up.closed": Text(
        "{item} closed the connection without an answer ({detail}); does the port want TLS?",
        "{item} 未应答即关闭连接（{detail}）；该端口是否需要 TLS？",
    ),
    "redis.up.foreign": Text(
        "what listens on {item} does not speak the Redis protocol: {detail}", "{item} 上的服务不是 Redis 协议：{detail}"
    ),
    "redis.up.full": Text(
        "{item} refuses new clients: maxclients is reached", "{item} 拒绝新连接：已达到 maxclients 上限"
    ),
    "redis.up.protected": Text(
        "{item} is in protected mode: it serves loopback only until a password is set",
        "{item} 处于保护模式：设置密码前仅接受本机连接",
    ),
    "redis.up.wrong_password": Text(
        "{item} refused user {user}: wrong password, or the user is disabled or does not exist; compare the inventory with "
        "requirepass or ACL LIST",
        "{item} 拒绝用户 {user}：密码错误、用户被禁用或不存在；请核对清单与服务器的 requirepass 或 ACL LIST",
    ),
    "redis.up.password_wanted": Text(
        "{item} wants a password and none is set in the inventory (user {user})",
        "{item} 需要密码，但清单中未设置（用户 {user}）",
    ),
    "redis.up.no_password_set": Text(
        "{item} has no password, but the inventory gives one: set requirepass on the server, or take it out of the inventory",
        "{item} 未设置密码，但清单中有密码：请在服务器设置 requirepass，或从清单中删除",
    ),
    "redis.up.loading": Text(
        "{item} is loading its data set{progress}; commands are refused until then",
        "{item} 正在加载数据{progress}；完成前拒绝命令",
    ),
    "redis.up.tls_silent": Text(
        "{item} did not finish the TLS handshake within {waited:.1f} s: stopped, or does this port speak TLS at all?",
        "{item} 在 {waited:.1f} 秒内未完成 TLS 握手：进程被暂停，或该端口未启用 TLS？",
    ),
    "redis.up.certificate": Text(
        "the certificate of {item} is not accepted: {detail}; see tls_ca and the name in the certificate",
        "不接受 {item} 的证书：{detail}；检查 tls_ca 与证书中的名称",
    ),
    "redis.up.tls": Text(
        "no TLS with {item}: {detail}; does this port speak TLS, does it want a client certificate (tls_cert, tls_key)?",
        "无法与 {item} 建立 TLS：{detail}；该端口是否启用 TLS，是否要求客户端证书（tls_cert、tls_key）？",
    ),
    "redis.up.unresolved": Text("the name in {item} does not resolve: {detail}", "{item} 的主机名无法解析：{detail}"),
    "redis.up.resolver_silent": Text(
        "the resolver did not answer for {detail} within {waited:.1f} s", "解析 {detail} 在 {waited:.1f} 秒内无结果"
    ),
    "redis.up.library": Text(
        "the Python library redis is missing or unusable here: run the playbook prepare (it installs python3-redis)",
        "本机缺少可用的 Python 库 redis：请运行 prepare 剧本（会安装 python3-redis）",
    ),
    "redis.up.misconfigured": Text("could not look: {detail}", "无法检查：{detail}"),
    # not looked at
    "redis.skip.denied": Text("user {user} may not run {command}", "用户 {user} 无权执行 {command}"),
    "redis.skip.refused": Text("the server does not offer {command}: {answer}", "服务器不提供 {command}：{answer}"),
    "redis.skip.version": Text(
        "{server} {version} does not report {field}: not in this version", "{server} {version} 无 {field}：该版本不提供"
    ),
    "redis.skip.store": Text("not judged for a store, only for a cache", "仅对缓存判断，存储角色不适用"),
    "redis.skip.no_limit": Text(
        "no maxmemory is set, see redis.mem.unbounded", "未设置 maxmemory，参见 redis.mem.unbounded"
    ),
    "redis.skip.remote": Text("the server is not a process of this host", "服务器不是本机进程"),
    "redis.skip.no_replicas": Text("no replica is attached", "没有副本"),
    "redis.skip.not_replica": Text("the server is not a replica", "不是副本"),
    "redis.skip.alone": Text("neither replica nor with replicas", "没有复制关系"),
    "redis.skip.aof_off": Text("the append-only file is switched off", "未启用 AOF"),
    "redis.skip.save_off": Text("no snapshots are configured", "未配置快照"),
    "redis.skip.no_role": Text("no expected_role is declared", "未声明 expected_role"),
    # too little to judge
    "redis.thin.first": Text(
        "first look: counted from now on ({total:.0f} since the server started)",
        "首次检查：从现在起计数（启动以来 {total:.0f}）",
    ),
    "redis.thin.begin": Text("first look: compared from now on", "首次检查：从现在起比较"),
    "redis.thin.traffic": Text(
        "insufficient traffic: {lookups:.0f} look-ups in {minutes:.0f} min, 1000 wanted",
        "流量不足：{minutes:.0f} 分钟内查询 {lookups:.0f} 次，需要 1000 次",
    ),
    "redis.thin.uptime": Text(
        "up for {minutes:.0f} min only, the cache is still cold", "仅运行 {minutes:.0f} 分钟，缓存尚未预热"
    ),
    "redis.thin.samples": Text("{count} of 7 samples, {keys:.0f} keys now", "样本 {count}/7，当前 {keys:.0f} 个键"),
    "redis.thin.small": Text("too small to judge: {what}", "数量太小，不作判断：{what}"),
    # the checks
    "redis.ping.took": Text("answers in {value:.2f} ms", "响应 {value:.2f} 毫秒"),
    "redis.access.full": Text("user {user} may run every command of the check", "用户 {user} 拥有全部检查权限"),
    "redis.access.denied": Text(
        "user {user} may not run {commands}: {number} checks are skipped; grant: {grant}",
        "用户 {user} 无权执行 {commands}：跳过 {number} 项检查；授权：{grant}",
    ),
    "redis.latency.worst": Text("{command}: p99.9 {value:.2f} ms", "{command}：p99.9 为 {value:.2f} 毫秒"),
    "redis.latency.few": Text(
        "no command was called 1000 times in {minutes:.0f} min", "{minutes:.0f} 分钟内没有命令达到 1000 次"
    ),
    "redis.hit_rate.window": Text(
        "hit rate {value:.1f} % over {lookups:.0f} look-ups in {minutes:.0f} min",
        "命中率 {value:.1f} %，{minutes:.0f} 分钟内查询 {lookups:.0f} 次",
    ),
    "redis.mem.used": Text(
        "{value:.1f} % of maxmemory {limit_mib:.0f} MiB used (policy {policy})",
        "已用 maxmemory {limit_mib:.0f} MiB 的 {value:.1f} %（策略 {policy}）",
    ),
    "redis.mem.limit_set": Text("maxmemory is {limit_mib:.0f} MiB", "maxmemory 为 {limit_mib:.0f} MiB"),
    "redis.mem.no_limit": Text(
        "maxmemory is 0: Redis may take all memory of the host, {value:.1f} % now",
        "maxmemory 为 0：Redis 可能耗尽主机内存，当前 {value:.1f} %",
    ),
    "redis.mem.share": Text("{value:.1f} % of the host's memory", "占主机内存 {value:.1f} %"),
    "redis.frag.ratio": Text(
        "allocator fragmentation {value:.2f}, {wasted_mib:.0f} MiB", "分配器碎片率 {value:.2f}，{wasted_mib:.0f} MiB"
    ),
    "redis.frag.harmless": Text(
        "fragmentation {value:.2f} of {used_mib:.0f} MiB wastes {wasted_mib:.0f} MiB: not worth attention",
        "{used_mib:.0f} MiB 的碎片率 {value:.2f}，浪费 {wasted_mib:.0f} MiB：无需关注",
    ),
    "redis.swap.amount": Text("{value:.0f} MiB of Redis are in swap", "Redis 有 {value:.0f} MiB 在交换区"),
    "redis.swap.resident": Text(
        "{percent:.0f} % of used memory is resident", "已用内存的 {percent:.0f} % 驻留在物理内存"
    ),
    "redis.peak.ratio": Text("peak {value:.2f} times of now", "峰值为当前的 {value:.2f} 倍"),
    "redis.evictions.rate": Text("{value:.1f} keys evicted per minute", "每分钟淘汰 {value:.1f} 个键"),
    "redis.evictions.intended": Text(
        "{value:.1f} keys evicted per minute: what {policy} is for, the hit rate does not suffer",
        "每分钟淘汰 {value:.1f} 个键：{policy} 策略的正常行为，命中率未受影响",
    ),
    "redis.evictions.store": Text(
        "{value:.1f} keys evicted per minute from a store: data is lost",
        "存储角色每分钟淘汰 {value:.1f} 个键：数据丢失",
    ),
    "redis.evictions.impossible": Text(
        "{policy} finds nothing to evict: none of {keys:.0f} keys has a time to live, memory at {percent:.0f} %",
        "{policy} 无键可淘汰：{keys:.0f} 个键均无过期时间，内存 {percent:.0f} %",
    ),
    "redis.oom_errors.count": Text(
        "{value:.0f} writes refused since the last run", "自上次检查拒绝写入 {value:.0f} 次"
    ),
    "redis.expired_stale_perc.share": Text(
        "{value:.1f} % of expiring keys are past their time", "{value:.1f} % 的键已过期未清理"
    ),
    "redis.clients.share": Text(
        "{count:.0f} of {limit:.0f} clients ({value:.1f} %)", "连接 {count:.0f}/{limit:.0f}（{value:.1f} %）"
    ),
    "redis.rejected_connections.count": Text(
        "{value:.0f} connections rejected since the last run", "自上次检查拒绝连接 {value:.0f} 次"
    ),
    "redis.client_buffers.average": Text("{kib:.1f} KiB per client", "每个客户端 {kib:.1f} KiB"),
    "redis.client_buffers.largest": Text("largest recent buffer {mib:.2f} MiB", "最近最大缓冲区 {mib:.2f} MiB"),
    "redis.replica_buffers.size": Text("{mib:.1f} MiB wait for replicas", "待发送给副本 {mib:.1f} MiB"),
    "redis.blocked_clients.share": Text(
        "{count:.0f} of {total:.0f} clients blocked", "{total:.0f} 个客户端中 {count:.0f} 个阻塞"
    ),
    "redis.slowlog.rate": Text(
        "{count:.0f} slow commands (over {limit_ms:.0f} ms) in {minutes:.0f} min",
        "{minutes:.0f} 分钟内慢命令（超过 {limit_ms:.0f} 毫秒）{count:.0f} 条",
    ),
    "redis.slowlog.off": Text(
        "slowlog-log-slower-than is {setting}: the slow log tells nothing, set 10000",
        "slowlog-log-slower-than 为 {setting}：慢日志无意义，请设为 10000",
    ),
    "redis.slowlog.longest": Text(
        "slowest new command {value:.1f} ms ({command})", "最慢新命令 {value:.1f} 毫秒（{command}）"
    ),
    "redis.slowlog.none": Text("no new slow command", "没有新的慢命令"),
    "redis.slowlog.gap": Text(
        "{value:.0f} slow commands were overwritten unseen", "{value:.0f} 条慢命令在读取前被覆盖"
    ),
    "redis.latency_monitor.off": Text(
        "the latency monitor is off; CONFIG SET latency-monitor-threshold 100 would name the cause of spikes",
        "延迟监控未开启；CONFIG SET latency-monitor-threshold 100 可定位尖峰原因",
    ),
    "redis.latency_monitor.quiet": Text("no spike since the last run", "自上次检查无尖峰"),
    "redis.latency_monitor.spike": Text("{event}: {value:.0f} ms", "{event}：{value:.0f} 毫秒"),
    "redis.fork.none": Text("no fork yet", "尚未 fork"),
    "redis.fork.took": Text("the last fork took {value:.1f} ms", "最近一次 fork 耗时 {value:.1f} 毫秒"),
    "redis.rdb.failed": Text(
        "the last snapshot failed; {changes:.0f} changes are not on disk, the last good one is {hours:.1f} h old",
        "最近一次快照失败；{changes:.0f} 次变更未落盘，最近成功于 {hours:.1f} 小时前",
    ),
    "redis.rdb.age": Text(
        "last snapshot {value:.1f} h ago, {changes:.0f} changes since",
        "最近快照 {value:.1f} 小时前，之后 {changes:.0f} 次变更",
    ),
    "redis.rdb.clean": Text("nothing changed since the last snapshot", "上次快照后无变更"),
    "redis.bgsave_slow.running": Text("a snapshot runs for {value:.0f} s", "快照已运行 {value:.0f} 秒"),
    "redis.bgsave_slow.none": Text("no snapshot is running", "没有进行中的快照"),
    "redis.aof.failed": Text("the append-only file fails: {what}", "AOF 失败：{what}"),
    "redis.aof.delayed": Text(
        "{count:.0f} delayed fsyncs since the last run: the disk is too slow",
        "自上次检查 fsync 延迟 {count:.0f} 次：磁盘过慢",
    ),
    "redis.aof.grown": Text(
        "the file is {ratio:.1f} times its size after the last rewrite ({mib:.0f} MiB)",
        "文件为上次重写后的 {ratio:.1f} 倍（{mib:.0f} MiB）",
    ),
    "redis.aof.fine": Text("writes and rewrites succeed", "写入与重写正常"),
    "redis.replication.up": Text("in step with {master}", "与 {master} 保持同步"),
    "redis.replication.syncing": Text("copying everything from {master}", "正在从 {master} 全量同步"),
    "redis.replication.down": Text(
        "the link to {master} is down for {seconds:.0f} s", "与 {master} 的链路已断开 {seconds:.0f} 秒"
    ),
    "redis.replication.behind": Text("{value:.0f} s behind", "落后 {value:.0f} 秒"),
    "redis.replication.behind_bytes": Text("{value:.0f} bytes behind", "落后 {value:.0f} 字节"),
    "redis.replication.window": Text("the backlog holds {value:.0f} s of writes", "积压缓冲可容纳 {value:.0f} 秒写入"),
    "redis.replication.no_writes": Text("no writes since the last run", "自上次检查无写入"),
    "redis.replication.full": Text(
        "{count:.0f} full resynchronisations since the last run", "自上次检查全量同步 {count:.0f} 次"
    ),
    "redis.role.right": Text("role {role} as declared", "角色 {role}，与声明一致"),
    "redis.role.wrong": Text("role {role}, declared is {expected}", "角色为 {role}，声明为 {expected}"),
    "redis.keyspace.change": Text(
        "{keys:.0f} keys, {value:+.0f} % against the median {median:.0f} of 7 days",
        "{keys:.0f} 个键，相比 7 天中位数 {median:.0f} 变化 {value:+.0f} %",
    ),
    "redis.keyspace.gone": Text(
        "no key is left, {median:.0f} were usual: was it flushed?", "键已清空，平时约 {median:.0f} 个：是否被 FLUSH？"
    ),
    "redis.ttl_coverage.share": Text(
        "{value:.1f} % of {keys:.0f} keys expire", "{keys:.0f} 个键中 {value:.1f} % 有过期时间"
    ),
    "redis.scripts.count": Text("{value:.0f} scripts cached", "缓存脚本 {value:.0f} 个"),
    "redis.acl_denied.rate": Text(
        "{count:.0f} refused logins or commands since the last run", "自上次检查拒绝登录或命令 {count:.0f} 次"
    ),
    "redis.exposure.none": Text("no TCP port", "未监听 TCP 端口"),
    "redis.exposure.loopback": Text("listens on loopback only", "仅监听本机回环"),
    "redis.exposure.password": Text("listens beyond this host, with a password", "监听外部地址，已设密码"),
    "redis.exposure.open": Text(
        "user default needs no password and the port listens on {bind} (protected-mode {protected})",
        "default 用户无需密码，且监听 {bind}（protected-mode {protected}）",
    ),
    "redis.os.fine": Text("overcommit, huge pages and backlog are as advised", "内存超分、大页与队列设置符合建议"),
    "redis.os.advice": Text("advised otherwise: {what}", "建议调整：{what}"),
    "redis.restart.none": Text(
        "no restart since the last run, {value:.0f} in 24 h", "自上次检查未重启，24 小时内 {value:.0f} 次"
    ),
    "redis.restart.seen": Text(
        "restarted {minutes:.0f} min ago, {value:.0f} in 24 h", "{minutes:.0f} 分钟前重启，24 小时内 {value:.0f} 次"
    ),
    "redis.cpu.share": Text("main thread uses {value:.1f} % of a core", "主线程占用单核 {value:.1f} %"),
    "redis.version.fine": Text("{server} {version}", "{server} {version}"),
    "redis.version.distribution": Text(
        "{server} {version}: the branch ended upstream on {day}, the distribution's package is patched with the system",
        "{server} {version}：上游分支已于 {day} 停止维护，发行版软件包随系统更新打补丁",
    ),
    "redis.version.packaged": Text(
        "{server} {version}: package of the distribution, patched with the system",
        "{server} {version}：发行版软件包，随系统更新打补丁",
    ),
    "redis.version.ended": Text(
        "{server} {version}: nobody repairs this branch since {day}", "{server} {version}：该分支自 {day} 起无人维护"
    ),
    "redis.version.hole": Text("{server} {version} is open to {hole}", "{server} {version} 存在漏洞 {hole}"),
}

AREA = Area("redis", rules=_RULES, sentences=_SENTENCES)
