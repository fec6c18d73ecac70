/**
 * Pages for a browser that has just come back from a login: one style, nothing from outside, no script, and nothing
 * of the request in them.
 */
import { sha256 } from "@noble/hashes/sha2.js"
import * as Encoding from "effect/Encoding"
import type { Page } from "../CallbackListener.js"

/** What a page says. Texts are plain; they are escaped here. */
export interface Content {
  readonly status: number
  readonly language: string
  /** Which picture and colour it has. */
  readonly mood: "good" | "bad" | "neutral"
  /** Whose login it is. */
  readonly name: string
  readonly heading: string
  readonly text: string
  /** What is of use to whoever asks for help. */
  readonly note?: string | undefined
}

export const page = (content: Content): Page => ({
  status: content.status,
  headers: htmlHeaders,
  body: [
    "<!doctype html>",
    `<html lang="${escape(content.language)}">`,
    "<head>",
    "<meta charset=\"utf-8\">",
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">",
    "<meta name=\"color-scheme\" content=\"light dark\">",
    `<title>${escape(content.heading)} · ${escape(content.name)}</title>`,
    `<style>${style}</style>`,
    "</head>",
    `<body class="${content.mood}">`,
    "<main>",
    pictures[content.mood],
    `<p class="name">${escape(content.name)}</p>`,
    `<h1>${escape(content.heading)}</h1>`,
    `<p>${escape(content.text)}</p>`,
    ...(content.note === undefined ? [] : [`<p class="note">${escape(content.note)}</p>`]),
    "</main>",
    "</body>",
    "</html>",
    ""
  ].join("\n")
})

/** A line of text for whoever is no browser, or has no business here. */
export const plain = (
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {}
): Page => ({
  status,
  headers: { ...safeHeaders("'none'"), "content-type": "text/plain; charset=utf-8", ...headers },
  body: `${text}\n`
})

/** Sends the browser elsewhere, so that the address it came with leaves its history (RFC 9110 §15.4.4). */
export const redirect = (location: string): Page => ({
  ...plain(303, "The login goes on at another page."),
  headers: { ...plain(303, "").headers, location }
})

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")
    .replaceAll("'", "&#39;")

const safeHeaders = (styles: string): Readonly<Record<string, string>> => ({
  "cache-control": "no-store",
  "connection": "close",
  "content-security-policy": [
    "default-src 'none'",
    `style-src ${styles}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'"
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
})

const picture = (shape: string): string =>
  `<svg viewBox="0 0 48 48" width="48" height="48" aria-hidden="true" focusable="false">` +
  `<circle cx="24" cy="24" r="22"/><path d="${shape}"/></svg>`

const pictures: Readonly<Record<Content["mood"], string>> = {
  good: picture("M15 25l6.5 6.5L34 18"),
  bad: picture("M17 17l14 14M31 17L17 31"),
  neutral: picture("M24 22v11M24 15v.5")
}

/** The colours are those of the test that computes their contrast. */
const style = `
:root{--page:#f4f5f7;--card:#fff;--edge:#d9dce1;--ink:#1b1f24;--soft:#4d5560;--good:#146c43;--bad:#b3261e;--neutral:#2f5f9e}
@media (prefers-color-scheme:dark){
:root{--page:#14171a;--card:#1e2226;--edge:#363c43;--ink:#eef0f2;--soft:#b3bac3;--good:#6fd19c;--bad:#ff9c94;--neutral:#9cc3f5}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;text-size-adjust:100%}
body{margin:0;min-height:100vh;min-height:100svh;display:grid;place-items:center;padding:1.25rem;background:var(--page);
color:var(--ink);font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Liberation Sans",sans-serif}
main{width:100%;max-width:30rem;padding:2.25rem 2rem;background:var(--card);border:1px solid var(--edge);
border-radius:1rem;text-align:center;overflow-wrap:anywhere}
svg{display:block;margin:0 auto 1.25rem;fill:none;stroke:var(--mood);stroke-width:3;stroke-linecap:round;
stroke-linejoin:round}
h1{margin:.25rem 0 .75rem;font-size:1.5rem;line-height:1.25;font-weight:650;text-wrap:balance}
p{margin:0;text-wrap:balance}
.name{color:var(--soft);font-size:.9375rem}
.note{margin-top:1.25rem;padding-top:1.25rem;border-top:1px solid var(--edge);color:var(--soft);font-size:.875rem}
.good{--mood:var(--good)}.bad{--mood:var(--bad)}.neutral{--mood:var(--neutral)}
@media (max-width:30rem){main{padding:1.75rem 1.25rem}}
@media (forced-colors:active){svg{stroke:currentColor}}
`

const htmlHeaders: Readonly<Record<string, string>> = {
  ...safeHeaders(`'sha256-${Encoding.encodeBase64(sha256(new TextEncoder().encode(style)))}'`),
  "content-type": "text/html; charset=utf-8"
}
