import { client } from "./_client.ts";
import { STYLE } from "./_style.ts";

/** A page and its content security policy, which allows only its own code. */
export interface Page {
  readonly html: string;
  readonly policy: string;
}

/** Lanes, of which some are in use. */
const ICON = "data:image/svg+xml," + encodeURIComponent(
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">' +
    '<path fill="#0e766e" d="M1 2h4v12H1zM6 2h4v12H6z"/><path fill="#a5d6cd" d="M11 2h4v12h-4z"/></svg>',
);

/** Creates the page. Its style and its script have a new nonce. */
export function page(title: string, interval: number): Page {
  const nonce = crypto.randomUUID();
  const policy = [
    "default-src 'none'",
    `script-src 'nonce-${nonce}'`,
    `style-src 'nonce-${nonce}'`,
    "connect-src 'self'",
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
  const head = escaped(title);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${head}</title>
<link rel="icon" href="${ICON}">
<style nonce="${nonce}">${STYLE}</style>
</head>
<body>
<a class="skip" href="#pools">Skip to the pools</a>
<header class="top">
<h1>${head}</h1>
<p id="state" role="status">Asking for figures</p>
<div class="tools">
<button id="pause" type="button" aria-pressed="false">Pause</button>
<a href="metrics">Prometheus</a>
<a href="stats.json">JSON</a>
</div>
<nav aria-label="Pools"><ul id="links"></ul></nav>
</header>
<main id="pools" tabindex="-1"></main>
<noscript><p class="card">Without JavaScript there are <a href="metrics">metrics as text</a> and
<a href="stats.json">JSON</a>.</p></noscript>
<footer>Histograms are of the last minute, rates of the last five seconds. This page must not face the
internet.</footer>
<script nonce="${nonce}">(${client})(window, ${interval});</script>
</body>
</html>
`;
  return { html, policy };
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (char) => ENTITIES[char]!);
}
