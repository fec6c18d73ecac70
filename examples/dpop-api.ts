/**
 * An API whose tokens are worth nothing to whoever copies one: each is bound to a key, and each request proves that its
 * sender has that key (RFC 9449). The API in here really checks token and proof, asks for a nonce of its own and takes
 * no proof twice; the tokens come from a certified OpenID provider, both on loopback.
 * Run it with `npx tsx examples/dpop-api.ts`.
 */
import {
  FetchHttpClient,
  HttpClient,
  HttpServer,
  HttpServerRequest,
  HttpServerResponse
} from "@effect/platform"
import type { HttpClientResponse } from "@effect/platform"
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Redacted } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as jose from "jose"
import { createHash, randomUUID } from "node:crypto"
import { createServer } from "node:http"

const clientSecret = "secret-of-the-service"

const listen = Effect.gen(function*() {
  const server = yield* NodeHttpServer.make(() => createServer(), { port: 0, host: "127.0.0.1" })
  const url = yield* Effect.provideService(
    HttpServer.addressFormattedWith(Effect.succeed),
    HttpServer.HttpServer,
    server
  )
  return { server, url }
})

/** Checks a request as RFC 9449 §7 says, and gives the id of its client. */
const check = async (
  { headers, method }: HttpServerRequest.HttpServerRequest,
  expected: {
    readonly url: string
    readonly issuer: string
    readonly nonce: string
    readonly seen: Set<string>
  }
): Promise<string> => {
  const [, token = ""] = /^DPoP (.+)$/.exec(headers["authorization"] ?? "") ?? []
  const keys = jose.createRemoteJWKSet(new URL(`${expected.issuer}/jwks`))
  const access = await jose.jwtVerify(token, keys, { issuer: expected.issuer, audience: expected.url })
  const proof = await jose.jwtVerify(headers["dpop"] ?? "", jose.EmbeddedJWK, { typ: "dpop+jwt" })
  const { ath, htm, htu, jti = "", nonce } = proof.payload
  const { jkt } = access.payload["cnf"] as { readonly jkt: string }
  const signer = await jose.calculateJwkThumbprint(proof.protectedHeader.jwk as jose.JWK)
  if (signer !== jkt) throw new Error("another key than the token's")
  if (ath !== createHash("sha256").update(token).digest("base64url")) throw new Error("for another token")
  if (htm !== method || htu !== `${expected.url}/notes`) throw new Error("for another request")
  if (nonce !== expected.nonce) throw new Error("use_dpop_nonce")
  if (expected.seen.has(jti)) throw new Error("a proof that was used before")
  expected.seen.add(jti)
  return String(access.payload["client_id"])
}

/** The API, and how often it has asked for a nonce. */
const api = (issuer: string) =>
  Effect.gen(function*() {
    const { server, url } = yield* listen
    const nonce = randomUUID()
    const seen = new Set<string>()
    let demands = 0
    const refuse = (reason: string) => {
      if (reason === "use_dpop_nonce") demands++
      const error = reason === "use_dpop_nonce" ? reason : "invalid_token"
      const challenge = `DPoP error="${error}", algs="ES256"`
      return HttpServerResponse.text(reason, {
        status: 401,
        headers: { "www-authenticate": challenge, "dpop-nonce": nonce }
      })
    }
    const app = Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
      Effect.match(
        Effect.tryPromise({
          try: () => check(request, { url, issuer, nonce, seen }),
          catch: (error) => error instanceof Error ? error.message : "unreadable"
        }),
        { onFailure: refuse, onSuccess: (client) => HttpServerResponse.text(`notes of ${client}`) }
      ))
    yield* Effect.provideService(HttpServer.serveEffect(app), HttpServer.HttpServer, server)
    return { url, demands: () => demands }
  })

