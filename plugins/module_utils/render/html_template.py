# Copyright (c) 2026, Bilingual Tutor Operations
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page: one file without scripts or anything from elsewhere; Jinja2 with autoescape."""

from __future__ import annotations

# Light and dark; a test holds every text colour to the contrast of WCAG AA (4.5:1) on both of its backgrounds.
LIGHT = {
    "page": "#f4f5f7",
    "card": "#ffffff",
    "line": "#d6dae0",
    "track": "#e6e9ee",
    "text": "#1b2027",
    "soft": "#525b67",
    "link": "#0a58b5",
    "critical": "#b3201a",
    "warning": "#8a4b00",
    "unknown": "#5f45a8",
    "ok": "#176b35",
    "skipped": "#525b67",
}
DARK = {
    "page": "#0f1318",
    "card": "#181d24",
    "line": "#333b46",
    "track": "#2a323c",
    "text": "#e8ecf1",
    "soft": "#a3adb9",
    "link": "#7db8ff",
    "critical": "#ff8b82",
    "warning": "#f3b650",
    "unknown": "#bda9ff",
    "ok": "#63d08e",
    "skipped": "#a3adb9",
}

CSS = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"PingFang SC","Hiragino Sans GB","Microsoft YaHei","Noto Sans CJK SC","Source Han Sans SC",sans-serif;
overflow-wrap:anywhere}
html:lang(zh) body{line-height:1.7;font-family:system-ui,-apple-system,"PingFang SC","Hiragino Sans GB","Microsoft YaHei",
"Noto Sans CJK SC","Source Han Sans SC","WenQuanYi Micro Hei",sans-serif;line-break:strict}
main,footer,.top{max-width:72rem;margin:0 auto;padding:0 1rem}
.top{display:flex;justify-content:space-between;align-items:baseline;gap:1rem;padding-top:1rem;color:var(--soft)}
h1{font-size:1.05rem;font-weight:600;margin:0}
h2{font-size:1.15rem;margin:2.2rem 0 .7rem}
h3{font-size:1rem;margin:0}
p{margin:.3rem 0}
a{color:var(--link)}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;background:var(--card);padding:.4rem}
.card{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.9rem 1.1rem}
.banner{margin-top:.8rem;border-left:.5rem solid var(--c);display:grid;grid-template-columns:auto 1fr;gap:0 1rem;
align-items:center;padding:1.1rem 1.2rem}
.banner .shape{font-size:2.6rem;line-height:1;color:var(--c);width:3rem;text-align:center}
.banner strong{font-size:1.5rem;line-height:1.3;display:block}
.counts{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;margin:.5rem 0 0;padding:0}
.counts li{white-space:nowrap}.counts b{font-variant-numeric:tabular-nums}
.zero{opacity:1;color:var(--soft);--c:var(--soft)}
.s{color:var(--c);font-weight:600;white-space:nowrap}
.critical{--c:var(--critical)}.warning{--c:var(--warning)}.unknown{--c:var(--unknown)}.ok{--c:var(--ok)}
.skipped{--c:var(--skipped)}
.soft,.hint{color:var(--soft)}.hint,.meta{font-size:.875rem}.meta{color:var(--soft)}
.finding{border-left:.3rem solid var(--c);margin:.7rem 0}
.finding header{display:flex;flex-wrap:wrap;gap:0 .7rem;align-items:baseline}
.finding .what{font-size:1.05rem}
.next{margin:.5rem 0 0;padding:.45rem .75rem;background:var(--page);border-radius:.35rem}
.next b{margin-right:.4rem}
details{margin:.4rem 0 0}summary{cursor:pointer;color:var(--link);width:fit-content;padding:.15rem 0}
summary:focus-visible,a:focus-visible,.scroll:focus-visible{outline:2px solid var(--link);outline-offset:2px}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"Noto Sans Mono CJK SC",monospace;font-size:.875em}
pre{margin:.3rem 0 0;padding:.6rem .8rem;background:var(--page);border-radius:.35rem;white-space:pre-wrap}
code{background:var(--page);border-radius:.2rem;padding:.05em .3em}.next code{background:var(--card)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;font-size:.875rem;color:var(--soft)}tbody th{color:var(--text);font-size:1rem}
tbody tr:last-child>*{border-bottom:0}
.matrix td,.matrix thead th+th{text-align:center;white-space:nowrap}
.list{list-style:none;margin:0;padding:0}.list>li{padding:.45rem 0;border-bottom:1px solid var(--line)}
.list>li:last-child{border-bottom:0}
.row{display:grid;grid-template-columns:minmax(7rem,12rem) minmax(0,1fr);gap:.1rem 1rem;align-items:center}
.strip{padding:.35rem 0}.strip svg{display:block;height:28px;max-width:100%}
.strip rect{fill:var(--c)}.strip .unknown{fill:none;stroke:var(--c);stroke-width:1.5}.strip .skipped{fill:var(--line)}
.strip .none{fill:var(--line)}
.list+h3{margin-top:1.1rem}
.gauge{display:grid;grid-template-columns:minmax(0,18rem) minmax(0,1fr) 8.5rem;gap:.2rem 1rem;align-items:center}
.bar{position:relative;height:.75rem;background:var(--track);border-radius:.2rem}
.bar i{position:absolute;top:0;bottom:0;left:0;background:var(--c);border-radius:.2rem}
.bar u{position:absolute;top:-.2rem;bottom:-.2rem;width:2px;background:var(--text)}
.num{font-variant-numeric:tabular-nums;white-space:nowrap}
.all td:first-child,.all td:nth-child(2){white-space:nowrap}.all td{font-size:.875rem}.all summary{font-size:1rem}
footer{margin-top:2.5rem;padding-top:1rem;padding-bottom:2rem;color:var(--soft);font-size:.875rem}
footer p{border-top:1px solid var(--line);margin:0;padding:.6rem 0}
@media(max-width:40rem){
.banner{grid-template-columns:auto 1fr;padding:.9rem}.banner .shape{font-size:2rem;width:2rem}
.banner strong{font-size:1.25rem}
.card{padding:.7rem .8rem}
.row{grid-template-columns:1fr}
.gauge{grid-template-columns:minmax(0,1fr) auto}.gauge .bar{grid-column:1/3;grid-row:2}
.all thead{display:none}.all tr{display:block;padding:.4rem 0;border-bottom:1px solid var(--line)}
.all td{display:inline;border:0;padding:0 .3rem 0 0}.all td:last-child{display:block}
.matrix th,.matrix td{padding:.4rem .45rem}
.matrix thead{display:none}.matrix tr{display:block;padding:.4rem 0;border-bottom:1px solid var(--line)}
.matrix tbody th{display:block;border:0;padding:0}.matrix td{display:inline-block;border:0;padding:0 .9rem 0 0}
.act thead{display:none}.act tr{display:block;padding:.4rem 0;border-bottom:1px solid var(--line)}
.act tbody tr:last-child{border-bottom:0}.act td{display:block;border:0;padding:0}.act td:first-child{font-weight:600}
.act td:first-child .g{display:none}
.matrix td.empty,.act td.empty{display:none}.matrix td .g{display:inline}
}
.act+.act{margin-top:.7rem}.act dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.1rem 1rem;margin:.5rem 0 0;align-items:baseline}
.act dt{color:var(--soft);font-size:.875rem}.act dd{margin:0;font-variant-numeric:tabular-nums}
.act .s{white-space:normal}.act table{margin-top:.5rem}.act td{font-variant-numeric:tabular-nums}
.act td .g{color:var(--soft);font-size:.875rem}
.matrix td .g{color:var(--soft);font-size:.875rem}
@media(min-width:40.01rem){.matrix td .g,.act td .g{position:absolute;left:-99rem}}
@media print{body{background:#fff;font-size:11pt}.card{break-inside:avoid;border-color:#999}.skip,.top a{display:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
h2{break-after:avoid}.all details:not([open]){display:none}}
"""

