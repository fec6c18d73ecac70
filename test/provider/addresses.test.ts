/** Addresses that are made of what a caller gives. */
import { assert, describe, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Entra from "effect-credentials/provider/Entra"
import * as GitHub from "effect-credentials/provider/GitHub"
import * as Provider from "effect-credentials/provider/Provider"
import * as Effect from "effect/Effect"

describe("addresses", () => {
  it("of a tenant that tries to be a path stay one segment", () => {
    const { endpoints } = Entra.make({ tenant: "../../evil?x=" })
    for (const address of [endpoints.tokenEndpoint, endpoints.issuer ?? ""]) {
      assert.strictEqual(new URL(address).search, "")
      assert.include(new URL(address).pathname, "%2F..%2Fevil%3Fx%3D")
    }
  })

  for (const tenant of ["", " ", ".", "..", "half\ud83d"]) {
    it.effect(`of a tenant that is no segment of a path are none: ${JSON.stringify(tenant)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.asVoid(Provider.server(Entra.make({ tenant }))))
        assert.deepInclude({ ...error }, { _tag: "Misconfigured", reason: "InvalidOption" })
      }))
  }

  it("of a tenant's id are as its issuer writes them", () => {
    const id = "AAAAAAAA-2222-3333-4444-555555555555"
    const { endpoints, idToken } = Entra.make({ tenant: id })
    assert.strictEqual(endpoints.issuer, `https://login.microsoftonline.com/${id.toLowerCase()}/v2.0`)
    assert.isUndefined(idToken)
  })

  it("of another cloud are all of that cloud: no token of it goes elsewhere", () => {
    const cloud = "https://login.microsoftonline.us"
    const addresses = Object.values(Entra.make({ origin: cloud }).endpoints).filter((one) =>
      one !== undefined
    )
    assert.deepStrictEqual(new Set(addresses.map((one) => new URL(one).origin)), new Set([cloud]))
    assert.strictEqual(
      Entra.make({ origin: "https://login.microsoftonline.com/" }).endpoints.userinfoEndpoint,
      "https://graph.microsoft.com/oidc/userinfo"
    )
  })

  it("of a server with a slash at its end have no two", () => {
    assert.strictEqual(
      GitHub.make({ origin: "https://GitHub.example.com/" }).endpoints.tokenEndpoint,
      "https://github.example.com/login/oauth/access_token"
    )
    assert.strictEqual(
      Entra.make({ origin: "https://login.microsoftonline.us/", tenant: "t" }).endpoints.tokenEndpoint,
      "https://login.microsoftonline.us/t/oauth2/v2.0/token"
    )
  })

  const origins: ReadonlyArray<readonly [string, string]> = [
    ["nothing", ""],
    ["no URL", "github.example.com"],
    ["a path", "https://github.example.com/enterprise"],
    ["two slashes", "https://github.example.com//"],
    ["a query", "https://github.example.com/?to="],
    ["a fragment", "https://github.example.com/#"],
    ["a user", "https://github.com@evil.test"],
    ["a password", "https://a:b@github.example.com"],
    ["a script", "javascript:alert(1)"]
  ]
  for (const [what, origin] of origins) {
    it.effect(`of a server whose origin is none are none: ${what}`, () =>
      Effect.gen(function*() {
        for (const preset of [GitHub.make({ origin }), Entra.make({ origin, tenant: "t" })]) {
          const error = yield* Effect.flip(Effect.asVoid(Provider.server(preset)))
          assert.deepInclude({ ...error }, { _tag: "Misconfigured", reason: "InvalidOption" })
        }
      }))
  }

  it.effect("that are not https are refused", () =>
    Effect.gen(function*() {
      const { endpoints } = GitHub.make({ origin: "http://github.example.com" })
      const error = yield* Effect.flip(Effect.asVoid(AuthorizationServer.make(endpoints)))
      assert.strictEqual(error.reason, "InsecureUrl")
    }))
})
