/**
 * A gateway that calls another service for its users: it exchanges the token of whoever called for one that is meant
 * for that service alone (RFC 8693). What it gets never outlives the user's token. The identity provider is the
 * virtual one of the test kit. Run it with `npx tsx examples/token-exchange.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Redacted } from "effect"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as TokenExchange from "effect-credentials/oauth/TokenExchange"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import * as TokenSource from "effect-credentials/TokenSource"

const client = { id: "service", auth: Client.basic(Redacted.make("service-secret")) }

/** Tokens for the billing service, on behalf of whom the subject's token is of. */
const billing = (subject: TokenSource.TokenSource) =>
  Effect.gen(function*() {
    const server = yield* AuthorizationServer.discover({ issuer: "https://idp.test" })
    return yield* TokenExchange.make({ server, client, subject, resource: "https://billing.test" }).pipe(
      TokenCache.cached()
    )
  })

const minutes = (tokens: ReadonlyArray<Token.Token>) =>
  tokens.map((token) => Math.round(Token.lifetime(token) / 60_000)).join(", ")

const program = Effect.gen(function*() {
  const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
  const issued = Effect.map(idp.counts, (counts) => counts.issued)

  // The user's token has ten minutes left when the gateway is called with it.
  const { token } = yield* idp.issue("app")
  const callers = yield* TokenSource.fromEffect(
    Effect.succeed(Token.make({ ...token, expiresAt: token.issuedAt + 10 * 60_000 })),
    { name: "the caller" }
  )
  const source = yield* billing(callers)
  const tokens = yield* Effect.replicateEffect(source.get, 3)
  yield* Console.log(`three calls, ${yield* issued} exchange: good for ${minutes(tokens)} minutes`)

  // The user has logged out: nothing more can be had in their name.
  yield* idp.revoke(token.value)
  const error = yield* Effect.flip(TokenSource.refresh(source))
  yield* Console.log(`after the logout: ${error.message}`)
})

program.pipe(
  Effect.scoped,
  Effect.provide([
    VirtualIdentityProvider.layer({
      accessTokenLifetime: "1 hour",
      resources: [{ url: "https://billing.test" }]
    }),
    RefreshScheduler.layer
  ]),
  NodeRuntime.runMain
)
