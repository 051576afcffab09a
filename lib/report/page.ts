/** The frame of a report: one HTML document that asks nothing of the network and runs no script. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Html, html, Html as Safe } from './html';
import { DARK, LIGHT, variablesOf } from './palette';

export interface Section {
  id: string;
  title: string;
  body: Html;
}

export interface Page {
  /** Of the program that made what is shown, and when. */
  version: string;
  date: string;
  title: string;
  /** One line below the title. */
  facts: Html;
  /** Above the contents: what the reader came for. */
  summary: Html;
  /** Those that are null are left out. */
  sections: readonly (Section | null)[];
}

/** Style sheet and document policy; the policy forbids every request, should anything ever ask for one. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

export function page({ version, date, title, facts, summary, sections: all }: Page): string {
  const sections = all.filter((section) => section !== null);
  const style = readFileSync(join(__dirname, 'style.css'), 'utf8');
  const document = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="struprune-native">
<title>${title}</title>
<style>
:root{${variablesOf(LIGHT)}}
@media screen and (prefers-color-scheme:dark){:root{${variablesOf(DARK)}}}
${new Safe(style)}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header><div class="bound">
<p class="kicker">struprune-native ${version} · ${date.slice(0, 10)}</p>
<h1>${title}</h1>
<p class="facts">${facts}</p>
<nav aria-label="Contents"><ul>${sections.map(
    ({ id, title: name }) => html`<li><a href="#${id}">${name}</a></li>`,
  )}</ul></nav>
</div></header>
<main id="content" tabindex="-1"><div class="bound">
${summary}
${sections.map(
  ({ id, title: name, body }) =>
    html`<section id="${id}" aria-labelledby="${id}-heading">
<h2 id="${id}-heading">${name}</h2>
${body}
</section>
`,
)}</div></main>
<footer><div class="bound">Made by struprune-native ${version}. This file holds everything it shows: nothing is fetched, no script runs.</div></footer>
</body>
</html>
`;
  return document.text;
}
