import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import { proofsIn } from "../oauth/dpopKit.js"
import { serve } from "../oauth/kit.js"
import type { Call, Handler } from "../oauth/kit.js"
import { recording } from "../support/spans.js"

const idp = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token"
})

const client = { id: "app", auth: Client.post(Redacted.make("sesame")) }

describe("F24 no failure and no span tells a proof, a key or a nonce", () => {
  const nonce = "s3cr3t-nonce"
  /** All that the server was told, told back to it in each place that an answer has. */
  const echo = (call: Call) => `${JSON.stringify(call.headers)} ${call.form.toString()} ${nonce}`
  const answers: ReadonlyArray<readonly [string, (call: Call) => Response]> = [
    [
      "a refusal",
      (call) => Response.json({ error: "invalid_request", error_description: echo(call) }, { status: 400 })
    ],
    ["a code that is none", (call) => Response.json({ error: echo(call) }, { status: 400 })],
    ["a page", (call) => new Response(echo(call), { status: 500 })],
    ["a demand", (call) => Response.json({ error: "use_dpop_nonce", x: echo(call) }, { status: 401 })],
    [
      "a refused proof",
      (call) => Response.json({ error: "invalid_dpop_proof", x: echo(call) }, { status: 400 })
    ],
    ["a refused grant", (call) => Response.json({ error: "invalid_grant", x: echo(call) }, { status: 400 })],
    ["a token that is not bound", (call) => Response.json({ access_token: echo(call).slice(0, 99) })],
    ["a strange type", (call) => Response.json({ access_token: "a", token_type: echo(call) })],
    ["a challenge", (call) =>
      new Response("", {
        status: 401,
        headers: { "www-authenticate": `DPoP error="${encodeURIComponent(echo(call))}"` }
      })]
  ]

  const told = (handler: Handler) =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const { spans, tracer } = yield* recording
      const server = yield* idp
      const key = yield* Dpop.generate()
      const grant = Grant.make({
        token: Token.make({ value: Redacted.make("old"), type: "DPoP", proofKey: key }),
        refreshToken: Redacted.make("refresh-0")
      })
      const [get, redeem] = yield* Effect.provide(
        Effect.all([
          Effect.map(ClientCredentials.make({ server, client, dpop: key }), (source) => source.get),
          RefreshToken.make({ server, client, dpop: key })
        ]),
        serve(handler, calls)
      )
      const exits: ReadonlyArray<Exit.Exit<unknown, unknown>> = [
        yield* Effect.exit(Effect.withTracer(get, tracer)),
        yield* Effect.exit(Effect.withTracer(redeem(grant), tracer))
      ]
      const text = exits.map((exit) =>
        inspect(exit, { depth: null, showHidden: true }) + JSON.stringify(exit) +
        (Exit.isFailure(exit) ? Cause.pretty(exit.cause, { renderErrorCause: true }) : "")
      )
      const traced = spans.map((span) =>
        inspect([span.name, [...span.attributes], span.status], { depth: null })
      )
      return { calls, exits, key, spans, text: [...text, ...traced].join("\n") }
    })

  it.effect.each(answers)("%s", ([, answer]) =>
    Effect.gen(function*() {
      const { calls, exits, key, spans, text } = yield* told((call) =>
        Effect.sync(() => {
          const response = answer(call)
          response.headers.set("dpop-nonce", nonce)
          return response
        })
      )
      assert.isTrue(exits.every(Exit.isFailure))
      assert.isAbove(spans.length, 1)
      const proofs = yield* proofsIn(calls)
      assert.isAtLeast(proofs.length, 2)
      const { d = "", x = "" } = JSON.parse(Redacted.value(key)) as Record<string, string>
      for (const secret of [nonce, d, x, ...proofs.flatMap(({ jti, text }) => [jti, text])]) {
        assert.notInclude(text, secret)
      }
    }))
})
