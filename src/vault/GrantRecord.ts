/**
 * What a vault stores for a login: the grant, how often it was renewed, and whether its refresh token is
 * known to be dead. Decoded with bounds; fields that this release does not know are kept.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Grant from "../Grant.js"
import * as Token from "../Token.js"
import { sha256Hex } from "./internal/digest.js"
import { ownFieldsOnly } from "./internal/json.js"
import { Corrupt, Unsupported } from "./VaultError.js"

/**
 * Whether the grant may be renewed. `Redeeming` is the journal of a renewal: it is written before the refresh
 * token is sent, so that whoever finds it later knows that the token may be spent. `Ambiguous` is what becomes
 * of that when the answer was lost for good. A quarantined one was refused. Each speaks of the refresh token
 * with this hash only.
 *
 * @since 0.1.0
 * @category models
 */
export type Status =
  | { readonly _tag: "Active" }
  | {
    readonly _tag: "Redeeming"
    /** The SHA-256 of the refresh token that is sent, as hex digits. */
    readonly hash: string
    /** When it was first sent at the earliest, in Unix milliseconds by the store's clock. */
    readonly since: number
    /** Which process wrote this. */
    readonly owner: string
    /** The fencing number of that process's lease; 0 without one. */
    readonly fence: number
    /** Whether the issuer has answered with an error of its own, so that the token may be sent again. */
    readonly failed?: boolean | undefined
  }
  | {
    readonly _tag: "Ambiguous"
    /** The SHA-256 of the refresh token that may be spent, as hex digits. */
    readonly hash: string
    /** When it was first sent at the earliest, in Unix milliseconds by the store's clock. */
    readonly since: number
  }
  | {
    readonly _tag: "Quarantined"
    /** The SHA-256 of the refresh token that was refused, as hex digits. */
    readonly hash: string
    /** The `reason` of the error that said so. */
    readonly reason: string
    /** When, in Unix milliseconds. */
    readonly at: number
  }

/**
 * A stored grant. Plain immutable data; secrets stay `Redacted`.
 *
 * @since 0.1.0
 * @category models
 */
export interface GrantRecord {
  readonly grant: Grant.Grant
  /** Counts the tokens of this key, and is the generation of the token. */
  readonly generation: number
  /** What it is bound to, as `VaultKey` tells; absent for a grant under a plain key. */
  readonly binding: string | undefined
  readonly status: Status
  /** When the present refresh token was received, in Unix milliseconds. */
  readonly refreshIssuedAt: number
  /** Whether the last renewal came with a new refresh token; absent before the first. */
  readonly rotates: boolean | undefined
  /** The fields that this release does not know. */
  readonly rest: Redacted.Redacted<Readonly<Record<string, unknown>>>
}

/**
 * The record of a new login, which is generation `after + 1`. An empty access token counts as expired: the
 * grant is worth keeping for its refresh token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (grant: Grant.Grant, after: number, binding?: string): GrantRecord => {
  const generation = Number.isSafeInteger(after + 1) ? after + 1 : 1
  return {
    grant: { ...grant, token: Token.withGeneration(usable(grant.token), generation) },
    generation,
    binding,
    status: { _tag: "Active" },
    refreshIssuedAt: grant.token.issuedAt,
    rotates: undefined,
    rest: Redacted.make({})
  }
}

/**
 * Whether it holds an access token at all, and not only what renews it.
 *
 * @since 0.1.0
 * @category predicates
 */
export const hasToken = (self: GrantRecord): boolean => !isEmpty(self.grant.token)

const isEmpty = (token: Token.Token): boolean => Redacted.value(token.value) === ""

const usable = (token: Token.Token): Token.Token => isEmpty(token) ? { ...token, expiresAt: 0 } : token

/**
 * The record after a renewal: merged as `Grant.renew` does, one generation on, active again.
 *
 * @since 0.1.0
 * @category combinators
 */
export const renew = (self: GrantRecord, renewed: Grant.Grant): GrantRecord => {
  const next = make(Grant.renew(self.grant, renewed), self.generation, self.binding)
  const isKept = hasSameRefreshToken(self, next)
  const refreshIssuedAt = isKept ? self.refreshIssuedAt : next.refreshIssuedAt
  return { ...next, rest: self.rest, refreshIssuedAt, rotates: !isKept }
}

/**
 * The record once its refresh token was refused for good, marked with the token's hash. Nothing of it is
 * lost.
 *
 * @since 0.1.0
 * @category combinators
 */