TEMPLATE = """
{%- macro sign(status, text='') -%}
<span class="s {{ status.name|lower }}"><span aria-hidden="true">{{ status|symbol }}</span> {{ text or status|word }}</span>
{%- endmacro -%}
{%- macro dated(group) -%}
{%- if not group.current %} <span class="meta">({{ say('as_of', when=group.host.started|local) }})</span>{% endif -%}
{%- endmacro -%}
{%- macro listing(groups, nothing) -%}
{% if not groups %}<p class="card soft">{{ nothing }}</p>{% else %}
{% for group in groups %}<div class="card finding {{ group.checks[0].status.name|lower }}">
<h3>{{ group.host.name }}{{ dated(group) }}</h3>
<ul class="list">{% for check in group.checks %}
<li>{{ sign(check.status) }} {{ check|title }}{% if check.item and check.item not in check|summary %} <code>{{ check.item }}</code>{% endif
%}{{ colon }}{{ check|summary }}
{%- if check.evidence %}<details><summary>{{ say('evidence') }}</summary><pre>{{ check.evidence|join('\\n') }}</pre></details>
{%- endif %}</li>{% endfor %}</ul></div>
{% endfor %}{% endif %}
{%- endmacro -%}
<!DOCTYPE html>
<html lang="{{ 'zh-CN' if locale == 'zh' else 'en' }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{{ run.worst|symbol }} {{ title }}{{ colon }}{{ verdict }}</title>
<link rel="icon" href="data:,">
<style>:root{color-scheme:light dark;{{ light }}}
@media(prefers-color-scheme:dark){:root{ {{- dark -}} }}
@media print{:root{ {{- light -}} }}
{{ css }}</style>
</head>
<body>
<a class="skip" href="#now">{{ say('skip') }}</a>
<div class="top"><h1>{{ title }}</h1>
{%- if other %}<a href="{{ other }}" lang="{{ 'en' if locale == 'zh' else 'zh-CN' }}">{{ say('other_language') }}</a>{% endif %}</div>
<main data-worst="{{ run.worst.name }}"{% for name, number in run.counts.items() %} data-{{ name }}="{{ number }}"{% endfor %}>
<section class="card banner {{ run.worst.name|lower }}">
<span class="shape" aria-hidden="true">{{ run.worst|symbol }}</span>
<div><strong>{{ verdict }}</strong>
<p class="meta">{% if run.hosts %}{{ say('run_at') }}{{ colon }}{{ phase }}{{ comma }}<time datetime="{{ started }}">{{ started|local }}</time>
({{ zone }}){% if ago %}{{ comma }}{{ ago }}{% endif %} · {% endif %}{{ say('hosts', n=run.hosts|length) }}</p>
<ul class="counts">{% for status in statuses %}{% set n = run.counts[status.name|lower] %}
<li class="{{ status.name|lower }}{{ '' if n else ' zero' }}"><span class="s" aria-hidden="true">{{ status|symbol }}</span>
{{ status|word }} <b>{{ n }}</b></li>{% endfor %}
</ul></div>
</section>

<section id="now"><h2>{{ say('now') }}</h2>
{% for host, check in run.findings[:shown] %}
<article class="card finding {{ check.status.name|lower }}">
<header>{{ sign(check.status) }}<h3>{{ host.name }}</h3><span>{{ check|title }}{% if check.item %} <code>{{ check.item }}</code>{% endif %}</span>
<span class="meta">{{ say('since') }} {{ since(host, check)|local }}</span></header>
<p class="what">{{ check|summary }}</p>
{% set advice = check|fix %}{% if advice %}<p class="next"><b>{{ say('next') }}</b>{{ advice }}</p>{% endif %}
{% if check.evidence %}<details><summary>{{ say('evidence') }} · <span class="meta">{{ check.id }}</span></summary>
<pre>{{ check.evidence|join('\\n') }}</pre></details>{% endif %}
</article>
{% else %}<p class="card">{{ say('nothing_now') }}</p>{% endfor %}
{% if run.findings|length > shown %}<p class="card"><a href="#all">{{ say('more', n=run.findings|length - shown) }}</a></p>{% endif %}
</section>

{% if acts %}<section id="done"><h2>{{ say('done') }}</h2>
{% for act in acts %}<div class="card act"><h3>{{ act.host }} <span class="soft">{{ act.title }}</span></h3>
{% if act.error %}<p class="critical">{{ sign(critical, act.error) }}</p>{% endif %}
{% if act.facts %}<dl>{% for name, value in act.facts %}<dt>{{ name }}</dt><dd>{{ value }}</dd>{% endfor %}</dl>{% endif %}
{% for table in act.tables %}<table><thead><tr>{% for name in table.head %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in table.rows %}<tr>
{%- for cell in row %}<td{{ '' if cell else ' class="empty"' }}><span class="g">{{ table.head[loop.index0] }} </span>{{ cell }}</td>
{%- endfor %}</tr>{% endfor %}</tbody></table>
{% endfor %}
{% for name, names in act.lists %}<details{{ ' open' if names|length <= 5 else '' }}><summary>{{ name }}</summary>
<ul class="list">{% for one in names %}<li>{{ one }}</li>{% endfor %}</ul></details>
{% endfor %}</div>
{% endfor %}</section>
{% endif %}
<section><h2>{{ say('changes') }}</h2>
<div class="card">
{% if changes is none %}<p class="soft">{{ say('change.first') }}</p>
{% elif not changes %}<p class="soft">{{ say('change.none') }}</p>
{% else %}<ul class="list">{% for change in changes[:shown] %}
<li><b>{{ say('change.' + change.kind) }}</b> {% if change.kind != 'gone' %}
{%- if change.check.id in whole_host and change.kind == 'better' %}{{ sign(ok) }}{% else %}{{ sign(change.check.status) }}{% endif %} {% endif -%}
<b>{{ change.host }}</b> {{ change.check|title }}{% if change.check.item %} <code>{{ change.check.item }}</code>{% endif %}
{%- if change.before is not none %} <span class="meta">({{ say('change.was', status=change.before|symbol + ' ' + change.before|word) }})</span>{% endif %}</li>
{%- endfor %}{% if changes|length > shown %}<li>{{ say('more', n=changes|length - shown) }}</li>{% endif %}</ul>{% endif %}
</div></section>

<section><h2>{{ say('matrix') }}</h2>
{% if run.groups %}<div class="card scroll" tabindex="0" role="region" aria-label="{{ say('matrix') }}"><table class="matrix">
<thead><tr><th scope="col">{{ say('host') }}</th>{% for group in run.groups %}<th scope="col">{{ group|group }}</th>{% endfor %}</tr></thead>
<tbody>{% for host in run.hosts %}
<tr><th scope="row">{{ sign(host.worst, host.name) }}</th>{% for group in run.groups %}{% set checks = host.by_group.get(group) %}
{%- if checks %}<td><span class="g">{{ group|group }} </span>{{ sign(checks[0].status, cell(checks)) }}</td>{% else
%}<td class="empty soft">·</td>{% endif %}{% endfor %}</tr>{% endfor %}
</tbody></table></div>{% endif %}
{% if absent %}<p class="hint">{{ say('matrix.not_in_run', hosts=absent|join(', ')) }}</p>{% endif %}
</section>

<section><h2>{{ say('history') }}</h2>
<div class="card">
{% for strip in strips %}<div class="row strip"><h3>{{ strip.host }}</h3>
<svg role="img" aria-label="{{ strip.label }}" viewBox="0 0 {{ strip.bars|length * 10 }} 28"
 width="{{ strip.bars|length * 10 }}" height="28" preserveAspectRatio="xMinYMid meet">
{% for bar in strip.bars %}<rect class="{{ bar.name }}" x="{{ loop.index0 * 10 + 1 }}" y="{{ 27 - bar.height }}"
 width="7" height="{{ bar.height }}"><title>{{ bar.title }}</title></rect>
{% endfor %}</svg></div>
{% endfor %}<p class="hint">{{ say('history.hint') if past else say('history.none') }}</p></div></section>

<section><h2>{{ say('capacity') }}</h2>
{% if not capacity %}<p class="card soft">{{ say('capacity.none') }}</p>{% else %}<div class="card">
{% for group in capacity %}<h3>{{ group.host.name }}{{ dated(group) }}</h3>
<ul class="list">{% for g in group.gauges %}
<li class="gauge {{ g.check.status.name|lower }}"><span>{{ g.check|title }}{% if g.check.item %} <code>{{ g.check.item }}</code>{% endif %}</span>
<span class="bar" aria-hidden="true"><i style="width:{{ '%.1f' % (g.share * 100) }}%"></i>{% for mark in (g.warn, g.crit)
%}{% if mark is not none %}<u style="left:{{ '%.1f' % (mark * 100) }}%"></u>{% endif %}{% endfor %}</span>
<span class="num">{{ sign(g.check.status, g.check|amount) }}</span></li>{% endfor %}</ul>
{% endfor %}<p class="hint">{{ say('capacity.hint') }}</p></div>{% endif %}
</section>

<section><h2>{{ say('backups') }}</h2>
{{ listing(backups, say('backups.none')) }}</section>

<section><h2>{{ say('logs') }}</h2>
{{ listing(logs, say('logs.none')) }}</section>

<section class="all" id="all"><h2>{{ say('all') }}</h2>
<div class="card">{% for host in run.hosts %}
<details><summary>{{ sign(host.worst) }} {{ host.name }} ({{ host.checks|length }})</summary>
<table><thead><tr><th scope="col">{{ say('status') }}</th><th scope="col">{{ say('check') }}</th>
<th scope="col">{{ say('item') }}</th><th scope="col">{{ say('finding') }}</th></tr></thead>
<tbody>{% for checks in host.by_group.values() %}{% for check in checks %}
<tr><td class="s {{ check.status.name|lower }}">{{ check.status|symbol }} {{ check.status|word }}</td>
<td>{{ check.id }}</td><td>{{ check.item }}</td><td>{{ check|summary }}</td></tr>{% endfor %}{% endfor %}
</tbody></table></details>{% endfor %}</div>
</section>
</main>
<footer>
<p>{{ say('scope') }}</p>
<p>{{ say('ledger') }}{{ colon }}{% if chain %}{{ sign(chain.status) }} {{ chain|summary }}{% else %}{{ say('ledger.unchecked') }}{% endif %}</p>
<p>{{ say('written') }}{{ colon }}<time datetime="{{ now.isoformat() }}" data-rendered>{{ now.isoformat()|local }}</time> ({{ zone }})
{%- for host in run.hosts[:1] %} · {{ host.run_id }} · bilingual_tutor.ops {{ host.version }}{% endfor %}</p>
</footer>
</body>
</html>
"""
