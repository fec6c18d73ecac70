/** A client whose id is the address of a document about it, at a real provider that reads such documents. */
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as ClientRegistry from "effect-credentials/manager/ClientRegistry"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as Registration from "effect-credentials/oauth/Registration"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"
import * as OidcProvider from "../support/OidcProvider.js"

const url = "https://client.example/oauth/client.json"
const redirectUri = "http://127.0.0.1:49152/callback"
const metadata = { name: "Test client", redirectUris: ["http://127.0.0.1/callback"] }

/** A provider to which the web has these documents and no more. */
const provider = (web: Map<string, unknown>, enabled = true) => {
  const read: Array<string> = []
  const fetch = (address: string | URL): Promise<Response> => {
    read.push(String(address))
    const document = web.get(String(address))
    return Promise.resolve(
      document === undefined ? new Response("", { status: 404 }) : Response.json(document)
    )
  }
  const clientIdMetadataDocument = enabled ? { enabled, ack: "draft-02" } : { enabled }
  return Effect.map(
    OidcProvider.make({
      features: {
        pushedAuthorizationRequests: { enabled: true },
        registration: { enabled: true },
        clientIdMetadataDocument
      },
      configuration: { fetch } as never
    }),
    (idp) => ({ idp, read })
  )
}

/** What the program is as a client of a provider, and a login of that client. */
const setting = (
  options: Partial<ClientRegistry.Options> = {},
  { document = metadata, enabled = true, web = new Map() }: {
    readonly document?: Registration.ClientMetadata
    readonly enabled?: boolean
    readonly web?: Map<string, unknown>
  } = {}
) =>
  Effect.gen(function*() {
    web.set(url, yield* Registration.document(url, document))
    const { idp, read } = yield* provider(web, enabled)
    const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
    const registry = yield* Effect.provideServiceEffect(
      ClientRegistry.make({ documentUrl: url, metadata, ...options }),
      Vault.Vault,
      MemoryVault.make()
    )
    const resolved = yield* registry.resolve(server)
    const { client } = resolved
    const begin = (pushed: boolean) =>
      Effect.flatMap(
        AuthorizationCode.make({ server, client, scopes: ["openid", "read"], pushed }),
        (code) => Effect.map(code.begin({ redirectUri }), (attempt) => ({ attempt, code }))
      )
    const login = (pushed = false) =>
      Effect.gen(function*() {
        const { attempt, code } = yield* begin(pushed)
        const callback = new URL(yield* idp.authorize(attempt.url)).searchParams
        return yield* code.exchange(attempt, yield* code.judge(attempt, callback))
      })
    const redeem = yield* RefreshToken.make({ server, client })
    return { begin, idp, login, read, redeem, registry, resolved, server, web }
  })

const clientOf = (idp: OidcProvider.OidcProvider, token: Redacted.Redacted<string>) =>
  Effect.map(
    Effect.promise(() => idp.provider.AccessToken.find(Redacted.value(token))),
    (one) => one?.clientId
  )