export const quarantine = (
  self: GrantRecord,
  rejection: { readonly reason: string; readonly at: number }
): Effect.Effect<GrantRecord> =>
  Effect.map(refreshHash(self), (hash) => ({ ...self, status: { _tag: "Quarantined", hash, ...rejection } }))

/**
 * The record while its refresh token is sent, marked with the token's hash.
 *
 * @since 0.1.0
 * @category combinators
 */
export const redeeming = (
  self: GrantRecord,
  journal: { readonly since: number; readonly owner: string; readonly fence: number }
): Effect.Effect<GrantRecord> =>
  Effect.map(refreshHash(self), (hash) => ({ ...self, status: { _tag: "Redeeming", hash, ...journal } }))

/**
 * The record once nobody can tell any more whether its refresh token is spent. Nothing of it is lost.
 *
 * @since 0.1.0
 * @category combinators
 */
export const ambiguous = (self: GrantRecord, since: number): Effect.Effect<GrantRecord> =>
  Effect.map(refreshHash(self), (hash) => ({ ...self, status: { _tag: "Ambiguous", hash, since } }))

/**
 * The record without a mark.
 *
 * @since 0.1.0
 * @category combinators
 */
export const activate = (self: GrantRecord): GrantRecord => ({ ...self, status: { _tag: "Active" } })

/**
 * What is known of the refresh token that it holds now: a mark that speaks of another one means nothing.
 *
 * @since 0.1.0
 * @category getters
 */
export const statusOf = (self: GrantRecord): Effect.Effect<Status> => {
  const { status } = self
  return status._tag === "Active"
    ? Effect.succeed(status)
    : Effect.map(refreshHash(self), (hash) => hash === status.hash ? status : { _tag: "Active" })
}

const refreshHash = (self: GrantRecord): Effect.Effect<string> =>
  sha256Hex(secretOf(self.grant.refreshToken) ?? "")

/**
 * Whether both would redeem the same refresh token.
 *
 * @since 0.1.0
 * @category predicates
 */
export const hasSameRefreshToken = (self: GrantRecord, that: GrantRecord): boolean =>
  secretOf(self.grant.refreshToken) === secretOf(that.grant.refreshToken)

/**
 * Whether both hold the same token and the same refresh token.
 *
 * @since 0.1.0
 * @category predicates
 */
export const hasSameSecrets = (self: GrantRecord, that: GrantRecord): boolean =>
  Token.isSame(self.grant.token, that.grant.token) && hasSameRefreshToken(self, that)

const secretOf = (secret: Redacted.Redacted<string> | undefined): string | undefined =>
  secret === undefined ? undefined : Redacted.value(secret)

const latest = 8.64e15
const Instant = Schema.Number.pipe(Schema.between(0, latest))
const Count = Schema.NonNegativeInt
const Long = Schema.String.pipe(Schema.maxLength(256 * 1024))
const Secret = Schema.Redacted(Long.pipe(Schema.minLength(1)))
const Text = Schema.String.pipe(Schema.maxLength(8 * 1024))
const Name = Schema.String.pipe(Schema.maxLength(256))
const Key = Schema.Redacted(Schema.String.pipe(Schema.length({ min: 1, max: 16 * 1024 })))
const Digest = Schema.String.pipe(Schema.pattern(/^[0-9a-f]{64}$/))

const Known = {
  schema: Schema.Literal(1),
  generation: Count,
  binding: Schema.optional(Digest),
  status: Schema.Union(
    Schema.TaggedStruct("Active", {}),
    Schema.TaggedStruct("Redeeming", {
      hash: Digest,
      since: Instant,
      owner: Name,
      fence: Count,
      failed: Schema.optional(Schema.Boolean)
    }),
    Schema.TaggedStruct("Ambiguous", { hash: Digest, since: Instant }),
    Schema.TaggedStruct("Quarantined", {
      hash: Digest,
      reason: Schema.String.pipe(Schema.pattern(/^[A-Za-z_]{1,40}$/)),
      at: Instant
    })
  ),
  /** Empty: there is none, only what renews it. */
  accessToken: Schema.Redacted(Long),
  tokenType: Name,
  issuedAt: Instant,
  /** `null`: it never expires. */
  expiresAt: Schema.NullOr(Instant),
  scopes: Schema.Array(Text).pipe(Schema.maxItems(1000)),
  proofKey: Schema.optional(Key),
  refreshToken: Schema.optional(Secret),
  refreshIssuedAt: Instant,
  rotates: Schema.optional(Schema.Boolean),
  refreshExpiresAt: Schema.optional(Instant),
  idToken: Schema.optional(Secret),
  extra: Schema.Record({ key: Schema.String, value: Text }).pipe(
    Schema.filter((extra) => Object.keys(extra).length <= 100)
  )
}

