/**
 * Several sources in one program: each has a tag and a Layer of its own, and the type of an effect says which
 * ones it uses. Tenants come and go, so they are a family: one source a tenant, made on first use and
 * released when idle. Run it with `npx tsx examples/many-sources.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Context, Effect, Layer, Redacted } from "effect"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as VirtualIdentityProvider from "effect-credentials/testing/VirtualIdentityProvider"
import * as TokenCache from "effect-credentials/TokenCache"
import type { Misconfigured, TokenError } from "effect-credentials/TokenError"
import * as TokenFamily from "effect-credentials/TokenFamily"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStatus from "effect-credentials/TokenStatus"

/** A fixed key. */
class GitHub extends TokenSource.Tag("app/GitHub")<GitHub>() {}
const GitHubLayer = GitHub.layer(TokenSource.staticToken(Redacted.make("key-of-github"), { name: "github" }))

/** One client of an identity provider. */
const identityProvider = AuthorizationServer.discover({ issuer: "https://idp.test" })
const tokensFor = (id: string, server: AuthorizationServer.AuthorizationServer) =>
  ClientCredentials.make({
    name: id,
    server,
    client: { id, auth: Client.basic(Redacted.make(`secret-of-${id}`)) }
  }).pipe(TokenCache.cached())

class Billing extends TokenSource.Tag("app/Billing")<Billing>() {}
const BillingLayer = Billing.layer(Effect.flatMap(identityProvider, (server) => tokensFor("billing", server)))

/** Many clients of it, by name. */
class Tenants extends Context.Tag("app/Tenants")<
  Tenants,
  TokenFamily.TokenFamily<string, TokenError, Misconfigured>
>() {}
const TenantsLayer = TokenFamily.layer(
  Tenants,
  Effect.flatMap(identityProvider, (server) =>
    TokenFamily.make({
      lookup: (tenant: string) => tokensFor(tenant, server),
      idleTimeToLive: "5 minutes"
    }))
)

/** It uses two of the three, and its type says so. */
const invoice = (tenant: string): Effect.Effect<string, TokenError, Billing | Tenants> =>
  Effect.gen(function*() {
    const theirs = yield* Effect.flatMap(Tenants, (tenants) => tenants.get(tenant))
    const ours = yield* Billing.get
    return `invoice for ${tenant}: their token ${theirs.generation}, our token ${ours.generation}`
  })

const program = Effect.gen(function*() {
  yield* Effect.forEach(["acme", "globex", "acme"], (tenant) => Effect.flatMap(invoice(tenant), Console.log))

  for (const source of [yield* GitHub, yield* Billing]) {
    yield* Console.log(TokenStatus.render(yield* source.status))
  }

  const unknown = yield* Effect.flip(invoice("initech"))
  yield* Console.log(unknown.message)

  const idp = yield* VirtualIdentityProvider.VirtualIdentityProvider
  const journal = yield* idp.journal
  const issued = journal.filter((entry) => entry.action === "Issued").map((entry) => entry.client)
  yield* Console.log(`tokens were fetched for ${issued.join(", ")}`)
})

const clients = ["billing", "acme", "globex"].map((id) => ({ id, secret: Redacted.make(`secret-of-${id}`) }))

program.pipe(
  Effect.provide(
    Layer.mergeAll(GitHubLayer, BillingLayer, TenantsLayer).pipe(
      Layer.provideMerge(VirtualIdentityProvider.layer({ clients }))
    )
  ),
  NodeRuntime.runMain
)
