# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a web server: titles, advice, default thresholds and every sentence in both languages."""

from __future__ import annotations

from ansible_collections.bilingual_tutor.ops.plugins.module_utils.area import Area, Rule, Text

PHASES = ("dns", "connect", "tls", "first_byte")
_PHASE_FIXES = {
    "dns": Text(
        "Look at /etc/resolv.conf and the name servers it names; put names that must always work into /etc/hosts.",
        "检查 /etc/resolv.conf 及其中的 DNS 服务器；必须始终可用的名称写入 /etc/hosts。",
    ),
    "connect": Text(
        "The network or a full accept queue: ss -ltn (Recv-Q against Send-Q), ping, the firewall's counters.",
        "网络问题或监听队列已满：查看 ss -ltn（Recv-Q 与 Send-Q）、ping 以及防火墙计数。",
    ),
    "tls": Text(
        "The server is short of CPU or the certificate chain is long: look at cpu.util and the chain.",
        "服务器 CPU 不足或证书链过长：查看 cpu.util 与证书链。",
    ),
    "first_byte": Text(
        "The application itself is slow: its log, slow database queries, busy workers (gunicorn --workers).",
        "应用本身慢：查看应用日志、慢查询，以及 worker 是否占满（gunicorn --workers）。",
    ),
}
_PHASE_TITLES = {
    "dns": Text("Name resolution time", "域名解析耗时"),
    "connect": Text("Connect time", "建立连接耗时"),
    "tls": Text("TLS handshake time", "TLS 握手耗时"),
    "first_byte": Text("Time to the first byte", "首字节耗时"),
}
_COUNT = Text("; {failed} of {tried} requests failed", "；{tried} 次请求中 {failed} 次失败")


def _failure(en: str, zh: str) -> Text:
    return Text(en + _COUNT.en, zh + _COUNT.zh)


