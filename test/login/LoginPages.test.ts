import { assert, it } from "@effect/vitest"
import * as LoginPages from "effect-credentials/login/LoginPages"
import * as Effect from "effect/Effect"
import { createHash } from "node:crypto"

it.effect("a page may load and run nothing but its own style", () =>
  Effect.gen(function*() {
    const render = yield* LoginPages.make("acme")
    const { body, headers } = render({ _tag: "Succeeded" })
    const style = /<style>([\s\S]*)<\/style>/.exec(body)?.[1] ?? ""
    const hash = createHash("sha256").update(style).digest("base64")
    assert.deepStrictEqual(headers, {
      "cache-control": "no-store",
      "connection": "close",
      "content-security-policy": `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; ` +
        "form-action 'none'; frame-ancestors 'none'",
      "content-type": "text/html; charset=utf-8",
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-resource-policy": "same-origin",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "x-frame-options": "DENY"
    })
    assert.notMatch(body, /<script|<link|<img|https?:|style=|url\(/)
  }))

it.effect("it says what it is told to, and a failure says what to do", () =>
  Effect.gen(function*() {
    const words = { Failed: { heading: "Nicht angemeldet", text: "Es ging nicht." } }
    const render = yield* LoginPages.make("acme", { language: "de", words })
    const { body } = render({ _tag: "Failed", reason: "InvalidClient", hint: "Check the <client>." })
    assert.include(body, "<html lang=\"de\">")
    assert.include(body, "<h1>Nicht angemeldet</h1>")
    assert.include(body, "Check the &lt;client&gt;. (InvalidClient)")
    assert.include(render({ _tag: "Succeeded" }).body, "go back to the program.")
  }))
