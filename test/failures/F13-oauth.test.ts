import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { inTurn, json, serve } from "../oauth/kit.js"

const grant = Grant.make({
  token: Token.make({ value: Redacted.make("old") }),
  refreshToken: Redacted.make("r1")
})

const definitive = [
  "invalid_grant",
  "invalid_token",
  "access_denied",
  "authorization_declined",
  "expired_token",
  "token_expired",
  "token_revoked",
  "invalid_refresh_token",
  "bad_refresh_token",
  "refresh_token_expired",
  "refresh_token_reused",
  "account_inactive",
  "inactive_user",
  "interaction_required",
  "login_required",
  "consent_required"
]

describe("F13 a refresh token is known to be dead, and so not sent again, after", () => {
  for (const code of definitive) {
    for (const status of [200, 400, 401, 403]) {
      it.effect(`${code} with status ${status}`, () =>
        Effect.gen(function*() {
          const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
          const redeem = yield* RefreshToken.make({ server, client: { id: "app" } })
          const error = yield* Effect.flip(redeem(grant))
          assert.deepStrictEqual([error._tag, error.reason], ["ReauthRequired", "GrantRejected"])
          assert.include(error.message, code)
          assert.include(error.hint, "Log in again")
        }).pipe(Effect.provide(serve(inTurn(json({ error: code }, { status }))))))
    }
  }
})