describe("a client whose id is an address", () => {
  for (const pushed of [false, true]) {
    it.scopedLive(`logs in and renews without being registered, pushed: ${pushed}`, () =>
      Effect.gen(function*() {
        const { idp, login, read, redeem, resolved } = yield* setting()
        assert.deepStrictEqual([resolved._tag, resolved.client.id], ["Document", url])
        const grant = yield* login(pushed)
        assert.deepStrictEqual(grant.token.scopes, ["openid", "read"])
        const renewed = yield* redeem(grant)
        assert.strictEqual(yield* clientOf(idp, renewed.token.value), url)
        assert.deepStrictEqual(read, [url])
        assert.isFalse(idp.requests.some(({ path }) => path === "/reg"))
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }

  it.scopedLive("proves itself with the key that its document names", () =>
    Effect.gen(function*() {
      const keys = "https://client.example/oauth/keys.json"
      const { privateKey, publicKey } = yield* Effect.promise(() =>
        jose.generateKeyPair("ES256", { extractable: true })
      )
      const jwk = yield* Effect.promise(() => jose.exportJWK(publicKey))
      const pem = yield* Effect.promise(() => jose.exportPKCS8(privateKey))
      const web = new Map<string, unknown>()
      web.set(keys, { keys: [{ ...jwk, alg: "ES256", use: "sig" }] })
      const another = setting(
        { privateKey: Client.privateKeyJwt({ key: Redacted.make(pem), algorithm: "ES256" }) },
        {
          web,
          document: {
            ...metadata,
            authMethod: "private_key_jwt",
            jwksUri: keys,
            further: { token_endpoint_auth_signing_alg: "ES256" }
          }
        }
      )
      const { idp, login, redeem } = yield* another
      const renewed = yield* redeem(yield* login(true))
      assert.strictEqual(yield* clientOf(idp, renewed.token.value), url)
      // The next one who reads the document finds another key in it.
      const stranger = yield* Effect.promise(() => jose.generateKeyPair("ES256"))
      const theirs = yield* Effect.promise(() => jose.exportJWK(stranger.publicKey))
      web.set(keys, { keys: [{ ...theirs, alg: "ES256", use: "sig" }] })
      const { begin } = yield* another
      assert.strictEqual((yield* Effect.flip(begin(true))).reason, "InvalidClient")
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  it.scopedLive("registers itself where the provider reads no documents", () =>
    Effect.gen(function*() {
      const { idp, login, read, resolved } = yield* setting({}, { enabled: false })
      assert.strictEqual(resolved._tag, "Registered")
      assert.notStrictEqual(resolved.client.id, url)
      yield* login()
      assert.deepStrictEqual(read, [])
      assert.lengthOf(idp.requests.filter(({ path }) => path === "/reg"), 1)
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

  const ofClient = ["Misconfigured", "InvalidClient"]
  const broken: ReadonlyArray<readonly [string, fields: object | undefined, told: ReadonlyArray<string>]> = [
    ["is not there", undefined, ofClient],
    ["is about another client", { client_id: `${url}2` }, ofClient],
    ["has a secret in it", { client_secret: "x" }, ofClient],
    [
      "names other places to come back to",
      { redirect_uris: ["http://127.0.0.1/other"] },
      ["RequestRejected", "InvalidRequest"]
    ]
  ]
  for (const [name, fields, told] of broken) {
    it.scopedLive(`is told before a browser opens that its document ${name}`, () =>
      Effect.gen(function*() {
        const { begin, registry, resolved, server, web } = yield* setting()
        web.set(url, fields && { ...web.get(url) as object, ...fields })
        const error = yield* Effect.flip(begin(true))
        assert.deepStrictEqual([error._tag, error.reason], told)
        // Another registration would not mend it.
        assert.strictEqual((yield* Effect.flip(registry.renew(server, resolved))).reason, "InvalidClient")
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }
})

describe("which addresses can be ids", () => {
  const addresses: ReadonlyArray<readonly [string, fits: boolean]> = [
    ["https://client.example/c", true],
    ["https://client.example/a/b.json?v=1", true],
    ["https://client.example:8443/c", true],
    ["https://client.example/a/.well-known/b", true],
    ["https://client.example/a..b/c", true],
    ["https://client.example/a%20b", true],
    ["https://[2001:db8::1]/c", true],
    // One way to write it: a server may compare letters, or ask at the address as a browser would.
    ["HTTPS://client.example/c", false],
    ["https://Client.example/c", false],
    ["https://client.example:443/c", false],
    ["https://client.example:/c", false],
    ["https://client.example/a\"b", false],
    ["https://client.example/<c>", false],
    ["https://127.1/c", false],
    // The draft wants a path, and this provider doesn't mind.
    ["https://client.example", false],
    ["https://client.example/", false],
    ["https://client.example/?c", false],
    ["https://client.example?/c", false],
    // An id is of printable ASCII (RFC 6749 appendix A.1).
    ["https://client.example/\u00e9", false],
    ["http://client.example/c", false],
    ["http://127.0.0.1/c", false],
    ["https://client.example/c#x", false],
    ["https://client.example/c#", false],
    ["https://user@client.example/c", false],
    ["https://user:word@client.example/c", false],
    ["https://@client.example/c", false],
    ["https://client.example/a/../c", false],
    ["https://client.example/./c", false],
    ["https://client.example/a/..", false],
    ["https://client.example/a/%2e%2e/c", false],
    ["https://client.example/%2E/c", false],
    ["https://client.example/.%2e/c", false],
    ["https://client.example/a/.%2e", false],
    ["https://client.example/a b", false],
    ["https://client.example\\c", false],
    ["https://client.example/a\\c", false],
    ["https:client.example/c", false],
    ["https:///c", false],
    [" https://client.example/c", false],
    ["https://client.example/c\n", false],
    ["https://cli\tent.example/c", false],
    ["https://client.example/\u007fc", false],
    ["client.example/c", false],
    ["", false]
  ]

  it.scopedLive("are those that a provider takes, and no others", () =>
    Effect.gen(function*() {
      const { idp, read } = yield* provider(new Map())
      for (const [address, fits] of addresses) {
        assert.strictEqual(Registration.isDocumentUrl(address), fits, JSON.stringify(address))
        if (!fits) continue
        yield* Effect.promise(() => idp.provider.Client.find(address).catch(() => undefined))
        assert.include(read, address)
      }
    }))
})
