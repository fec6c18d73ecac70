import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as EndSession from "effect-credentials/oauth/EndSession"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"
import * as OidcProvider from "../support/OidcProvider.js"

const client = { id: "native" }

describe("with a real provider", () => {
  it.scopedLive("the browser is asked whether to log out, and sent back", () =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make()
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const code = yield* AuthorizationCode.make({ server, client, scopes: ["openid"] })
      const attempt = yield* code.begin({ redirectUri: "http://127.0.0.1:49152/callback" })
      const callback = new URL(yield* idp.authorize(attempt.url)).searchParams
      const grant = yield* code.exchange(attempt, yield* code.judge(attempt, callback))
      const url = yield* EndSession.url({
        server,
        client,
        idToken: grant.idToken,
        postLogoutRedirectUri: "http://127.0.0.1/logged-out",
        state: Redacted.make("s-1")
      })
      const end = yield* idp.authorize(Redacted.value(Option.getOrThrow(url)))
      assert.strictEqual(end, "http://127.0.0.1/logged-out?state=s-1")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("an ID token of somebody else is refused by the provider", () =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make()
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const url = yield* EndSession.url({ server, client, idToken: Redacted.make("a.b.c") })
      assert.match(yield* idp.approve(Redacted.value(Option.getOrThrow(url))), /invalid_request/)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

describe("the address", () => {
  const made = (
    options: Partial<EndSession.Options> = {},
    endpoint: string | undefined = "https://idp.test/end?a=b"
  ) =>
    Effect.flatMap(
      AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token", endSessionEndpoint: endpoint }),
      (server) => EndSession.url({ server, client, ...options })
    )

  it.effect("holds what is given and nothing else, and does not show it", () =>
    Effect.gen(function*() {
      const url = yield* made({ idToken: Redacted.make("hush-id"), state: Redacted.make("hush-state") })
      assert.strictEqual(
        Redacted.value(Option.getOrThrow(url)),
        "https://idp.test/end?a=b&client_id=native&id_token_hint=hush-id&state=hush-state"
      )
      assert.notInclude(`${inspect(url, { depth: 9 })} ${JSON.stringify(url)}`, "hush")
    }))

  it.effect("works without the ID token", () =>
    Effect.gen(function*() {
      const url = yield* made({ logoutHint: "alice", postLogoutRedirectUri: "https://app.test/bye" })
      assert.strictEqual(
        Redacted.value(Option.getOrThrow(url)),
        "https://idp.test/end?a=b&client_id=native&logout_hint=alice" +
          "&post_logout_redirect_uri=https%3A%2F%2Fapp.test%2Fbye"
      )
    }))

  it.effect("is none where the server offers no such logout", () =>
    Effect.gen(function*() {
      const server = yield* AuthorizationServer.make({ tokenEndpoint: "https://idp.test/token" })
      assert.isTrue(Option.isNone(yield* EndSession.url({ server, client })))
    }))

  it.effect("is refused where the browser could not come back", () =>
    Effect.gen(function*() {
      for (const address of ["", "/bye", "no address", `https://app.test/${"x".repeat(3_000)}`]) {
        const error = yield* Effect.flip(made({ postLogoutRedirectUri: address }))
        assert.deepStrictEqual([error._tag, error.reason], ["Misconfigured", "InvalidOption"])
      }
    }))

  it.effect("of a server that can be read on the way is refused", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(made({}, "http://idp.test/end"))
      assert.strictEqual(error.reason, "InsecureUrl")
    }))
})
