/**
 * Which client this program is at a server: one that was registered there by hand, a document about itself, or one
 * that registered itself, which is kept in the vault for the next start and for other processes.
 *
 * Whatever is found is good at that one issuer only. A client that registered itself is kept by the issuer, the redirect
 * URIs and the grants that it names, so that a change of these makes another one.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import type { AuthorizationServer } from "../oauth/AuthorizationServer.js"
import * as Client from "../oauth/Client.js"
import type { Limits } from "../oauth/Limits.js"
import * as Registration from "../oauth/Registration.js"
import type { TransientFailure } from "../TokenError.js"
import { Misconfigured } from "../TokenError.js"
import * as Vault from "../vault/Vault.js"
import * as Store from "./internal/clientStore.js"
import * as Turn from "./internal/turns.js"

/**
 * What `make` takes: what the program can be, in the order in which it is tried.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  /** The clients that were registered by hand, by issuer, letter by letter. Each is sent to that issuer only. */
  readonly clients?: Readonly<Record<string, Client.Client>> | undefined
  /**
   * The address of a document about this program (`Registration.document`), which is its client id at the servers
   * that know such documents.
   */
  readonly documentUrl?: string | undefined
  /**
   * What the program says about itself where it registers itself. Default: it doesn't. A program that logs in by code
   * on another device too names that grant beside the others in `grantTypes`; it is left out where the server has no
   * such logins, since some then refuse the whole.
   */
  readonly metadata?: Registration.ClientMetadata | undefined
  /** What is shown to a server that registers not everybody, by issuer. */
  readonly initialAccessTokens?: Readonly<Record<string, Redacted.Redacted<string>>> | undefined
  /** The key that the document or the registration names, for `private_key_jwt`. */
  readonly privateKey?: Client.PrivateKeyJwt | undefined
}

/**
 * A client, and how it came to be one.
 *
 * @since 0.1.0
 * @category models
 */
export type Resolved =
  | { readonly _tag: "Given"; readonly client: Client.Client }
  | { readonly _tag: "Document"; readonly client: Client.Client }
  | {
    readonly _tag: "Registered"
    readonly client: Client.Client
    readonly registration: Registration.RegisteredClient
  }

/**
 * What asking for a client can fail with.
 *
 * @since 0.1.0
 * @category errors
 */
export type RegistryError = TransientFailure | Misconfigured

/**
 * The clients of this program. Safe for any number of concurrent callers, here and in other processes over the
 * same vault: of several that register at once, one is kept and all use it. Who waited for an attempt that failed
 * fails with it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientRegistry {
  /** The client for this server, registered if need be: where none is stored, or its secret has ended. */
  readonly resolve: (server: AuthorizationServer) => Effect.Effect<Resolved, RegistryError>
  /**
   * The client after the server has refused this one (`invalid_client`), because it has forgotten it: what another
   * process has registered meanwhile, else a new registration. A client that did not register itself stays as it
   * is and fails with `InvalidClient`, and so does one that was registered less than a minute ago.
   */
  readonly renew: (server: AuthorizationServer, refused: Resolved) => Effect.Effect<Resolved, RegistryError>
  /**
   * The client of this id at this issuer, while it is given here, this program's document, or what is stored. Asks no
   * server.
   */
  readonly known: (issuer: string, id: string) => Effect.Effect<Option.Option<Client.Client>, RegistryError>
  /** Removes the stored registration for this issuer from the vault; the server is told nothing. */
  readonly forget: (issuer: string) => Effect.Effect<void, RegistryError>
}

/**
 * The clients of this program, over the vault in the context. Fails where the document's address can't be a client
 * id.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<ClientRegistry, Misconfigured, Vault.Vault | HttpClient.HttpClient> => {
  const { documentUrl } = options
  if (documentUrl !== undefined && !Registration.isDocumentUrl(documentUrl)) return Effect.fail(unfitDocument)
  return Effect.map(
    Effect.all([Vault.Vault, Effect.context<HttpClient.HttpClient>()]),
    ([vault, context]) => {
      const store = Store.make({
        vault,
        traits: [...options.metadata?.redirectUris ?? [], ...options.metadata?.grantTypes ?? []],
        privateKey: options.privateKey
      })
      const register = (server: AuthorizationServer) => Effect.provide(registerAt(options, server), context)
      const turns: Turns = new Map()
      return {
        resolve: (server) =>
          turnAt(turns, server).resolving(resolve(options, store, server, register(server))),
        renew: (server, refused) =>
          turnAt(turns, server).renewing(renew(store, server, refused, register(server))),
        known: (issuer, id) => known(options, store, { issuer, id }),
        forget: (issuer) => store.forget(issuer)
      }
    }
  )
}

/** By issuer: one that answers nobody keeps nobody from another one. */
type Turns = Map<string, Record<"resolving" | "renewing", Turn.Join<RegistryError>>>

