/** What is rewritten for a dialect stays as hidden as what isn't. */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as Anthropic from "effect-credentials/provider/Anthropic"
import * as MiniMax from "effect-credentials/provider/MiniMax"
import * as OpenAI from "effect-credentials/provider/OpenAI"
import * as Provider from "effect-credentials/provider/Provider"
import * as Token from "effect-credentials/Token"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { inspect } from "node:util"
import { recording } from "../support/spans.js"
import { start } from "./kit.js"

const hidden = "sesame/secret+1"
const client = { id: "app" }
const held = Grant.make({
  token: Token.make({ value: Redacted.make(`${hidden}-access`) }),
  refreshToken: Redacted.make(`${hidden}-refresh`)
})

type Flow = Effect.Effect<unknown, { readonly _tag: string }, HttpClient.HttpClient>

const minimaxLogin: Flow = Effect.gen(function*() {
  const server = yield* Provider.server(MiniMax.provider)
  const device = yield* DeviceCode.make(Provider.device(MiniMax.provider, { server, client }))
  return yield* device.poll({
    deviceCode: Redacted.make(`${hidden}-code`),
    userCode: "CODE",
    verificationUri: "https://idp.test",
    verificationUriComplete: undefined,
    expiresAt: start + 20_000,
    interval: Duration.seconds(2),
    codeVerifier: Redacted.make(`${hidden}-verifier`),
    proofKey: undefined
  })
})

const minimaxStart: Flow = Effect.gen(function*() {
  const server = yield* Provider.server(MiniMax.provider)
  const device = yield* DeviceCode.make(Provider.device(MiniMax.provider, { server, client }))
  return yield* device.authorize
})

const anthropicCode: Flow = Effect.gen(function*() {
  const server = yield* Provider.server(Anthropic.provider)
  const login = yield* AuthorizationCode.make(Provider.browser(Anthropic.provider, { server, client }))
  const attempt = yield* login.begin({ redirectUri: "https://app.test/callback" })
  return yield* login.exchange(attempt, { value: Redacted.make(`${hidden}-code`) })
})

const renewal = (provider: Provider.Provider): Flow =>
  Effect.gen(function*() {
    const server = yield* Provider.server(provider)
    const redeem = yield* RefreshToken.make(Provider.refresh(provider, { server, client }))
    return yield* redeem(held)
  })

const openaiLogout: Flow = Effect.gen(function*() {
  const server = yield* Provider.server(OpenAI.provider)
  const revocation = yield* Revocation.make(Provider.revocation(OpenAI.provider, { server, client }))
  return yield* revocation.revoke(held)
})

const flows: Readonly<Record<string, Flow>> = {
  "a login at MiniMax": minimaxLogin,
  "the start of a login at MiniMax": minimaxStart,
  "a code of Anthropic's": anthropicCode,
  "a renewal at Anthropic": renewal(Anthropic.provider),
  "a renewal at MiniMax": renewal(MiniMax.provider),
  "a logout at OpenAI": openaiLogout
}

/** Each tells back what it was told. */
const answers: Readonly<Record<string, (told: string) => Response>> = {
  "a page": (told) => new Response(`<html>${told}</html>`),
  "a page that refuses": (told) => new Response(told, { status: 403 }),
  "an error": (told) => Response.json({ status: "error", base_resp: { status_msg: told } }),
  "an error's description": (told) =>
    Response.json({ error: "invalid_request", error_description: told }, { status: 400 }),
  "an error that is none": (told) => Response.json({ error: told, status: told, state: told }),
  "a token that can't be sent": (told) =>
    Response.json({ access_token: `${told}\n`, expired_in: told, scope: told, status: "success" }),
  "an outage": (told) => new Response(told, { status: 500 })
}

/** Runs it, and gives all that an outsider could see of it, and all that the server was told. */
const watch = (flow: Flow, answer: (told: string) => Response) =>
  Effect.gen(function*() {
    yield* TestClock.setTime(start)
    const told: Array<string> = []
    const layer = Layer.succeed(
      HttpClient.HttpClient,
      HttpClient.make((request) =>
        Effect.sync(() => {
          const { body } = request
          told.push(body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : "")
          return HttpClientResponse.fromWeb(request, answer(told.join("\n") + hidden))
        })
      )
    )
    const { spans, tracer } = yield* recording
    const fiber = yield* Effect.fork(Effect.exit(Effect.withTracer(Effect.provide(flow, layer), tracer)))
    while (fiber.unsafePoll() === null) {
      yield* TestClock.adjust("1 second")
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 1)))
    }
    const exit = yield* Fiber.join(fiber)
    const seen = [
      inspect(exit, { depth: null, showHidden: true }),
      JSON.stringify(exit),
      Exit.isFailure(exit) ? Cause.pretty(exit.cause, { renderErrorCause: true }) : "",
      ...spans.map((span) => inspect([span.name, [...span.attributes], span.status], { depth: null }))
    ]
    return { exit, seen: seen.join("\n"), spans, told: told.join("\n") }
  })

/** Whatever of it could be a secret: the verifiers and states that were made up on the way too. */
const secretsIn = (told: string): ReadonlyArray<string> => [
  hidden,
  encodeURIComponent(hidden),
  ...told.match(/[\w-]{43,}/g) ?? []
]

describe.each(Object.entries(flows))("F24 %s tells no secret", (name, flow) => {
  for (const [kind, answer] of Object.entries(answers)) {
    it.effect(`to ${kind}`, () =>
      Effect.gen(function*() {
        const { exit, seen, spans, told } = yield* watch(flow, answer)
        assert.strictEqual(exit._tag === "Failure" || name === "a logout at OpenAI", true)
        assert.isAtLeast(spans.length, 1)
        assert.isAbove(told.length, 20)
        for (const secret of secretsIn(told)) assert.notInclude(seen, secret)
      }))
  }
})
