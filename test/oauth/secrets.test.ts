import type * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { inspect } from "node:util"
import { recording } from "../support/spans.js"
import { serve } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const jwk = {
  kty: "OKP",
  crv: "Ed25519",
  d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}

/** Whatever must not be seen, plain and in the ways in which it is written on the wire. */
const secrets = [
  "sesame+basic/1",
  "sesame+post/2",
  "sesame+refresh/3",
  "sesame+device/4",
  "sesame+access/5",
  jwk.d
]

const written = (secret: string): ReadonlyArray<string> => [
  secret,
  encodeURIComponent(secret),
  new URLSearchParams({ x: secret }).toString().slice(2),
  Buffer.from(secret).toString("base64"),
  Buffer.from(secret).toString("base64url"),
  // Without the part that a base64 neighbour changes.
  Buffer.from(`app:${secret}`).toString("base64").slice(6, -4),
  Buffer.from(`app:${encodeURIComponent(secret)}`).toString("base64").slice(6, -4)
]

/** Everything that the server was told, for an answer that tells it back. */
const echo = (call: Call) =>
  [call.url, JSON.stringify(call.headers), call.form.toString(), JSON.stringify([...call.form]), ...secrets]
    .join("\n")

const startOfLogin = {
  device_code: "sesame+device/4",
  user_code: "CODE",
  verification_uri: "https://idp.test/go",
  interval: 1,
  expires_in: 30
}

const send = (make: (call: Call) => Response): Handler => (call) => Effect.sync(() => make(call))

const answers: ReadonlyArray<readonly [string, Handler]> = [
  ["a dropped connection", () => Effect.fail("dropped" as const)],
  ["no answer", () => Effect.never],
  ...[200, 400, 401, 429, 500].flatMap((status): Array<readonly [string, Handler]> => [
    [`${status} with a page`, send((call) => new Response(`<html>${echo(call)}`, { status }))],
    [
      `${status} with a code and a description`,
      send((call) =>
        Response.json(
          { error: "invalid_request", error_description: echo(call), error_uri: echo(call) },
          { status }
        )
      )
    ],
    [`${status} with a code that is none`, send((call) => Response.json({ error: echo(call) }, { status }))],
    [
      `${status} with a wrapped code`,
      send((call) => Response.json({ error: { code: echo(call) } }, { status }))
    ],
    [
      `${status} with a challenge`,
      send((call) =>
        new Response("", {
          status,
          headers: {
            "www-authenticate": `Bearer error="${encodeURIComponent(echo(call))}", x="sesame+basic/1"`
          }
        })
      )
    ]
  ]),
  [
    "a redirect",
    send(() => new Response("", { status: 302, headers: { location: "https://x.test/?sesame+access/5" } }))
  ],
  ["broken JSON", send((call) => new Response(`{"access_token":"sesame+access/5","x":${echo(call)}`))],
  ["a list", send(() => Response.json(["sesame+access/5"]))],
  ["a token that can't be sent", send(() => Response.json({ access_token: "sesame+access/5\n" }))],
  [
    "a token of a strange kind",
    send(() => Response.json({ access_token: "sesame+access/5", token_type: "sesame+post/2" }))
  ],
  ["a body that breaks off", send((call) => new Response(breaking(echo(call))))],
  ["a body without end", send(() => new Response("sesame+access/5".repeat(100_000)))],
  [
    "invalid_grant",
    send((call) => Response.json({ error: "invalid_grant", error_description: echo(call) }, { status: 400 }))
  ],
  [
    "invalid_client",
    send((call) => Response.json({ error: "invalid_client", error_description: echo(call) }, { status: 401 }))
  ],
  [
    "access_denied",
    send((call) => Response.json({ error: "access_denied", error_description: echo(call) }, { status: 400 }))
  ]
]

const breaking = (text: string) =>
  new ReadableStream({
    pull: (controller) => {
      controller.enqueue(new TextEncoder().encode(text))
      controller.error(new Error(text))
    }
  })

const explicit = AuthorizationServer.make({
  tokenEndpoint: "https://idp.test/token",
  deviceAuthorizationEndpoint: "https://idp.test/device"
})

type Flow = (options: DeviceCode.Options) => Effect.Effect<unknown, TokenError, HttpClient.HttpClient>

const clientCredentials: Flow = (options) =>
  Effect.flatMap(ClientCredentials.make(options), (source) => source.get)
const refresh: Flow = (options) => Effect.flatMap(RefreshToken.make(options), (redeem) => redeem(held))
const deviceStart: Flow = (options) => Effect.flatMap(DeviceCode.make(options), (device) => device.authorize)
const deviceLogin: Flow = (options) =>
  Effect.flatMap(DeviceCode.make(options), (device) => device.login(() => Effect.void))

