/** Secrets of a login in a browser that came out in errors, logs and spans (googleapis/gaxios#604). */
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as UserInfo from "effect-credentials/oauth/UserInfo"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import * as Identity from "../oauth/identity.js"
import type { Call } from "../oauth/kit.js"
import { seen, written } from "../support/seen.js"

const secretOfCode = "sesame+code/1"
const secretOfToken = "sesame+access/2"

const unwrap = (secret: Redacted.Redacted<string> | undefined) =>
  secret === undefined ? [] : [Redacted.value(secret)]

/** Tells back everything that was sent, as hostile servers and debugging pages do. */
const echo = (call: Call): string =>
  [call.url, JSON.stringify(call.headers), call.form.toString(), JSON.stringify([...call.form])].join("\n")

const answers: ReadonlyArray<readonly [string, (call: Call) => Response]> = [
  ["a page", (call) => new Response(`<html>${echo(call)}`)],
  ...[400, 401, 403, 429, 500].map((status) =>
    [
      `${status} with a description`,
      (call: Call) => Response.json({ error: "invalid_grant", error_description: echo(call) }, { status })
    ] as const
  ),
  ["a code that is none", (call) => Response.json({ error: echo(call) }, { status: 400 })],
  ["a request that is none", (call) => Response.json({ request_uri: echo(call) })],
  [
    "an ID token that is none",
    (call) => Response.json({ access_token: secretOfToken, id_token: echo(call) })
  ],
  ["about somebody else", (call) => Response.json({ sub: echo(call), name: secretOfToken })]
]

describe("F24 a login in a browser tells no secret when it fails", () => {
  const setup = (options: Partial<AuthorizationCode.Options>, answer: (call: Call) => Response) =>
    Effect.gen(function*() {
      const sent: Array<string> = []
      const { layer, server } = yield* Identity.make({
        metadata: {
          pushed_authorization_request_endpoint: `${Identity.issuer}/par`,
          userinfo_endpoint: `${Identity.issuer}/userinfo`
        },
        answer: (call) => {
          sent.push(...call.form.values(), ...Object.values(call.headers))
          return answer(call)
        }
      })
      yield* server.metadata
      const client = { id: Identity.clientId }
      const code = yield* AuthorizationCode.make({ server, client, scopes: ["openid"], ...options }).pipe(
        Effect.provide(layer)
      )
      const users = yield* Effect.provide(UserInfo.make({ server, client }), layer)
      return { code, sent, users }
    })

  for (const [name, answer] of answers) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const { code, sent, users } = yield* setup({}, answer)
        const attempt = yield* code.begin({ redirectUri: "http://127.0.0.1/callback" })
        const own = [attempt.state, attempt.codeVerifier, attempt.nonce].flatMap(unwrap)
        assert.strictEqual(own.length, 3)
        const { url: _, ...rest } = attempt
        const shown = [inspect(rest, { depth: null, showHidden: true }), JSON.stringify(rest)].join("\n")
        const exchange = yield* seen(code.exchange(attempt, { value: Redacted.make(secretOfCode) }))
        const token = Token.make({ value: Redacted.make(secretOfToken) })
        const userInfo = yield* seen(users.fetch(token, "alice"))
        assert.deepStrictEqual(exchange.spans, ["oauth.keys", "oauth.token"])
        assert.deepStrictEqual(userInfo.spans, ["oauth.userinfo"])
        assert.include(sent, secretOfCode)
        assert.include(sent, `Bearer ${secretOfToken}`)
        const text = [shown, exchange.text, userInfo.text].join("\n")
        for (const form of [...own, secretOfCode, secretOfToken].flatMap(written)) {
          assert.notInclude(text, form)
        }
      }))

    it.effect(`${name}, to a request that is pushed`, () =>
      Effect.gen(function*() {
        const { code, sent } = yield* setup({ pushed: true }, answer)
        const begin = yield* seen(code.begin({ redirectUri: "http://127.0.0.1/callback" }))
        assert.deepStrictEqual(begin.spans, ["oauth.pushed_authorization"])
        const random = sent.filter((text) => /^[\w-]{43}$/.test(text))
        assert.strictEqual(random.length, 3)
        for (const form of random.flatMap(written)) assert.notInclude(begin.text, form)
      }))
  }

  it.effect("nor does a callback, whatever it holds", () =>
    Effect.gen(function*() {
      const { code } = yield* setup({}, () => new Response(""))
      const attempt = yield* code.begin({ redirectUri: "http://127.0.0.1/callback" })
      const state = Redacted.value(attempt.state)
      const callbacks: ReadonlyArray<Record<string, string>> = [
        { code: secretOfCode },
        { code: secretOfCode, state: `${state}x` },
        { code: secretOfCode, state, iss: "https://evil.test" },
        { code: `${secretOfCode}\n`, state },
        { code: secretOfCode, state },
        { error: secretOfCode, state },
        { error: "access_denied", error_description: secretOfCode, error_uri: secretOfCode, state },
        { response: secretOfCode, state },
        { id_token: secretOfCode, state }
      ]
      for (const callback of callbacks) {
        const { text } = yield* seen(code.judge(attempt, new URLSearchParams(callback)))
        for (const form of [secretOfCode, state].flatMap(written)) assert.notInclude(text, form)
      }
    }))

  it.effect("nor does an ID token that is not believed", () =>
    Effect.gen(function*() {
      const idToken = yield* Effect.promise(() => Identity.sign(Identity.claims({ sub: "sesame-alice" })))
      const { code } = yield* setup(
        {},
        () => Response.json({ access_token: secretOfToken, id_token: idToken })
      )
      const attempt = yield* code.begin({ redirectUri: "http://127.0.0.1/callback" })
      const { spans, text } = yield* seen(code.exchange(attempt, { value: Redacted.make(secretOfCode) }))
      assert.deepStrictEqual(spans, ["oauth.keys", "oauth.token"])
      assert.include(text, "of another login")
      for (const part of [...idToken.split("."), "sesame"]) assert.notInclude(text, part)
    }))
})