AREA = Area(
    "http",
    rules={
        "http.status": Rule(
            title=Text("HTTP answer", "HTTP 应答"),
            fix=Text(
                "Try it by hand: curl -sv URL. No answer: systemctl status nginx bilingual-tutor and their journal. "
                "Wrong status: the application's gunicorn_error.log. Wrong address: correct the url of the probe.",
                "手工验证：curl -sv URL。无应答：systemctl status nginx bilingual-tutor，并看日志；"
                "状态码不符：查 gunicorn_error.log；地址有误：修改探测的 url。",
            ),
            source="2 of 3 attempts (uptime-kuma#3881)",
        ),
        "http.body": Rule(
            title=Text("HTTP body", "HTTP 响应内容"),
            fix=Text(
                "Compare curl -s URL with the body, json and max_bytes the probe expects; then the application's log.",
                "将 curl -s URL 的结果与探测的 body、json、max_bytes 对照，再查应用日志。",
            ),
        ),
        "http.total": Rule(
            title=Text("Response time", "响应时间"),
            fix=Text(
                "The evidence shows which phase took the time. first_byte: the application (slow queries, busy "
                "workers); dns: /etc/resolv.conf; connect: network or accept queue. Limits: max_seconds, critical_seconds.",
                "证据中列出各阶段耗时：first_byte 慢查应用（慢查询、worker 占满）；dns 慢查 /etc/resolv.conf；"
                "connect 慢查网络或监听队列。阈值见 max_seconds、critical_seconds。",
            ),
            warn="2",
            crit="5",
            uom="s",
            source="runbook: response time < 2 s",
        ),
        "http.cert": Rule(
            title=Text("TLS certificate", "TLS 证书"),
            fix=Text(
                "Renew it (certbot renew, then systemctl reload nginx); a wrong name or chain: correct ssl_certificate "
                "(full chain) and server_name in nginx. A private CA: set ca_path of the probe.",
                "续期（certbot renew 后 systemctl reload nginx）；名称或证书链有误：修正 nginx 的 ssl_certificate"
                "（完整链）与 server_name；私有 CA：设置探测的 ca_path。",
            ),
            warn="14:",
            crit="7:",
            uom="d",
            source="Netdata 14/7 days",
        ),
        **{
            f"http.{phase}": Rule(title=_PHASE_TITLES[phase], fix=_PHASE_FIXES[phase], uom="ms", source="runbook D2.1")
            for phase in PHASES
        },
    },
    sentences={
        "http.answered": Text(
            "{item}: status {code} after {seconds:.3f} s", "{item}：状态码 {code}，耗时 {seconds:.3f} 秒"
        ),
        "http.body_ok": Text("{item}: {bytes} bytes as expected", "{item}：内容符合预期，{bytes} 字节"),
        "http.body_unseen": Text(
            "{item}: body not looked at, there was no good answer", "{item}：没有正常应答，未检查内容"
        ),
        "http.took": Text(
            "{item}: {value:.3f} s in total (DNS {dns_ms:.1f}, connect {connect_ms:.1f}, TLS {tls_ms:.1f}, "
            "first byte {first_byte_ms:.1f} ms)",
            "{item}：总耗时 {value:.3f} 秒（DNS {dns_ms:.1f}、连接 {connect_ms:.1f}、TLS {tls_ms:.1f}、"
            "首字节 {first_byte_ms:.1f} 毫秒）",
        ),
        "http.untimed": Text("{item}: no complete answer to time", "{item}：没有完整应答，无法计时"),
        "http.phase": Text("{item}: {phase} {value:.1f} ms", "{item}：{phase} {value:.1f} 毫秒"),
        "http.not_asked": Text(
            "{item}: not asked, no time was left: raise timeout or parallel of the probe",
            "{item}：时间已用尽，未发出请求：请调大探测的 timeout 或 parallel",
        ),
        "http.untrusted": Text(
            "{item}: nothing was sent, the server's certificate is not trusted (http.cert)",
            "{item}：服务器证书不可信，未发送请求（见 http.cert）",
        ),
        "http.cert_days": Text(
            "{item}: certificate of {host} is valid for {value:.1f} more days, until {until}",
            "{item}：{host} 的证书还有 {value:.1f} 天到期（{until}）",
        ),
        "http.cert_bad": Text(
            "{item}: certificate of {host} is rejected: {error}", "{item}：{host} 的证书校验失败：{error}"
        ),
        "http.cert_unseen": Text("{item}: no certificate was seen", "{item}：未取得证书"),
        "http.dns_timeout": _failure(
            "{item}: name resolution of {host} got no answer in {waited:.1f} s",
            "{item}：解析 {host} 在 {waited:.1f} 秒内无应答",
        ),
        "http.dns_failed": _failure(
            "{item}: name {host} cannot be resolved: {error}", "{item}：无法解析 {host}：{error}"
        ),
        "http.connect_failed": _failure(
            "{item}: no connection to {address}: {error}", "{item}：无法连接 {address}：{error}"
        ),
        "http.connect_timeout": _failure(
            "{item}: {address} did not accept a connection in {waited:.1f} s",
            "{item}：{address} 在 {waited:.1f} 秒内未接受连接",
        ),
        "http.tls_failed": _failure(
            "{item}: TLS handshake with {address} failed: {error}", "{item}：与 {address} 的 TLS 握手失败：{error}"
        ),
        "http.no_first_byte": _failure(
            "{item}: connected to {address}, but no byte of an answer in {waited:.1f} s",
            "{item}：已连接 {address}，但 {waited:.1f} 秒内没有任何应答",
        ),
        "http.slow": _failure(
            "{item}: answer still incomplete after {waited:.1f} s, {bytes} bytes received",
            "{item}：{waited:.1f} 秒后应答仍不完整，已收到 {bytes} 字节",
        ),
        "http.broken": _failure(
            "{item}: answer breaks off or is not HTTP: {error}", "{item}：应答中断或不是 HTTP：{error}"
        ),
        "http.truncated": _failure(
            "{item}: answer breaks off, {missing} bytes short of its Content-Length",
            "{item}：应答中断，比 Content-Length 少 {missing} 字节",
        ),
        "http.wrong_status": _failure(
            "{item}: status {code}, expected {expected}", "{item}：状态码 {code}，期望 {expected}"
        ),
        "http.redirect_loop": _failure(
            "{item}: redirects in a circle, back to {target}", "{item}：循环重定向，回到 {target}"
        ),
        "http.redirects": _failure(
            "{item}: more than {limit} redirects, the last one to {target}",
            "{item}：重定向超过 {limit} 次，最后指向 {target}",
        ),
        "http.downgrade": _failure(
            "{item}: redirect from https down to {target}, not followed",
            "{item}：由 https 降级重定向到 {target}，未跟随",
        ),
        "http.redirect_bad": _failure(
            "{item}: redirect to an address that cannot be followed: {target}", "{item}：重定向地址无法跟随：{target}"
        ),
        "http.body_mismatch": _failure(
            "{item}: the first {bytes} bytes do not match /{pattern}/", "{item}：前 {bytes} 字节内容不匹配 /{pattern}/"
        ),
        "http.not_json": _failure("{item}: the body is not JSON: {error}", "{item}：响应内容不是 JSON：{error}"),
        "http.json_differs": _failure(
            "{item}: {path} is {seen}, expected {expected}", "{item}：{path} 为 {seen}，期望 {expected}"
        ),
        "http.too_large": _failure(
            "{item}: the body does not end within {limit} bytes, reading stopped there",
            "{item}：响应超过 {limit} 字节仍未结束，已停止读取",
        ),
    },
)