/** A certified provider that asks for nonces too. It comments on its set-up, which nobody wants to read here. */
const identityProvider = Effect.gen(function*() {
  yield* Effect.sync(() => Object.assign(console, { info: () => {}, warn: () => {} }))
  const { Provider } = yield* Effect.promise(() => import("oidc-provider"))
  const { privateKey } = yield* Effect.promise(() => jose.generateKeyPair("RS256", { extractable: true }))
  const key = yield* Effect.promise(() => jose.exportJWK(privateKey))
  const server = createServer()
  yield* Effect.acquireRelease(
    Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () => Effect.sync(() => server.close().closeAllConnections())
  )
  const address = server.address()
  const issuer = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`
  const provider = new Provider(issuer, {
    jwks: { keys: [{ ...key, alg: "RS256", use: "sig", kid: "example" } as never] },
    scopes: ["read"],
    clients: [{
      client_id: "service",
      client_secret: clientSecret,
      grant_types: ["client_credentials"],
      redirect_uris: [],
      response_types: []
    }],
    features: {
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: Buffer.alloc(32, 1), requireNonce: () => true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context, audience) => ({
          audience,
          scope: "read",
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } }
        })
      }
    }
  })
  server.on("request", provider.callback())
  return issuer
})

class ApiToken extends TokenSource.Tag("app/ApiToken")<ApiToken>() {}

const apiToken = (options: { readonly issuer: string; readonly resource: string }) =>
  ApiToken.layer(Effect.gen(function*() {
    const server = yield* AuthorizationServer.discover({ issuer: options.issuer })
    const client = { id: "service", auth: Client.basic(Redacted.make(clientSecret)) }
    return yield* ClientCredentials.make({ server, client, resource: options.resource, dpop: true }).pipe(
      TokenCache.cached()
    )
  }))

const shown = (response: HttpClientResponse.HttpClientResponse) =>
  Effect.map(response.text, (text) => `${response.status} ${text}`)

const honest = Effect.fn(function*(notes: string, demands: () => number) {
  const client = (yield* HttpClient.HttpClient).pipe(HttpAuth.dpop(yield* ApiToken, { origins: notes }))
  const call = Effect.flatMap(client.get(notes), shown)
  yield* Console.log(`three calls: ${(yield* Effect.replicateEffect(call, 3)).join(", ")}`)
  yield* Console.log(`demands for a nonce: ${demands()}`)
})

/** Whoever reads a token in a log has no key to go with it. */
const thief = Effect.fn(function*(notes: string, token: Token.Token) {
  const http = yield* HttpClient.HttpClient
  const use = (stolen: Token.Token) => {
    const source = TokenSource.make({ name: "thief", request: () => Effect.succeed(stolen) })
    return http.pipe(HttpAuth.dpop(source, { origins: notes })).get(notes)
  }
  const otherKey = yield* use(Token.make({ ...token, proofKey: yield* Dpop.generate() }))
  yield* Console.log(`copied, with another key: ${yield* shown(otherKey)}`)
  const noKey = yield* Effect.flip(use(Token.make({ ...token, proofKey: undefined })))
  yield* Console.log(`copied, without a key: ${noKey.message}`)
})

/** Proofs can be made for any other HTTP client too; one that was seen on the way is no use any more. */
const byHand = Effect.fn(function*(notes: string, token: Token.Token) {
  const http = yield* HttpClient.HttpClient
  const prover = yield* Dpop.prover("own client")
  const url = new URL(notes)
  const headers = Effect.map(prover.prove({ token, method: "GET", url }), (proof) => ({
    authorization: `DPoP ${Redacted.value(token.value)}`,
    dpop: Redacted.value(proof)
  }))
  const asked = yield* http.get(notes, { headers: yield* headers })
  yield* prover.learn({ url, status: asked.status, headers: asked.headers })
  const sent = yield* headers
  yield* Console.log(`by hand: ${yield* shown(yield* http.get(notes, { headers: sent }))}`)
  yield* Console.log(`the same proof again: ${yield* shown(yield* http.get(notes, { headers: sent }))}`)
})

const program = Effect.gen(function*() {
  const issuer = yield* identityProvider
  const { demands, url } = yield* api(issuer)
  const notes = `${url}/notes`
  yield* Effect.provide(
    Effect.gen(function*() {
      yield* honest(notes, demands)
      const token = yield* (yield* ApiToken).get
      yield* Console.log(`in a log: ${token.type} ${token.value}, its key ${token.proofKey}`)
      yield* thief(notes, token)
      yield* byHand(notes, token)
    }),
    apiToken({ issuer, resource: url })
  )
})

program.pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer), NodeRuntime.runMain)
