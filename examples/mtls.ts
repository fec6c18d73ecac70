/**
 * A client that its TLS certificate identifies (RFC 8705): the connection of the injected HttpClient presents it, so
 * there is no secret to send. The server in here is a small one over https on loopback, which takes only certificates
 * of its own authority, gives tokens that are bound to the certificate, and refuses them from anybody else; the
 * `openssl` command makes the certificates. Run it with `npx tsx examples/mtls.ts`.
 */
import { Command, FileSystem, HttpClient } from "@effect/platform"
import { NodeContext, NodeHttpClient, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import type { IncomingMessage, ServerResponse } from "node:http"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import type { TLSSocket } from "node:tls"

class ApiToken extends TokenSource.Tag("app/ApiToken")<ApiToken>() {}

/** What makes a token source of this kind: the method, and an HttpClient that presents the certificate. */
const apiToken = (url: string) =>
  ApiToken.layer(Effect.gen(function*() {
    const server = yield* AuthorizationServer.make({ issuer: url, tokenEndpoint: `${url}/token` })
    return yield* ClientCredentials.make({ server, client: { id: "till-7", auth: Client.tls } }).pipe(
      TokenCache.cached()
    )
  }))

interface Pair {
  readonly cert: string
  readonly key: string
}

/**
 * The HttpClient of one holder of a certificate. It trusts the authority in here and nobody else. Without `fresh`, two
 * of them in one program would be the same client.
 */
const presenting = (ca: string, pair: Pair) =>
  Layer.provide(
    Layer.fresh(NodeHttpClient.layerWithoutAgent),
    NodeHttpClient.makeAgentLayer({ ca, ...pair })
  )

/** The tokens so far, by the fingerprint of the certificate that they are bound to. */
const answer = (tokens: Map<string, string>) => (request: IncomingMessage, response: ServerResponse) => {
  const socket = request.socket as TLSSocket
  const holder = socket.getPeerX509Certificate()?.fingerprint256 ?? ""
  const send = (status: number, body: object) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
  if (request.url === "/token") {
    if (!socket.authorized) return send(401, { error: "invalid_client" })
    const token = `bound-token-${tokens.size + 1}`
    tokens.set(token, holder)
    return send(200, { access_token: token, token_type: "Bearer", expires_in: 600 })
  }
  const token = request.headers.authorization?.slice("Bearer ".length) ?? ""
  return tokens.get(token) === holder ? send(200, { stock: 12 }) : send(401, { error: "invalid_token" })
}

const serve = (ca: string, pair: Pair) =>
  Effect.acquireRelease(
    Effect.async<ReturnType<typeof createServer>>((resume) => {
      const options = { ca, ...pair, requestCert: true, rejectUnauthorized: false }
      const server = createServer(options, answer(new Map()))
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.async<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  ).pipe(Effect.map((server) => `https://127.0.0.1:${(server.address() as AddressInfo).port}`))

const certificates = Effect.gen(function*() {
  const files = yield* FileSystem.FileSystem
  const directory = yield* files.makeTempDirectoryScoped()
  const openssl = (...args: ReadonlyArray<string>) =>
    Command.make("openssl", ...args).pipe(Command.workingDirectory(directory), Command.string)
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  const made = (name: string, ...args: ReadonlyArray<string>) => {
    const request = ["req", "-x509", ...key, "-subj", `/CN=${name}`]
    const output = ["-keyout", `${name}.key`, "-out", `${name}.crt`]
    return Effect.zipRight(
      openssl(...request, ...output, ...args),
      Effect.all({
        cert: files.readFileString(`${directory}/${name}.crt`),
        key: files.readFileString(`${directory}/${name}.key`)
      })
    )
  }
  const authority = yield* made("authority")
  const signed = ["-CA", "authority.crt", "-CAkey", "authority.key"]
  return {
    ca: authority.cert,
    server: yield* made("server", ...signed, "-addext", "subjectAltName=IP:127.0.0.1"),
    till: yield* made("till-7", ...signed),
    stranger: yield* made("stranger")
  }
})

/** What is in stock, by a call with the token. */
const stock = (url: string) =>
  Effect.gen(function*() {
    const client = (yield* HttpClient.HttpClient).pipe(HttpAuth.bearer(yield* ApiToken, { origins: url }))
    const response = yield* client.get(`${url}/stock`)
    return `${response.status} ${yield* response.text}`
  })

const program = Effect.gen(function*() {
  const { ca, server, stranger, till } = yield* certificates
  const url = yield* serve(ca, server)

  const Till = Layer.provideMerge(apiToken(url), presenting(ca, till))
  yield* Console.log(`with the till's certificate: ${yield* Effect.provide(stock(url), Till)}`)

  // Whoever copies the token has not the certificate that it is bound to.
  const Thief = Layer.merge(Layer.provide(apiToken(url), presenting(ca, till)), presenting(ca, stranger))
  yield* Console.log(`a stolen token:              ${yield* Effect.provide(stock(url), Thief)}`)

  const Stranger = Layer.provideMerge(apiToken(url), presenting(ca, stranger))
  const error = yield* Effect.flip(Effect.provide(ApiToken.get, Stranger))
  yield* Console.log(`with another certificate:    ${error.message}`)
})

program.pipe(Effect.scoped, Effect.provide(NodeContext.layer), NodeRuntime.runMain)
