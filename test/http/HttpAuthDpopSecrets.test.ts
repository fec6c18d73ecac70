import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as Token from "effect-credentials/Token"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Tracer from "effect/Tracer"
import { inspect } from "node:util"
import { demand, proofsOf, setup, tokens } from "./dpopKit.js"
import * as Kit from "./kit.js"

describe("tokens that are not bound", () => {
  const fixed = (options: Partial<Token.Options>) => {
    const token = Token.make({ value: Redacted.make("t-0"), ...options })
    return TokenSource.make({ name: "test source", request: () => Effect.succeed(token) })
  }

  it.effect.each<readonly [string, Partial<Token.Options>]>([
    ["Bearer", { type: "Bearer" }],
    ["Bearer with a key", { type: "Bearer", proofKey: Redacted.make("{}") }],
    ["N_A", { type: "N_A" }],
    ["of another type", { type: "mac" }],
    ["DPoP without a key", { type: "DPoP" }],
    ["DPoP with a key that is none", { type: "DPoP", proofKey: Redacted.make("s3cr3t-key") }],
    ["DPoP with a secret that no header may carry", { type: "DPoP", value: Redacted.make("a\nb") }]
  ])("are not sent: %s", ([, options]) =>
    Effect.gen(function*() {
      const { client, requests } = Kit.fake(() => new Response("ok"))
      const authed = HttpAuth.dpop(fixed(options), { origins: Kit.api })(client)
      const error = yield* Effect.flip(authed.get(Kit.api))
      expect(error).toMatchObject({ _tag: "Misconfigured", source: "test source" })
      expect(requests).toEqual([])
      expect(inspect(error, { depth: 9 }) + error.message).not.toMatch(/t-0|s3cr3t/)
    }))

  it.effect("go as bearer tokens where that is allowed, others still don't", () =>
    Effect.gen(function*() {
      const { client, requests } = Kit.fake(() => new Response("ok"))
      const options = { origins: Kit.api, allowBearer: true }
      yield* HttpAuth.dpop(fixed({ type: "bearer" }), options)(client).get(Kit.api)
      expect(requests[0]?.headers["authorization"]).toBe("Bearer t-0")
      expect(requests[0]?.headers).not.toHaveProperty("dpop")
      const error = yield* Effect.flip(HttpAuth.dpop(fixed({ type: "N_A" }), options)(client).get(Kit.api))
      expect(error).toMatchObject({ _tag: "Misconfigured" })
    }))

  it.effect("and bound ones are not sent as bearer tokens", () =>
    Effect.gen(function*() {
      const { client, requests } = Kit.fake(() => new Response("ok"))
      const { source } = yield* tokens("t-0")
      expect(yield* Effect.flip(HttpAuth.bearer(source, { origins: Kit.api })(client).get(Kit.api)))
        .toMatchObject({ _tag: "Misconfigured" })
      expect(requests).toEqual([])
    }))
})

describe("F24", () => {
  it.effect("no proof, no key, no token and no nonce in spans, errors and printed responses", () =>
    Effect.gen(function*() {
      const seen: Array<unknown> = []
      const span = (name: string): Tracer.Span => ({
        _tag: "Span",
        name,
        spanId: "0000000000000001",
        traceId: "00000000000000000000000000000001",
        parent: { _tag: "None" } as never,
        context: Context.empty(),
        status: { _tag: "Started", startTime: 0n },
        attributes: new Map(),
        links: [],
        sampled: true,
        kind: "client",
        end: (_, exit) =>
          void seen.push(inspect(exit, { depth: 20 }), Exit.isFailure(exit) && Cause.pretty(exit.cause)),
        attribute: (key, value) => void seen.push([key, value]),
        event: (...event) => void seen.push(event),
        addLinks: () => {}
      })
      const tracer = Tracer.make({ span, context: (f) => f() })
      const { all: [token], authed, requests } = yield* setup(
        (count) => {
          if (count === 1) return demand("s3cr3t-nonce")
          if (count === 2) return new Response("ok")
          throw new Error(`cannot send ${JSON.stringify(requests.at(-1)?.headers)}`)
        },
        {},
        ["s3cr3t-token"]
      )
      const response = yield* Effect.withTracer(authed.get(Kit.api), tracer)
      const exit = yield* Effect.exit(Effect.withTracer(authed.get(Kit.api), tracer))
      const proofs = yield* proofsOf(requests)
      expect([proofs.length, Exit.isFailure(exit)]).toEqual([3, true])
      const shown = inspect([seen, exit, response.request, token, authed], { depth: 20 }) +
        JSON.stringify([seen, exit, response, token]) + inspect(response, { depth: 12 })
      const { d = "none" } = JSON.parse(Redacted.value(token?.proofKey ?? Redacted.make("{}")))
      for (
        const secret of ["s3cr3t-token", "s3cr3t-nonce", d, ...proofs.flatMap(({ jti, text }) => [jti, text])]
      ) {
        expect(shown).not.toContain(secret)
      }
    }))
})
