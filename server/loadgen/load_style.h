// The style sheet of load reports. Immutable.
#pragma once

namespace runahead {

inline constexpr const char* kLoadStyle = R"css(
:root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--ink:#17202c;--muted:#5b6878;--rule:#e2e6ec;
--c0:#2c6bdf;--c1:#d9661f;--c2:#128a67;--c3:#9a45b8;--c4:#a67c00;--c5:#c7345f;--bad:#c62f2f;
--note:#fff6e0;--note-rule:#e8c468}
@media(prefers-color-scheme:dark){:root{--page:#0d1218;--card:#151c25;--ink:#e7ecf3;--muted:#97a4b5;
--rule:#283241;--c0:#72a5ff;--c1:#f49b5c;--c2:#45cda3;--c3:#d095e8;--c4:#dfbd4c;--c5:#f37f9f;
--bad:#ff7b72;--note:#2a2312;--note-rule:#6f5a1f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);line-height:1.5;
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1180px;margin:0 auto;padding:36px 20px 60px}
h1{margin:0;font-size:27px;line-height:1.2;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{margin:34px 0 12px;font-size:17px}
h3{margin:0 0 8px;font-size:14px;font-weight:600}
.eyebrow{margin:0 0 4px;color:var(--c0);font-size:12px;font-weight:600;letter-spacing:.08em;
text-transform:uppercase}
.sub{margin:6px 0 0;color:var(--muted);overflow-wrap:anywhere}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,240px),1fr));
gap:12px;margin-top:24px}
.tile,.card{background:var(--card);border:1px solid var(--rule);border-radius:10px}
.tile{padding:13px 16px}
.tile p{margin:0;color:var(--muted);font-size:13px}
.tile .value{color:var(--ink);font-size:25px;font-weight:600;line-height:1.25;
font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.value small{margin-left:4px;color:var(--muted);font-size:13px;font-weight:400;letter-spacing:0}
.tile.bad .value{color:var(--bad)}
.wide{grid-column:1/-1}
figure{margin:0}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:14px}
.card{padding:16px 18px;overflow-x:auto}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{font-size:11.5px;fill:var(--muted)}
svg .label{font-size:11.5px}
.grid{stroke:var(--rule)}.axis{stroke:var(--muted);stroke-opacity:.55}
.line{fill:none;stroke:currentColor;stroke-width:1.8;stroke-linejoin:round}
.area{fill:currentColor;fill-opacity:.13}
.dots{fill:currentColor;fill-opacity:.55}
.point{fill:var(--card);stroke:currentColor;stroke-width:2}
.point:hover{fill:currentColor}
.limit{stroke:var(--ink);stroke-opacity:.6;stroke-dasharray:4 4}
svg .limit-label{fill:var(--ink)}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}
.c5{color:var(--c5)}.bad{color:var(--bad)}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 12px;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap}
th{color:var(--muted);font-size:13px;font-weight:500}
tbody th{color:var(--ink);font-weight:600}
th:first-child,td:first-child{text-align:left}
tr:last-child th,tr:last-child td{border-bottom:0}
td.words,th.words{text-align:left;white-space:normal;overflow-wrap:anywhere}
td.off{color:var(--muted)}
.note{margin:16px 0 0;padding:10px 14px;background:var(--note);border:1px solid var(--note-rule);
border-radius:8px}
.key{display:inline-block;width:11px;height:11px;margin-right:8px;border-radius:3px;
background:currentColor}
dl{display:grid;grid-template-columns:max-content 1fr;gap:6px 20px;margin:0}
dt{color:var(--muted)}dd{margin:0;overflow-wrap:anywhere}
footer{margin-top:34px;color:var(--muted);font-size:13px}
@media print{body{background:#fff}.tile,.card{break-inside:avoid}}
)css";

}  // namespace runahead