const flows: ReadonlyArray<readonly [string, Flow, Client.ClientAuth]> = [
  ["client credentials with basic", clientCredentials, Client.basic(Redacted.make("sesame+basic/1"))],
  [
    "client credentials with raw basic",
    clientCredentials,
    Client.basic(Redacted.make("sesame+basic/1"), { encoding: "raw" })
  ],
  ["client credentials with post", clientCredentials, Client.post(Redacted.make("sesame+post/2"))],
  ["client credentials with a key", clientCredentials, Client.privateKeyJwt({ key: Redacted.make(jwk) })],
  ["refresh", refresh, Client.post(Redacted.make("sesame+post/2"))],
  ["device start", deviceStart, Client.basic(Redacted.make("sesame+basic/1"))],
  ["device login", deviceLogin, Client.none]
]

const held = Grant.make({
  token: Token.make({ value: Redacted.make("sesame+access/5") }),
  refreshToken: Redacted.make("sesame+refresh/3")
})

/**
 * Runs it, and gives all that an outsider could see of it. Where it waits, the clock moves on until it is over: what
 * is signed first takes real time, before which there is nothing on the clock to move to.
 */
const seen = <A, E>(effect: Effect.Effect<A, E>, waits: boolean) =>
  Effect.gen(function*() {
    const { spans, tracer } = yield* recording
    const fiber = yield* Effect.fork(Effect.exit(Effect.withTracer(effect, tracer)))
    const time = waits ? Effect.forever(TestClock.adjust(Duration.seconds(40))) : Effect.never
    const exit = yield* Effect.raceFirst(Fiber.join(fiber), time)
    const errors = Exit.isFailure(exit) ? [...Cause.failures(exit.cause), ...Cause.defects(exit.cause)] : []
    const text = [
      inspect(exit, { depth: null, showHidden: true }),
      JSON.stringify(exit),
      String(exit),
      ...errors.flatMap((
        error
      ) => [String(error), JSON.stringify(error), inspect(error, { depth: null, showHidden: true })]),
      Exit.isFailure(exit) ? Cause.pretty(exit.cause, { renderErrorCause: true }) : "",
      ...spans.map((span) =>
        inspect([span.name, [...span.attributes], span.links, span.status], { depth: null })
      )
    ]
    return { errors, spans, text: text.join("\n") }
  })

describe("F24 no failure and no span tells a secret", () => {
  for (const [name, make, auth] of flows) {
    it.effect(name, () =>
      Effect.forEach(answers, ([answerName, answer]) =>
        Effect.gen(function*() {
          let told = ""
          const handler: Handler = (call) => {
            told += echo(call)
            return make === deviceLogin && call.url.endsWith("/device")
              ? Effect.sync(() => Response.json(startOfLogin))
              : answer(call)
          }
          const options = { server: yield* explicit, client: { id: "app", auth } }
          const waits = make === deviceLogin || answerName === "no answer"
          const { errors, spans, text } = yield* seen(Effect.provide(make(options), serve(handler)), waits)
          assert.strictEqual(errors.length, 1, answerName)
          assert.isAtLeast(spans.length, 1)
          assert.include(told, "sesame")
          for (const form of secrets.flatMap(written)) assert.notInclude(text, form, `${answerName}: ${form}`)
        }), { discard: true }))
  }

  it.effect("nor does success", () =>
    Effect.gen(function*() {
      const options = {
        server: yield* explicit,
        client: { id: "app", auth: Client.post(Redacted.make("sesame+post/2")) }
      }
      const answer = send(() =>
        Response.json({
          access_token: "sesame+access/5",
          refresh_token: "sesame+refresh/3",
          id_token: "sesame+basic/1"
        })
      )
      for (const make of [clientCredentials, refresh]) {
        const { spans, text } = yield* seen(Effect.provide(make(options), serve(answer)), false)
        assert.deepStrictEqual(spans.map((span) => span.name), ["oauth.token"])
        assert.deepStrictEqual([...spans[0]?.attributes.keys() ?? []].sort(), [
          "http.response.status_code",
          "oauth.grant",
          "oauth.outcome",
          "oauth.source"
        ])
        for (const form of secrets.flatMap(written)) assert.notInclude(text, form)
      }
    }))

  it("the forms that are looked for are those on the wire", () => {
    assert.include(Buffer.from("app:sesame+basic/1").toString("base64"), written("sesame+basic/1")[5] ?? "?")
    assert.include(
      new URLSearchParams({ a: "sesame+post/2", b: "c" }).toString(),
      written("sesame+post/2")[2] ?? "?"
    )
  })
})
