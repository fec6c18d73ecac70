/**
 * A robot logs in with a key of its own: it signs a statement for each request, and the provider gives a token for it
 * (RFC 7523). No secret ever travels. The identity provider is the virtual one of the test kit; a real one needs only
 * `FetchHttpClient.layer` in its place. Run it with `npx tsx examples/jwt-bearer.ts`.
 */
import { HttpClient } from "@effect/platform"
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Redacted } from "effect"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as JwtBearer from "effect-credentials/oauth/JwtBearer"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"
import * as jose from "jose"

class RobotToken extends TokenSource.Tag("app/RobotToken")<RobotToken>() {}

/** A service account: the file that a console hands out holds as much. */
interface Account {
  readonly issuer: string
  readonly privateKey: Redacted.Redacted<string>
}

const robotToken = ({ issuer, privateKey }: Account) =>
  RobotToken.layer(Effect.gen(function*() {
    const server = yield* AuthorizationServer.discover({ issuer: "https://idp.test" })
    return yield* JwtBearer.make({
      server,
      client: { id: "app" },
      assertion: { key: privateKey, algorithm: "ES256", issuer, subject: "inventory", lifetime: "2 minutes" },
      scopes: ["read"]
    }).pipe(TokenCache.cached())
  }))

const program = Effect.gen(function*() {
  const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
  const client = (yield* HttpClient.HttpClient).pipe(
    HttpAuth.bearer(yield* RobotToken, { origins: "https://idp.test" })
  )
  const call = Effect.map(client.get("https://idp.test/resource"), (response) => response.status)
  const calls = Effect.map(Effect.replicateEffect(call, 3), (statuses) => statuses.join(", "))
  const issued = Effect.map(idp.counts, (counts) => counts.issued)
  yield* Console.log(`three calls: ${yield* calls}; tokens: ${yield* issued}`)

  const { value } = yield* RobotToken.get
  yield* idp.revoke(value)
  yield* Console.log(`after the token was revoked: ${yield* call}; tokens: ${yield* issued}`)
})

/** A key that the provider doesn't trust, or a robot that it doesn't know. */
const stranger = RobotToken.get.pipe(
  Effect.catchTag("Misconfigured", (error) => Console.log(`a stranger: ${error.message}`))
)

const newKey = Effect.promise(async () => {
  const { privateKey, publicKey } = await jose.generateKeyPair("ES256", { extractable: true })
  return {
    privateKey: Redacted.make(await jose.exportPKCS8(privateKey)),
    publicKey: await jose.exportJWK(publicKey)
  }
})

Effect.gen(function*() {
  const { privateKey, publicKey } = yield* newKey
  const trusted = [{ issuer: "robot@acme.test", keys: [publicKey] }]
  const run = Effect.zipRight(
    Effect.provide(program, robotToken({ issuer: "robot@acme.test", privateKey })),
    Effect.provide(stranger, robotToken({ issuer: "stranger@acme.test", privateKey }))
  )
  yield* Effect.provide(run, VirtualIdentityProvider.layer({ trustedIssuers: trusted }))
}).pipe(NodeRuntime.runMain)
