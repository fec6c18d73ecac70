import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import type * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Introspection from "effect-credentials/oauth/Introspection"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as jose from "jose"
import { X509Certificate } from "node:crypto"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import type { TLSSocket } from "node:tls"
import { Provider } from "oidc-provider"
import type { Configuration } from "oidc-provider"
import * as Certificates from "../support/Certificates.js"
import * as OidcProvider from "../support/OidcProvider.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token"
})

const secret = "secret-of-the-client-that-is-long-enough-for-every-hash-there-is-0123456789"

const machine = { grant_types: ["client_credentials"], redirect_uris: [], response_types: [] }

describe("client_secret_jwt with a real provider", () => {
  const real = Effect.gen(function*() {
    const idp = yield* OidcProvider.make({
      clients: (["HS256", "HS384", "HS512"] as const).map((alg) => ({
        ...machine,
        client_id: alg,
        client_secret: secret,
        token_endpoint_auth_method: "client_secret_jwt",
        token_endpoint_auth_signing_alg: alg
      })),
      configuration: {
        clientAuthMethods: [
          "client_secret_basic",
          "client_secret_post",
          "client_secret_jwt",
          "private_key_jwt",
          "none"
        ],
        enabledJWA: { clientAuthSigningAlgValues: ["HS256", "HS384", "HS512", "ES256"] }
      }
    })
    const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
    return { idp, server }
  })

  for (const algorithm of ["HS256", "HS384", "HS512"] as const) {
    it.scopedLive(`${algorithm}, signed anew for each request`, () =>
      Effect.gen(function*() {
        const { idp, server } = yield* real
        const auth = Client.clientSecretJwt({ secret: Redacted.make(secret), algorithm })
        const source = yield* ClientCredentials.make({ server, client: { id: algorithm, auth } })
        yield* source.get
        // The provider takes no assertion twice.
        const { value } = yield* source.get
        const known = yield* Effect.promise(() => idp.provider.ClientCredentials.find(Redacted.value(value)))
        expect(known?.clientId).toBe(algorithm)
      }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
  }

  it.scopedLive("a wrong secret, and a wrong algorithm, are Misconfigured", () =>
    Effect.gen(function*() {
      const { server } = yield* real
      const attempt = (auth: Client.ClientAuth) =>
        Effect.flip(Effect.flatMap(
          ClientCredentials.make({ server, client: { id: "HS256", auth } }),
          (source) => source.get
        ))
      const wrong = Client.clientSecretJwt({ secret: Redacted.make(`${secret}!`) })
      const other = Client.clientSecretJwt({ secret: Redacted.make(secret), algorithm: "HS512" })
      expect(yield* attempt(wrong)).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
      expect(yield* attempt(other)).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})

it.scopedLive("a public client says its id, and nothing else, to a real provider", () =>
  Effect.gen(function*() {
    const idp = yield* OidcProvider.make()
    const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
    const device = yield* DeviceCode.make({ server, client: { id: "device", auth: Client.none } })
    expect((yield* device.authorize).userCode).toMatch(/./)
    expect(idp.requests.at(-1)).toMatchObject({ authorization: undefined })
  }).pipe(Effect.provide(NodeHttpClient.layerUndici)))

/** A provider over TLS that knows its clients by their certificates. */
const tlsProvider = Effect.gen(function*() {
  const certificates = yield* Certificates.make
  const { ca, client, server: { cert, key }, stranger } = certificates
  const server = yield* Effect.acquireRelease(
    Effect.async<ReturnType<typeof createServer>>((resume) => {
      const server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: false })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.async<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )
  const issuer = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
  const certOf = (socket: unknown) => (socket as TLSSocket).getPeerX509Certificate?.()
  const jwkOf = (pem: string) =>
    Effect.promise(async () => {
      const { publicKey, raw } = new X509Certificate(pem)
      return { ...await jose.exportJWK(publicKey), x5c: [raw.toString("base64")] }
    })
  const configuration: Configuration = {
    clients: [
      {
        ...machine,
        client_id: "by-authority",
        token_endpoint_auth_method: "tls_client_auth",
        tls_client_auth_subject_dn: "CN=client",
        tls_client_certificate_bound_access_tokens: true
      },
      {
        ...machine,
        client_id: "by-itself",
        token_endpoint_auth_method: "self_signed_tls_client_auth",
        jwks: { keys: [(yield* jwkOf(stranger.cert)) as never] }
      }
    ],
    clientAuthMethods: ["tls_client_auth", "self_signed_tls_client_auth"],
    features: {
      clientCredentials: { enabled: true },
      revocation: { enabled: true, allowedPolicy: () => true },
      introspection: { enabled: true, allowedPolicy: () => true },
      devInteractions: { enabled: false },
      mTLS: {
        enabled: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: true,
        certificateBoundAccessTokens: true,
        getCertificate: (context) => certOf(context.socket),
        certificateAuthorized: (context) => (context.socket as TLSSocket).authorized,
        certificateSubjectMatches: (context, property, expected) =>
          property === "tls_client_auth_subject_dn" && certOf(context.socket)?.subject === expected
      }
    }
  }
  const provider = new Provider(issuer, configuration)
  server.on("request", provider.callback())
  return { certificates, client, issuer, provider, stranger }
})

/** An HttpClient whose connections present this certificate. */
const presenting = (ca: string, pair: Certificates.Pair | undefined): Layer.Layer<HttpClient.HttpClient> =>
  Layer.provide(NodeHttpClient.layerWithoutAgent, NodeHttpClient.makeAgentLayer({ ca, ...pair }))

describe("mutual TLS with a real provider", () => {
  const attempt = (
    id: string,
    choose: (all: Certificates.Certificates) => Certificates.Pair | undefined
  ) =>
    Effect.gen(function*() {
      const { certificates, issuer, provider } = yield* tlsProvider
      return yield* Effect.gen(function*() {
        const server = yield* AuthorizationServer.discover({ issuer })
        const options = { server, client: { id, auth: Client.tls } }
        const source = yield* ClientCredentials.make(options)
        const token = yield* source.get
        const { introspect } = yield* Introspection.make(options)
        const { revokeToken } = yield* Revocation.make(options)
        const before = yield* introspect(token.value)
        yield* revokeToken(token)
        const after = yield* introspect(token.value)
        const known = provider.ClientCredentials
        return { after, before, certificates, known, token }
      }).pipe(Effect.provide(presenting(certificates.ca, choose(certificates))))
    })

  it.scopedLive("a certificate of the authority, to which the token is bound", () =>
    Effect.gen(function*() {
      const { after, before, certificates } = yield* attempt("by-authority", ({ client }) => client)
      const { raw } = new X509Certificate(certificates.client.cert)
      const digest = yield* Effect.promise(() => crypto.subtle.digest("SHA-256", raw as BufferSource))
      expect(before).toMatchObject({
        _tag: "Active",
        claims: { cnf: { "x5t#S256": Buffer.from(digest).toString("base64url") } }
      })
      expect(after).toEqual({ _tag: "Inactive" })
    }))

  it.scopedLive("a certificate of the client's own", () =>
    Effect.gen(function*() {
      const { before } = yield* attempt("by-itself", ({ stranger }) => stranger)
      expect(before).toMatchObject({ _tag: "Active", clientId: "by-itself" })
    }))

  for (
    const [what, id, choose] of [
      ["none", "by-authority", () => undefined],
      ["another one", "by-authority", ({ stranger }: Certificates.Certificates) => stranger],
      ["another one than the registered one", "by-itself", ({ client }: Certificates.Certificates) => client]
    ] as const
  ) {
    it.scopedLive(`${what} is Misconfigured`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(attempt(id, choose))
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
      }))
  }

  it.scopedLive("a server that the client doesn't trust gets nothing", () =>
    Effect.gen(function*() {
      const { certificates, issuer } = yield* tlsProvider
      const error = yield* Effect.gen(function*() {
        const server = yield* AuthorizationServer.discover({ issuer })
        const source = yield* ClientCredentials.make({ server, client: { id: "x", auth: Client.tls } })
        return yield* Effect.flip(source.get)
      }).pipe(Effect.provide(presenting(certificates.stranger.cert, certificates.client)))
      expect(error).toMatchObject({ _tag: "TransientFailure", reason: "Network" })
    }))
})

describe("what is sent", () => {
  const metadata = {
    issuer: "https://idp.test",
    token_endpoint: "https://idp.test/token",
    revocation_endpoint: "https://idp.test/revoke",
    authorization_endpoint: "https://idp.test/authorize",
    mtls_endpoint_aliases: {
      token_endpoint: "https://mtls.idp.test/token",
      revocation_endpoint: "https://mtls.idp.test/revoke",
      authorization_endpoint: "https://mtls.idp.test/authorize",
      issuer: "https://else.test"
    }
  }

  const discovered = (auth: Client.ClientAuth, extra: object = {}) => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const server = yield* AuthorizationServer.discover({ issuer: "https://idp.test" })
      const options = { server, client: { id: "app", auth } }
      const { get } = yield* ClientCredentials.make(options)
      const outcome = yield* Effect.either(get)
      const { revokeSecret } = yield* Revocation.make(options)
      yield* Effect.ignore(revokeSecret(Redacted.make("x")))
      return { calls: calls.filter(({ method }) => method === "POST"), outcome }
    }).pipe(
      Effect.provide(
        serve(
          ({ method }) =>
            Effect.sync(() => method === "GET" ? Response.json({ ...metadata, ...extra }) : answer(extra)),
          calls
        )
      )
    )
  }

  const answer = (extra: object) =>
    "token_endpoint_auth_methods_supported" in extra
      ? Response.json({ error: "invalid_client" }, { status: 401 })
      : Response.json({ access_token: "t" })

  it.effect("mutual TLS goes to the addresses for it, with the id", () =>
    Effect.gen(function*() {
      const { calls } = yield* discovered(Client.tls)
      expect(calls.map(({ url }) => url)).toEqual([
        "https://mtls.idp.test/token",
        "https://mtls.idp.test/revoke"
      ])
      expect(calls[0]?.form.get("client_id")).toBe("app")
      expect(calls[0]?.headers).not.toHaveProperty("authorization")
    }))

  it.effect("nobody else goes there", () =>
    Effect.gen(function*() {
      const { calls } = yield* discovered(Client.none)
      expect(calls.map(({ url }) => url)).toEqual(["https://idp.test/token", "https://idp.test/revoke"])
    }))

  it.effect("an address for it that is not secure is refused with the metadata", () =>
    Effect.gen(function*() {
      const { calls, outcome } = yield* discovered(Client.tls, {
        mtls_endpoint_aliases: { token_endpoint: "http://mtls.idp.test/token" }
      })
      expect(outcome).toMatchObject({ left: { _tag: "Misconfigured", reason: "InsecureUrl" } })
      expect(calls).toEqual([])
    }))

  const hints: ReadonlyArray<readonly [auth: Client.ClientAuth, named: ReadonlyArray<string>, hint: RegExp]> =
    [
      [
        Client.basic(Redacted.make("s")),
        ["client_secret_post", "private_key_jwt", "<b>bold</b>"],
        /the server names client_secret_post, private_key_jwt, not client_secret_basic\./
      ],
      [Client.none, ["client_secret_post"], /names client_secret_post, not none\./],
      [Client.tls, ["none"], /names none, not tls_client_auth or self_signed_tls_client_auth\./],
      [Client.post(Redacted.make("s")), ["client_secret_post"], /^Check the client id/],
      [Client.post(Redacted.make("s")), [], /^Check the client id/]
    ]
  for (const [auth, named, hint] of hints) {
    it.effect(`a refused ${auth._tag} is told what the server names: ${named.join(" ")}`, () =>
      Effect.gen(function*() {
        const { outcome } = yield* discovered(auth, { token_endpoint_auth_methods_supported: named })
        expect(outcome).toMatchObject({
          left: { _tag: "Misconfigured", reason: "InvalidClient", hint: expect.stringMatching(hint) }
        })
      }))
  }

  it.effect("an assertion that the secret signs, for whom it is and for a minute", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const server = yield* explicit
      for (const audience of [undefined, "https://idp.test/token"]) {
        for (const algorithm of ["HS256", "HS384"] as const) {
          const auth = Client.clientSecretJwt({ secret: Redacted.make(` ${secret}\n`), algorithm, audience })
          const { get } = yield* ClientCredentials.make({ server, client: { id: "app", auth } })
          yield* get
          const form = calls.at(-1)?.form
          const { payload, protectedHeader } = yield* Effect.promise(() =>
            jose.jwtVerify(form?.get("client_assertion") ?? "", new TextEncoder().encode(secret), {
              currentDate: new Date(1_700_000_000_000)
            })
          )
          expect(protectedHeader).toEqual({ alg: algorithm })
          expect(payload).toMatchObject({ iss: "app", sub: "app", aud: audience ?? "https://idp.test" })
          expect((payload.exp ?? 0) - (payload.iat ?? 0)).toBe(60)
          expect(form?.has("client_secret")).toBe(false)
        }
      }
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })

  it.effect("another one where the clocks turn out to differ", () => {
    const calls: Array<Call> = []
    const answers = inTurn(
      json({ error: "invalid_client" }, { status: 401, headers: { date: "Tue, 14 Nov 2023 22:20:00 GMT" } }),
      json({ access_token: "t" })
    )
    return Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const auth = Client.clientSecretJwt({ secret: Redacted.make(secret) })
      const { get } = yield* ClientCredentials.make({ server: yield* explicit, client: { id: "app", auth } })
      yield* get
      const times = calls.map(({ form }) => jose.decodeJwt(form.get("client_assertion") ?? "").iat)
      expect(times).toEqual([1_700_000_000, 1_700_000_400])
    }).pipe(Effect.provide(serve(answers, calls)))
  })

  for (
    const [what, text, reason] of [["blank", " ", "EmptySecret"], [
      "two lines",
      "a\nb",
      "InvalidSecret"
    ]] as const
  ) {
    it.effect(`nothing, where the secret is ${what}`, () =>
      Effect.gen(function*() {
        const auth = Client.clientSecretJwt({ secret: Redacted.make(text) })
        const error = yield* Effect.flip(
          ClientCredentials.make({ server: yield* explicit, client: { id: "app", auth } })
        )
        expect(error).toMatchObject({ _tag: "Misconfigured", reason })
      }).pipe(Effect.provide(serve(inTurn(json({}))))))
  }

  it.effect("nothing more, once it is interrupted", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const auth = Client.clientSecretJwt({ secret: Redacted.make(secret), algorithm: "HS512" })
      const waiting = serve(() => Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never), calls)
      const { get } = yield* Effect.provide(
        ClientCredentials.make({ server: yield* explicit, client: { id: "app", auth } }),
        waiting
      )
      const fiber = yield* Effect.fork(get)
      yield* Deferred.await(asked)
      expect(Exit.isInterrupted(yield* Fiber.interrupt(fiber))).toBe(true)
      expect(calls.length).toBe(1)
    })
  })
})
