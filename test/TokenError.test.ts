import { describe, expect, it } from "@effect/vitest"
import { Misconfigured, RequestRejected, TokenUnavailable } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import * as Kit from "./internal/kit.js"

const rejected = new RequestRejected({
  source: "issuer",
  reason: "InvalidScope",
  detail: "the scope is not known",
  hint: "Ask for another one."
})

describe("errors", () => {
  it.each<readonly [TokenError, string]>([
    [Kit.loginRequired, "issuer: nobody has logged in. Log in."],
    [Kit.transient(), "issuer: it is down. Wait."],
    [Kit.reauth(), "issuer: the grant is gone. Log in again."],
    [rejected, "issuer: the scope is not known. Ask for another one."],
    [Kit.misconfigured, "issuer: the client is unknown. Register it."]
  ])("say what happened, where, and what to do: %s", (error, message) => {
    expect(error.message).toBe(message)
    expect(error).toBeInstanceOf(Error)
    expect(String(error)).toContain(message)
  })

  it("of a chain list each tier with what to do about it", () => {
    const tiers = [
      { source: "one", reason: "it is not set", hint: "Set it." },
      { source: "two", reason: "nobody has logged in", hint: "Log in." }
    ]
    const error = new TokenUnavailable({
      source: "chain",
      reason: "AllTiers",
      detail: "no tier has a token",
      hint: "Make one available.",
      tiers
    })
    expect(error.message).toBe(
      "chain: no tier has a token. Make one available.\n  1. one: it is not set. Set it.\n  2. two: nobody has logged in. Log in."
    )
  })

  it.effect("are picked by their tag", () =>
    Effect.gen(function*() {
      const fail = (error: TokenError): Effect.Effect<string, TokenError> => Effect.fail(error)
      const handle = (error: TokenError) =>
        fail(error).pipe(
          Effect.catchTags({
            TokenUnavailable: () => Effect.succeed("another tier"),
            TransientFailure: () => Effect.succeed("later"),
            ReauthRequired: () => Effect.succeed("log in"),
            RequestRejected: () => Effect.succeed("another request"),
            Misconfigured: () => Effect.succeed("fix it")
          })
        )
      const errors = [Kit.loginRequired, Kit.transient(), Kit.reauth(), rejected, Kit.misconfigured]
      expect(yield* Effect.forEach(errors, handle)).toEqual([
        "another tier",
        "later",
        "log in",
        "another request",
        "fix it"
      ])
      expect(Kit.misconfigured).toBeInstanceOf(Misconfigured)
    }))
})
