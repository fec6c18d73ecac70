import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { inTurn, serve, text } from "../oauth/kit.js"

/** The token in an answer whose `expires_in` is written so. */
const received = (expiresIn: string | undefined, defaultLifetime?: string) =>
  Effect.gen(function*() {
    const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
    const client = { id: "app", auth: Client.post(Redacted.make("s")) }
    const source = yield* ClientCredentials.make({
      server,
      client,
      ...(defaultLifetime === undefined ? {} : { defaultLifetime: "7 minutes" })
    })
    return yield* source.get
  }).pipe(
    Effect.provide(serve(inTurn(text(
      expiresIn === undefined ? `{"access_token":"t"}` : `{"access_token":"t","expires_in":${expiresIn}}`
    ))))
  )

const tenYears = 315_360_000
const hour = 3600

const cases: ReadonlyArray<readonly [string, string | undefined, number]> = [
  ["missing", undefined, hour],
  ["null", "null", hour],
  ["zero", "0", hour],
  ["zero as text", `"0"`, hour],
  ["minus zero", "-0", hour],
  ["negative", "-1", hour],
  ["negative as text", `"-1"`, hour],
  ["a number", "60", 60],
  ["a number as text", `"60"`, 60],
  ["a number as text with spaces", `" 60 "`, 60],
  ["a fraction", "0.5", 0.5],
  ["a fraction as text", `"1.5"`, 1.5],
  ["a millisecond", "0.001", 0.001],
  ["less than a millisecond", "0.0009", hour],
  ["in exponents", "6e1", 60],
  ["huge", "1e300", hour],
  ["huge as text", `"${"9".repeat(300)}"`, hour],
  ["beyond any number", "1e999", hour],
  ["exactly ten years", `${tenYears}`, tenYears],
  ["a second over ten years", `${tenYears + 1}`, hour],
  ["an absolute time by mistake", "1700000000", hour],
  ["an empty text", `""`, hour],
  ["NaN as text", `"NaN"`, hour],
  ["Infinity as text", `"Infinity"`, hour],
  ["hexadecimal as text", `"0x10"`, hour],
  ["with a unit", `"60s"`, hour],
  ["a date", `"2030-01-01T00:00:00Z"`, hour],
  ["true", "true", hour],
  ["a list", "[60]", hour],
  ["an object", `{"seconds":60}`, hour]
]

describe("F27 an expires_in that is", () => {
  for (const [name, expiresIn, seconds] of cases) {
    it.effect(`${name} means ${seconds} s`, () =>
      Effect.gen(function*() {
        const token = yield* received(expiresIn)
        assert.strictEqual(Token.lifetime(token), seconds * 1000)
        assert.isFalse(Token.isExpired(token, token.issuedAt))
      }))
  }

  it.effect("no lifetime means the one that the options give", () =>
    Effect.gen(function*() {
      const token = yield* received("0", "7 minutes")
      assert.strictEqual(Token.lifetime(token), 420_000)
    }))

  it.effect("any JSON whatever never gives NaN, nor a token that is expired or valid for ever", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(FastCheck.json(), async (expiresIn) => {
          const token = await Effect.runPromise(received(expiresIn))
          const lifetime = Token.lifetime(token)
          assert.isTrue(lifetime > 0 && lifetime <= tenYears * 1000, expiresIn)
        }),
        { numRuns: 200 }
      )
    ))
})
