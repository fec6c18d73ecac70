/** Logins with a code whose tokens are bound to a key, at a real provider: pushed or not, with nonces or without. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, layer } from "@effect/vitest"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import type * as Token from "effect-credentials/Token"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as OidcProvider from "../support/OidcProvider.js"

class Idp extends Context.Tag("test/Idp")<Idp, OidcProvider.OidcProvider>() {}

const idpWith = (dPoP: object): Layer.Layer<Idp> =>
  Layer.scoped(
    Idp,
    OidcProvider.make({
      features: { pushedAuthorizationRequests: { enabled: true }, dPoP: { enabled: true, ...dPoP } }
    })
  )

const redirectUri = "http://127.0.0.1:49152/callback"

/** The thumbprint of the key that the provider has bound the token to. */
const boundTo = (idp: OidcProvider.OidcProvider, token: Token.Token) =>
  Effect.map(
    Effect.promise(() => idp.provider.AccessToken.find(Redacted.value(token.value))),
    (stored) => (stored as { readonly jkt?: string } | undefined)?.jkt
  )

interface Case {
  readonly name: string
  readonly nonces: object
  /** The requests of a login and of a renewal: by `pushed`. */
  readonly login: readonly [plain: ReadonlyArray<string>, pushed: ReadonlyArray<string>]
  /** The first renewal; those that follow take one request. */
  readonly renewal: ReadonlyArray<string>
}

const cases: ReadonlyArray<Case> = [
  {
    name: "nonces off",
    nonces: {},
    login: [["/token"], ["/request", "/token"]],
    // What can be spent is not sent before it is known that there is no nonce to be had.
    renewal: ["/token", "/token"]
  },
  {
    name: "nonces on",
    nonces: { nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true },
    // The first proof of all is refused for want of a nonce; from then on it is known.
    login: [["/token", "/token"], ["/request", "/request", "/token"]],
    renewal: ["/token"]
  }
]

const endpoints = new Set(["/request", "/token"])

for (const { login, name, nonces, renewal } of cases) {
  layer(Layer.merge(idpWith(nonces), NodeHttpClient.layerUndici), { excludeTestServices: true })(
    name,
    (it) => {
      it.scoped.each([false, true])("the request is pushed: %s", (pushed) =>
        Effect.gen(function*() {
          const idp = yield* Idp
          const client = { id: "native" }
          const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
          const code = yield* AuthorizationCode.make({
            server,
            client,
            scopes: ["openid", "read"],
            dpop: true,
            pushed
          })
          const before = idp.requests.length
          const asked = () =>
            idp.requests.slice(before).map(({ path }) => path).filter((path) => endpoints.has(path))

          const attempt = yield* code.begin({ redirectUri })
          const jkt = yield* Dpop.thumbprint(attempt.proofKey ?? Redacted.make(""))
          const { searchParams } = new URL(attempt.url)
          assert.strictEqual(searchParams.get("dpop_jkt"), pushed ? null : jkt)
          const callback = new URL(yield* idp.authorize(attempt.url)).searchParams
          const grant = yield* code.exchange(attempt, yield* code.judge(attempt, callback))
          assert.strictEqual(grant.token.type, "DPoP")
          assert.strictEqual(yield* boundTo(idp, grant.token), jkt)
          assert.deepStrictEqual(asked(), login[pushed ? 1 : 0])

          const redeem = yield* RefreshToken.make({ server, client, dpop: true })
          const renewed = yield* redeem(grant)
          assert.strictEqual(yield* boundTo(idp, renewed.token), jkt)
          assert.deepStrictEqual(asked(), [...login[pushed ? 1 : 0], ...renewal])
          const again = yield* redeem(renewed)
          assert.strictEqual(yield* boundTo(idp, again.token), jkt)
          assert.deepStrictEqual(asked(), [...login[pushed ? 1 : 0], ...renewal, "/token"])
        }))
    }
  )
}