const turnAt = (turns: Turns, { issuer }: AuthorizationServer) => {
  const known = turns.get(issuer)
  if (known !== undefined) return known
  const lock = Effect.unsafeMakeSemaphore(1)
  const made = { resolving: Turn.make<RegistryError>(lock), renewing: Turn.make<RegistryError>(lock) }
  turns.set(issuer, made)
  return made
}

type Register = Effect.Effect<Registration.RegisteredClient, RegistryError>

const registerAt = (
  options: Options,
  server: AuthorizationServer
): Effect.Effect<Registration.RegisteredClient, RegistryError, HttpClient.HttpClient> =>
  options.metadata === undefined
    ? Effect.fail(nobody(server.issuer))
    : Effect.flatMap(fitting(options.metadata, server), (metadata) =>
      Registration.register({
        server,
        metadata,
        initialAccessToken: own(options.initialAccessTokens, server.issuer),
        privateKey: options.privateKey,
        requestTimeLimit: options.requestTimeLimit,
        maxResponseBytes: options.maxResponseBytes
      }))

/** Without the device grant (RFC 8628 §3.4) where the server has no endpoint for it. */
const fitting = (
  metadata: Registration.ClientMetadata,
  server: AuthorizationServer
): Effect.Effect<Registration.ClientMetadata, RegistryError> => {
  const others = metadata.grantTypes?.filter((grant) => grant !== deviceCode) ?? []
  return others.length === 0 || others.length === metadata.grantTypes?.length
    ? Effect.succeed(metadata)
    : Effect.map(
      server.metadata,
      ({ device_authorization_endpoint: endpoint }) =>
        endpoint === undefined ? { ...metadata, grantTypes: others } : metadata
    )
}

const deviceCode = "urn:ietf:params:oauth:grant-type:device_code"

const own = <A>(record: Readonly<Record<string, A>> | undefined, name: string): A | undefined =>
  record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined

const resolve = Effect.fnUntraced(function*(
  options: Options,
  store: Store.Store,
  server: AuthorizationServer,
  register: Register
) {
  const given = own(options.clients, server.issuer)
  if (given !== undefined) return { _tag: "Given", client: given } as const
  const metadata = yield* server.metadata
  const client = documentOf(options)
  if (client !== undefined && metadata.client_id_metadata_document_supported === true) {
    return { _tag: "Document", client } as const
  }
  if (options.metadata === undefined) return yield* nobody(server.issuer)
  return yield* toResolved(store.usable(server.issuer, register))
})

const documentOf = ({ documentUrl, privateKey }: Options): Client.Client | undefined =>
  documentUrl === undefined ? undefined : { id: documentUrl, auth: privateKey ?? Client.none }

const known = (
  options: Options,
  store: Store.Store,
  { id, issuer }: { readonly issuer: string; readonly id: string }
): Effect.Effect<Option.Option<Client.Client>, RegistryError> => {
  const isIt = (client: Client.Client | undefined): client is Client.Client => client?.id === id
  const here = [own(options.clients, issuer), documentOf(options)].find(isIt)
  return here === undefined
    ? Effect.map(store.stored(issuer), (stored) => Option.liftPredicate(isIt)(stored?.client))
    : Effect.succeedSome(here)
}

const renew = (
  store: Store.Store,
  server: AuthorizationServer,
  refused: Resolved,
  register: Register
): Effect.Effect<Resolved, RegistryError> =>
  refused._tag === "Registered"
    ? toResolved(store.replace(server.issuer, refused.registration, register))
    : Effect.fail(refusedByHand(server.issuer))

const toResolved = <E>(found: Effect.Effect<Registration.RegisteredClient, E>): Effect.Effect<Resolved, E> =>
  Effect.map(found, (registration) => ({ _tag: "Registered", client: registration.client, registration }))

const unfitDocument = new Misconfigured({
  source: "client registry",
  reason: "InvalidOption",
  detail: "the address of the client's document can't be a client id",
  hint: "Give an https URL with a path, without credentials and a fragment, as a browser would write it."
})

const nobody = (issuer: string): Misconfigured =>
  new Misconfigured({
    source: `client at ${issuer}`,
    reason: "InvalidClient",
    detail: "this program is no client of the server, and has no way to become one",
    hint: "Register it there by hand and give the client, or let it register itself by giving `metadata`."
  })

const refusedByHand = (issuer: string): Misconfigured =>
  new Misconfigured({
    source: `client at ${issuer}`,
    reason: "InvalidClient",
    detail: "the server refused the client, which did not register itself",
    hint: "Check the client id, and its secret, key or document, at the server."
  })
