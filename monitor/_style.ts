/** The style of the page, for light and dark, wide and narrow. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --paper: #eef1ee; --card: #fbfcfb; --ink: #16211f; --soft: #54635f; --rule: #d5dcd8;
  --leased: #0e766e; --idle: #a5d6cd; --connecting: #d08a12; --preparing: #7a6bc4;
  --closing: #8b9794; --free: transparent; --waiting: #c2402d; --lingering: #5b4a3f;
  --good: #1a6b40; --busy: #875703; --bad: #b23422;
  --good-wash: #e4f2e9; --busy-wash: #faf0dc; --bad-wash: #fae6e2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0c1312; --card: #131c1a; --ink: #e4ece9; --soft: #95a5a0; --rule: #273431;
    --leased: #2db3a4; --idle: #1f534d; --connecting: #e5a83b; --preparing: #9d90e6;
    --closing: #66736f; --waiting: #f07561; --lingering: #a58c7c;
    --good: #57c98a; --busy: #e5a83b; --bad: #f5836f;
    --good-wash: #142a20; --busy-wash: #2c2411; --bad-wash: #351b17;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
html { scroll-padding-top: 1rem; }
body {
  margin: 0 auto; padding: 1.25rem clamp(0.75rem, 3vw, 2rem) 2rem; max-width: 76rem;
  background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
a { color: inherit; text-underline-offset: 0.2em; }
:focus-visible { outline: 3px solid var(--leased); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -100vw; }
.skip:focus { left: 1rem; top: 0.5rem; background: var(--card); padding: 0.4rem 0.8rem; z-index: 1; }
.top {
  display: grid; grid-template-columns: 1fr auto; gap: 0.2rem 1rem; align-items: baseline;
  padding-bottom: 0.9rem;
}
h1 { margin: 0; font-size: 1.6rem; font-weight: 650; letter-spacing: -0.02em; overflow-wrap: anywhere; }
#state { margin: 0; grid-column: 1; color: var(--soft); }
#state[data-level="bad"] { color: var(--bad); }
#state[data-level="busy"] { color: var(--busy); }
.tools { grid-column: 2; grid-row: 1 / 3; align-self: center; display: flex; gap: 0.9rem; align-items: center; }
button {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--rule);
  border-radius: 999px; padding: 0.35rem 1rem; cursor: pointer;
}
button:hover { border-color: var(--soft); }
button[aria-pressed="true"] { background: var(--ink); color: var(--paper); border-color: var(--ink); }
nav { grid-column: 1 / -1; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.4rem; margin: 0.5rem 0 0; padding: 0; list-style: none; }
nav a {
  display: inline-flex; align-items: center; gap: 0.4rem; padding: 0.25rem 0.75rem;
  border: 1px solid var(--rule); border-radius: 999px; text-decoration: none; background: var(--card);
  max-width: 100%; overflow-wrap: anywhere;
}
nav a:hover { border-color: var(--soft); }
nav .word { color: var(--soft); font-size: 0.85em; }
.status { width: 0.6rem; height: 0.6rem; border-radius: 50%; background: var(--good); flex: none; }
.status[data-level="busy"] { background: var(--busy); border-radius: 2px; }
.status[data-level="bad"] { background: var(--bad); border-radius: 0; rotate: 45deg; }
.card {
  background: var(--card); border: 1px solid var(--rule); border-radius: 14px;
  padding: 1.1rem clamp(0.9rem, 2vw, 1.5rem) 1.3rem; margin: 0 0 1.1rem;
}
.card > header { display: flex; flex-wrap: wrap; gap: 0.2rem 0.7rem; align-items: baseline; }
h2 { margin: 0; font-size: 1.2rem; font-weight: 650; letter-spacing: -0.01em; overflow-wrap: anywhere; }
.place { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.85rem; color: var(--soft); overflow-wrap: anywhere; }
.kind { font-size: 0.75rem; color: var(--soft); border: 1px solid var(--rule); border-radius: 4px; padding: 0 0.4em; }
.verdict {
  margin: 0 0 0 auto; padding: 0.2rem 0.8rem; border-radius: 6px; font-weight: 550; max-width: 100%;
  background: var(--good-wash); color: var(--good); overflow-wrap: anywhere;
}
[data-level="busy"] > header .verdict { background: var(--busy-wash); color: var(--busy); }
[data-level="bad"] > header .verdict { background: var(--bad-wash); color: var(--bad); }
.band { display: flex; gap: 3px; height: 2.9rem; margin: 0.9rem 0 0.5rem; }
.cell { flex: 1 1 0; min-width: 2px; border-radius: 3px; background: var(--free); }
.cell.wide { flex-basis: 2px; }
.leased { background: var(--leased); }
.idle { background: var(--idle); }
.connecting { background: repeating-linear-gradient(135deg, var(--connecting) 0 6px, transparent 6px 9px); }
.preparing { background: repeating-linear-gradient(90deg, var(--preparing) 0 4px, transparent 4px 6px); }
.closing { background: repeating-linear-gradient(45deg, var(--closing) 0 3px, transparent 3px 7px); }
.lingering { background: var(--lingering); }
.waiting { background: var(--waiting); }
.free { box-shadow: inset 0 0 0 1px var(--rule); }
.legend { display: flex; flex-wrap: wrap; gap: 0.1rem 1.1rem; margin: 0; padding: 0; list-style: none; color: var(--soft); font-size: 0.87rem; }
.legend b { color: var(--ink); margin-right: 0.3em; }
.legend b, .value, td, .dots i, .shares { font-variant-numeric: tabular-nums; }
.legend .zero { opacity: 0.55; }
.swatch { display: inline-block; width: 0.75em; height: 0.75em; border-radius: 2px; margin-right: 0.35em; vertical-align: -0.05em; }
.queue { display: flex; flex-wrap: wrap; gap: 0.2rem 0.8rem; align-items: center; margin: 0.45rem 0 0; min-height: 1.5rem; font-size: 0.9rem; }
.dots { display: inline-flex; flex-wrap: wrap; gap: 3px; align-items: center; }
.dot { width: 0.55rem; height: 0.55rem; border-radius: 50%; background: var(--waiting); }
.dots i { font-style: normal; color: var(--waiting); font-size: 0.85rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(8rem, 1fr)); margin: 0.9rem 0 0; border-block: 1px solid var(--rule); }
.tile { padding: 0.6rem 0.9rem 0.65rem 0; }
.tile dt { font-size: 0.8rem; color: var(--soft); }
.tile dd { margin: 0; }
.value { font-size: 1.45rem; font-weight: 600; letter-spacing: -0.02em; line-height: 1.25; }
.note { margin: 0.25rem 0 0; font-size: 0.82rem; color: var(--soft); }
figure { margin: 0; min-width: 0; }
figcaption, caption { font-size: 0.87rem; font-weight: 600; text-align: left; }
svg { display: block; width: 100%; overflow: visible; }
.chart { margin-top: 0.9rem; }
.chart figcaption { font-weight: 400; color: var(--soft); margin-bottom: 0.3rem; }
.chart .peak { float: right; }
.chart svg { height: 72px; border-bottom: 1px solid var(--rule); overflow: hidden; }
.area { fill: var(--leased); fill-opacity: 0.28; stroke: var(--leased); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.line { fill: none; stroke: var(--waiting); stroke-width: 2; vector-effect: non-scaling-stroke; }
.bound { stroke: var(--soft); stroke-dasharray: 3 4; vector-effect: non-scaling-stroke; }
.grid { display: grid; grid-template-columns: repeat(3, 1fr); gap: 1.2rem 2rem; margin-top: 1.2rem; }
.grid.two { grid-template-columns: repeat(2, 1fr); }
.histogram svg { margin-top: 0.4rem; max-height: 8rem; }
.bars .some { fill: var(--leased); }
.bars .none { fill: var(--rule); }
.labels text { fill: var(--soft); font-size: 11px; text-anchor: middle; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
caption { padding-bottom: 0.3rem; }
th, td { text-align: left; padding: 0.22rem 0.9rem 0.22rem 0; border-top: 1px solid var(--rule); font-weight: 400; vertical-align: top; }
thead th { color: var(--soft); font-size: 0.8rem; border-top: 0; }
.shares-box + .shares-box { margin-top: 1.2rem; }
.grid .scroll { margin-top: 0; }
.shares td, .shares thead th + th { text-align: right; padding-right: 0; width: 5.5em; }
.shares tbody th { background: linear-gradient(var(--idle), var(--idle)) 0 100% / calc(var(--share) * 92%) 3px no-repeat; overflow-wrap: anywhere; }
.shares tbody th.fine { background-image: linear-gradient(var(--leased), var(--leased)); }
.shares tbody th.wrong { background-image: linear-gradient(var(--bad), var(--bad)); }
.scroll { overflow-x: auto; margin-top: 1.2rem; }
.leases td:last-child, .errors td:last-child, .keys th[scope="row"] { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.84rem; overflow-wrap: anywhere; }
.leases tbody th, .errors tbody th, .leases td:nth-child(2) { white-space: nowrap; width: 7.5em; font-variant-numeric: tabular-nums; }
.errors td { color: var(--bad); }
footer { color: var(--soft); font-size: 0.82rem; }
@media (max-width: 46rem) {
  .top { grid-template-columns: 1fr; }
  .tools { grid-column: 1; grid-row: auto; margin-top: 0.4rem; flex-wrap: wrap; }
  .verdict { margin-left: 0; }
  .grid, .grid.two { grid-template-columns: 1fr; }
  .tiles { grid-template-columns: repeat(2, 1fr); }
  .band { height: 2.4rem; gap: 2px; }
}
@media (forced-colors: active) {
  .cell, .swatch, .dot, .status { forced-color-adjust: none; }
}
@media print { .tools, nav { display: none; } .card { break-inside: avoid; } }
`;
