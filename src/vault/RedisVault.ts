/**
 * A vault in a Redis server, version 5 or later, shared by all machines that reach it. Each change is one
 * atomic script. Needs `ioredis`.
 *
 * The server must not evict (`maxmemory-policy noeviction`): it would throw logins away. One that keeps
 * nothing on disk, or fails over to a replica that lags behind, forgets its last writes; a lease that it has
 * forgotten may go to another, and its owner learns so from `check`. What is no record of ours under a key is
 * `Corrupt`: `set` moves it aside, `compareAndSet` and `remove` by version refuse. A replica that refuses to
 * write is `Unreachable`, because a failover passes. While the server is away every call fails within the time
 * limit, and the next one connects anew; the vault sends nothing later, and nothing twice. What was sent and is
 * held up on its way can still arrive: over a newer write it does nothing. It follows no redirection of a
 * cluster; all that belongs to one key is in one hash slot.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Redis } from "ioredis"
import type { RedisOptions } from "ioredis"
import { Misconfigured } from "../TokenError.js"
import * as Leasing from "./internal/leasing.js"
import * as Address from "./internal/redisAddress.js"
import * as Connection from "./internal/redisConnection.js"
import * as Listener from "./internal/redisListener.js"
import * as Problem from "./internal/redisProblem.js"
import * as Store from "./internal/redisStore.js"
import * as Vault from "./Vault.js"
import * as VaultKey from "./VaultKey.js"

/**
 * What does not depend on how the server is reached.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  /**
   * What the names of all keys and channels of this vault start with: 1 to 200 printable ASCII characters, no
   * braces. Default `effect-credentials:`.
   */
  readonly prefix?: string | undefined
  /** The name that errors show. Default `redis`. */
  readonly name?: string | undefined
  /**
   * How long a record is kept after it was last written, but for what an encrypting vault needs to read the
   * others. Default for ever.
   */
  readonly timeToLive?: Duration.DurationInput | undefined
  /** How long a call waits for the server, connecting included. Default 5 seconds. */
  readonly timeLimit?: Duration.DurationInput | undefined
}

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Settings {
  /**
   * `redis://user:password@host:port/database`, or `rediss:` for TLS, with user and password percent-encoded;
   * all but the host may be left out.
   */
  readonly url: string | Redacted.Redacted<string>
}

/**
 * What `fromClient` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions extends Settings {
  /** Tells how to reach the server: sockets, certificates, sentinels. It stays its owner's and as it is. */
  readonly client: Redis
}

/**
 * A vault in the server at this URL. It connects when it is first used, and its connections close with the
 * scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Vault.Service, Misconfigured, Scope.Scope> =>
  Effect.suspend(() => {
    const url = Redacted.isRedacted(options.url) ? Redacted.value(options.url) : options.url
    return Option.match(Address.parse(url), {
      onNone: () => Effect.fail(invalid(options, badUrl)),
      onSome: (address) => fromSource(options, address, (settings) => new Redis({ ...address, ...settings }))
    })
  })

/**
 * A vault in the server that this client is made for, on connections of its own that close with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromClient = (
  options: ClientOptions
): Effect.Effect<Vault.Service, Misconfigured, Scope.Scope> =>
  fromSource(options, options.client.options, (settings) => options.client.duplicate(settings))

const fromSource = Effect.fnUntraced(function*(
  options: Settings,
  address: RedisOptions,
  client: (settings: RedisOptions) => Redis
) {
  const { prefix, timeLimit, timeToLive } = yield* checked(options)
  const name = options.name ?? "redis"
  const db = address.db ?? 0
  const connection = yield* Connection.make({ client, timeLimit, prepare: (client) => admit(client, db) })
  const channel = `${prefix}changes:${db}`
  const listen = yield* Listener.make({ client, timeLimit, channel, keyOf: Address.unescape })
  const identity = Vault.identity(`${Address.placeOf(address)}/${prefix}`)
  return service({ name, prefix, channel, timeToLive, connection }, identity, listen)
})

/**
 * The client does not wait for what the server says to the password and to the choice of a database: it would
 * send secrets after a wrong password, or into another database.
 */
const admit = (client: Redis, db: number): Effect.Effect<unknown, Problem.Problem> =>
  db === 0
    ? Connection.attempt(() => client.ping())
    : Effect.tryPromise({ try: () => client.select(db), catch: Problem.fromSelect })

const checked = (options: Settings) => {
  const prefix = options.prefix ?? "effect-credentials:"
  const timeLimit = Duration.decode(options.timeLimit ?? "5 seconds")
  const timeToLive = Duration.toMillis(options.timeToLive ?? Duration.infinity)
  if (!/^[\x21-\x7e]{1,200}$/.test(prefix) || /[{}]/.test(prefix)) {
    return Effect.fail(invalid(options, badPrefix))
  }
  return isPositive(timeLimit) && timeToLive >= 1
    ? Effect.succeed({
      prefix,
      timeLimit,
      timeToLive: timeToLive > longest ? 0 : Math.ceil(timeToLive)
    })
    : Effect.fail(invalid(options, badTime))
}

/** A century is for ever. */
const longest = Duration.toMillis("36500 days")

const isPositive = (duration: Duration.Duration): boolean =>
  Duration.between(duration, { minimum: "1 millis", maximum: "1 day" })

type Complaint = Pick<Misconfigured, "detail" | "hint">

const badUrl: Complaint = {
  detail: "the URL is none of a Redis server",
  hint: "Write redis://user:password@host:port/database, or rediss: for TLS, and percent-encode the password."
}
const badPrefix: Complaint = {
  detail: "the prefix can't start the names of keys",
  hint: "Use 1 to 200 printable ASCII characters without blanks and braces."
}
const badTime: Complaint = {
  detail: "a time is out of bounds",
  hint: "Use a time limit of 1 millisecond to 1 day, and a time to live of 1 millisecond or more."
}

const invalid = ({ name }: Settings, complaint: Complaint): Misconfigured =>
  new Misconfigured({ source: name ?? "redis", reason: "InvalidOption", ...complaint })

const capabilities: Vault.Capabilities = {
  writable: true,
  list: true,
  compareAndSet: "shared",
  lease: "shared",
  announce: "shared",
  maxValueBytes: Store.maxValueBytes
}

const service = (
  desk: Store.Desk,
  identity: Vault.Identity,
  listen: (key: string) => Stream.Stream<void, Problem.Problem>
): Vault.Service => ({
  name: desk.name,
  identity,
  capabilities,
  get: (key) => Store.get(desk, key),
  set: (key, value) => Store.set(desk, key, value),
  compareAndSet: (key, expected, value) => Store.compareAndSet(desk, key, expected, value),
  remove: (key, options) => Store.remove(desk, key, options?.version),
  list: (prefix) => Store.list(desk, prefix),
  lease: Leasing.make(desk.name, Store.leases(desk)),
  changes: (key) =>
    Stream.unwrap(Effect.as(
      VaultKey.check(desk.name, "changes", key),
      Stream.mapError(listen(key), Problem.toVaultError(desk.name, "changes"))
    ))
})

/**
 * The program's vault in the server at this URL.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Vault.Vault, Misconfigured> =>
  Layer.scoped(Vault.Vault, make(options))

/**
 * The program's vault in a server that configuration names.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options>
): Layer.Layer<Vault.Vault, Misconfigured | ConfigError.ConfigError> =>
  Layer.scoped(Vault.Vault, Effect.flatMap(Config.unwrap(options), make))