const Stored = Schema.parseJson(
  Schema.Struct(Known, { key: Schema.String, value: Schema.Unknown }),
  ownFieldsOnly
)
type Stored = typeof Stored.Type
const encodeStored = Schema.encodeEither(Stored)
const decodeStored = Schema.decodeEither(Stored)

/**
 * The text to store. A grant beyond every sane bound, which could not be read back, is `Unsupported`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (
  self: GrantRecord,
  vault: string
): Effect.Effect<Redacted.Redacted<string>, Unsupported> =>
  Either.match(encodeStored(toStored(self)), {
    onRight: (text) => Effect.succeed(Redacted.make(text)),
    onLeft: (error) =>
      Effect.fail(
        new Unsupported({
          vault,
          action: "set",
          detail: `the grant can't be stored: ${fieldOf(error)} is out of bounds`,
          hint: "Report it to whoever runs the issuer; the grant is kept in memory only."
        })
      )
  })

/**
 * The record in a stored text; anything else is `Corrupt`, and the error tells the field but no content.
 *
 * @since 0.1.0
 * @category encoding
 */
export const decode = (
  value: Redacted.Redacted<string>,
  vault: string
): Effect.Effect<GrantRecord, Corrupt> =>
  Either.match(decodeStored(Redacted.value(value)), {
    onRight: (stored) => Effect.succeed(fromStored(stored)),
    onLeft: (error) =>
      Effect.fail(
        new Corrupt({
          vault,
          action: "get",
          detail: `the stored grant is not readable: ${fieldOf(error)} is missing or invalid`,
          hint: "Log in again; or, if a newer release of this library wrote it, use that one."
        })
      )
  })

/** The name of the first field that is wrong, if it is one of ours: any other name would be outside text. */
const fieldOf = (error: ParseResult.ParseError): string => {
  const field = ParseResult.ArrayFormatter.formatErrorSync(error)[0]?.path[0]
  return typeof field === "string" && Object.hasOwn(Known, field) ? field : "the text"
}

const toStored = (
  { binding, generation, grant, refreshIssuedAt, rest, rotates, status }: GrantRecord
): Stored => ({
  ...Redacted.value(rest),
  schema: 1,
  generation,
  binding,
  status,
  accessToken: grant.token.value,
  tokenType: grant.token.type,
  issuedAt: toInstant(grant.token.issuedAt),
  expiresAt: grant.token.expiresAt === Infinity ? null : toInstant(grant.token.expiresAt),
  scopes: grant.token.scopes,
  proofKey: grant.token.proofKey,
  refreshToken: grant.refreshToken,
  refreshIssuedAt: toInstant(refreshIssuedAt),
  rotates,
  refreshExpiresAt: grant.refreshExpiresAt === undefined ? undefined : toInstant(grant.refreshExpiresAt),
  idToken: grant.idToken,
  extra: grant.extra
})

/** A lifetime of absurd length must not make a rotated grant impossible to store. */
const toInstant = (at: number): number => at >= 0 ? Math.min(at, latest) : 0

const fromStored = (stored: Stored): GrantRecord => ({
  generation: stored.generation,
  binding: stored.binding,
  status: stored.status,
  refreshIssuedAt: stored.refreshIssuedAt,
  rotates: stored.rotates,
  rest: Redacted.make(
    Object.fromEntries(Object.entries(stored).filter(([name]) => !Object.hasOwn(Known, name)))
  ),
  grant: Grant.make({
    token: usable(Token.make({
      value: stored.accessToken,
      type: stored.tokenType,
      issuedAt: stored.issuedAt,
      expiresAt: stored.expiresAt ?? Infinity,
      scopes: stored.scopes,
      generation: stored.generation,
      proofKey: stored.proofKey
    })),
    refreshToken: stored.refreshToken,
    refreshExpiresAt: stored.refreshExpiresAt,
    idToken: stored.idToken,
    extra: stored.extra
  })
})
