"""How an HTML report looks: light and dark, on a phone and on paper."""

from __future__ import annotations

STYLE = """
:root {
  --ink: #1d232b; --soft: #56606c; --paper: #ffffff; --card: #f5f6f8; --line: #d8dce2; --accent: #0b62a3;
  --warn-line: #b7791f; --warn: #fdf6e6;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e7eb; --soft: #a3adb9; --paper: #15181d; --card: #1d2127; --line: #343b45; --accent: #6db3ea;
    --warn-line: #d9a441; --warn: #2a2417;
  }
  /* Lightness turns over and hues stay, so that plots drawn for paper can be read on a dark page. */
  .plot img { filter: invert(0.91) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 78rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 1rem; }
h2 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 0 0 .25rem; }
p { margin: 0 0 .6rem; }
p:last-child { margin-bottom: 0; }
a { color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
code { font: .875em/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
.part { border-top: 1px solid var(--line); margin-top: 2.5rem; padding-top: 1.75rem; }
.about { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1.25rem; margin: 0; }
.about dt { color: var(--soft); }
.about dd { margin: 0; overflow-wrap: anywhere; }
nav { background: var(--card); border-radius: 6px; margin-top: 1.75rem; padding: 1rem 1.25rem; }
nav ol { margin: 0; padding-left: 1.4rem; }
.notes { display: grid; gap: 1rem; grid-template-columns: 1fr 1fr; max-width: none; margin-bottom: 1.5rem; }
.note { background: var(--card); border-left: 4px solid var(--line); border-radius: 4px; padding: .8rem 1rem; }
.limits { background: var(--warn); border-left-color: var(--warn-line); }
.scroll { overflow-x: auto; margin: 0 0 1.5rem; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.4; }
caption { caption-side: top; text-align: left; font-weight: 600; font-size: 1rem; padding-bottom: .4rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid var(--soft); vertical-align: bottom; }
tbody th { font-weight: 500; }
/* Rows that begin alike belong together. */
.more th { color: var(--soft); font-weight: 400; }
tbody tr:has(+ .more) > *, .more:has(+ .more) > * { border-bottom-color: transparent; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; padding-left: .4rem; }
.word { white-space: nowrap; }
thead .number, thead .word { white-space: normal; }
figure { margin: 0 0 1.75rem; }
figcaption { font-weight: 600; margin-bottom: .4rem; }
figure img { display: block; height: auto; }
.plot img { background: #ffffff; border-radius: 4px; max-width: 100%; }
.picture .scroll { margin: 0; }
.picture img { image-rendering: pixelated; }
@media (max-width: 45rem) {
  body { padding: 1rem .9rem 3rem; }
  h1 { font-size: 1.5rem; }
  .notes, .about { grid-template-columns: minmax(0, 1fr); }
  .about dt { margin-top: .35rem; font-size: .875rem; }
  /* A plot shrunk to the width of a phone cannot be read. */
  .plot .scroll img { max-width: none; width: 44rem; }
}
@media print {
  :root {
    --ink: #000; --soft: #444; --paper: #fff; --card: #fff; --line: #bbb; --accent: #000; --warn-line: #000;
    --warn: #fff;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .scroll { overflow: visible; }
  .plot img { filter: none; }
  .plot .scroll img, .picture img { max-width: 100%; width: auto; }
  h2, h3, caption, figcaption { break-after: avoid; }
  figure, tr, .note { break-inside: avoid; }
  thead { display: table-header-group; }
  table { font-size: 8pt; }
}
"""
