/**
 * ID tokens: who logged in, as the server has signed it (OpenID Connect Core §2), verified before it is believed.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import type { Grant } from "../Grant.js"
import type { TransientFailure } from "../TokenError.js"
import { Misconfigured, ReauthRequired } from "../TokenError.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import type { Claims } from "./Claims.js"
import type { Client } from "./Client.js"
import * as IdTokenClaims from "./internal/idTokenClaims.js"
import * as Doubt from "./internal/idTokenDoubt.js"
import * as Signature from "./internal/idTokenSignature.js"
import * as Keys from "./internal/keys.js"
import type { Limits } from "./Limits.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Limits {
  /** Whose ID tokens are believed. */
  readonly server: AuthorizationServer
  /** Whom they have to be made for. */
  readonly client: Pick<Client, "id">
  /** The name that errors show. Default: `ID token`. */
  readonly name?: string | undefined
  /** How far the clocks may differ beyond what is known of it. Default 30 seconds. */
  readonly clockTolerance?: Duration.DurationInput | undefined
}

/**
 * What one ID token has to hold beyond what each has to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Checks {
  /** What it has to name, where one was sent when the login was begun. */
  readonly nonce?: Redacted.Redacted<string> | undefined
  /** How long ago the person may have proved who they are. */
  readonly maxAge?: Duration.DurationInput | undefined
  /** Who it has to be about. */
  readonly subject?: string | undefined
  /**
   * Whether it came from the token endpoint itself just now. Then the connection vouches for it where the server
   * publishes no keys at all (OpenID Connect Core §3.1.3.7, 6). Default false.
   */
  readonly direct?: boolean | undefined
}

/**
 * The ID token is not to be believed. No field holds any of it.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdTokenRejected extends Data.TaggedError("IdTokenRejected")<{
  readonly source: string
  readonly reason: Doubt.Reason
  /** What is wrong with it, in one clause. */
  readonly detail: string
  /** What to do about it, in one sentence. */
  readonly hint: string
}> {
  override get message(): string {
    return `${this.source}: ${this.detail}. ${this.hint}`
  }
}

/**
 * Verifies the ID tokens of one server for one client. The server's keys are kept with the server; an unknown key has
 * them fetched again, at most every 30 seconds and once for all who ask.
 *
 * @since 0.1.0
 * @category models
 */
export interface IdToken {
  /** How long `ready`, or `verify` without it, may take when it has to ask for the keys. */
  readonly timeLimit: Duration.Duration
  /**
   * Fetches the server's keys where they are not at hand, if it publishes any, so that `verify` need not: for before
   * something is spent that an ID token comes for.
   */
  readonly ready: Effect.Effect<void, TransientFailure | Misconfigured>
  /**
   * The claims, once signature (asymmetric ones only), issuer, audience, lifetime and the further checks hold
   * (OpenID Connect Core §3.1.3.7).
   */
  readonly verify: (
    idToken: Redacted.Redacted<string>,
    checks?: Checks
  ) => Effect.Effect<Claims, IdTokenRejected | TransientFailure | Misconfigured>
}

/**
 * A verifier over the HttpClient in the context, on `Clock`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<IdToken, never, HttpClient.HttpClient> => {
  const source = options.name ?? "ID token"
  const tolerance = Duration.toSeconds(options.clockTolerance ?? Duration.seconds(30))
  return Effect.map(Keys.make({ ...options, source }), (keys) => ({
    timeLimit: keys.timeLimit,
    ready: Effect.flatMap(
      options.server.metadata,
      ({ jwks_uri: address }) => address === undefined ? Effect.void : Effect.asVoid(keys.current)
    ),
    verify: (idToken, checks = {}) =>
      verifyOne({ keys, options, source, tolerance }, idToken, checks).pipe(
        Effect.catchTag("Doubt", (doubt) => Effect.fail(rejectedFor(source)(doubt)))
      )
  }))
}

interface Verifier {
  readonly source: string
  readonly options: Options
  readonly keys: Keys.Keys
  /** In seconds. */
  readonly tolerance: number
}

const verifyOne = Effect.fnUntraced(
  function*(
    { keys, options, source, tolerance }: Verifier,
    idToken: Redacted.Redacted<string>,
    checks: Checks
  ) {
    const { server } = options
    const metadata = yield* server.metadata
    const payload = yield* Signature.verify({
      source,
      keys,
      published: metadata.jwks_uri !== undefined,
      algorithms: metadata.id_token_signing_alg_values_supported,
      direct: checks.direct === true
    }, Redacted.value(idToken))
    const claims = yield* IdTokenClaims.decode(payload)
    const now = yield* Effect.zipWith(
      Clock.currentTimeMillis,
      Ref.get(server.clockOffset),
      (now, offset) => now + offset
    )
    const doubt = IdTokenClaims.doubt(claims, {
      issuer: server.issuer,
      clientId: options.client.id,
      now: now / 1000,
      tolerance,
      nonce: checks.nonce && Redacted.value(checks.nonce),
      maxAge: checks.maxAge === undefined ? undefined : Duration.toSeconds(checks.maxAge),
      subject: checks.subject
    })
    return doubt === undefined ? claims : yield* Effect.fail(doubt)
  }
)

/**
 * What the ID token of a grant says, if it has one that can be read. Nothing is verified here: it says what it said when
 * the grant was received, expired or not. A grant of `AuthorizationCode` or `DeviceCode` was verified then; use `make`
 * for any other.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofGrant = (grant: Grant): Option.Option<Claims> =>
  Option.flatMap(
    Option.fromNullable(grant.idToken),
    (idToken) => Option.flatMap(Signature.payloadOf(Redacted.value(idToken)), IdTokenClaims.decodeOption)
  )

/**
 * Who logged in, by the ID token of a grant that was kept; nobody where it has none. It has to be of this issuer and for
 * this client. That it has expired since does not matter, and its signature is not looked at again: whoever keeps the
 * grant vouches for it.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofKept = (
  grant: Grant,
  { client, name, server }: Pick<Options, "client" | "name" | "server">
): Effect.Effect<Option.Option<Claims>, IdTokenRejected> => {
  const { idToken } = grant
  if (idToken === undefined) return Effect.succeedNone
  const expected = { issuer: server.issuer, clientId: client.id }
  return Option.match(ofGrant(grant), {
    onNone: () => Effect.fail(rejectedFor(name)(Doubt.make("Malformed"))),
    onSome: (claims) => {
      const doubt = IdTokenClaims.doubtOfParties(claims, expected)
      return doubt === undefined ? Effect.succeedSome(claims) : Effect.fail(rejectedFor(name)(doubt))
    }
  })
}

const rejectedFor = (source = "ID token") => ({ detail, hint, reason }: Doubt.Doubt): IdTokenRejected =>
  new IdTokenRejected({ source, reason, detail, hint })

/**
 * Whether a renewed grant is of the same person as the one before (OpenID Connect Core §12.2): not where both have an ID
 * token, and these differ in issuer or subject.
 *
 * @since 0.1.0
 * @category predicates
 */
export const sameUser = (before: Grant, after: Grant): boolean =>
  Option.getOrElse(
    Option.zipWith(ofGrant(before), ofGrant(after), (old, renewed) =>
      old.sub === renewed.sub && old.iss === renewed.iss),
    () =>
      true
  )

/**
 * What a rejected ID token means to whoever logs in: what is wrong in the set-up is `Misconfigured`, and for the rest
 * another login may help.
 *
 * @since 0.1.0
 * @category errors
 */
export const toGrantError = (
  { detail, hint, reason, source }: IdTokenRejected
): ReauthRequired | Misconfigured => {
  const fields = { source, detail, hint }
  switch (reason) {
    case "Issuer":
      return new Misconfigured({ ...fields, reason: "IssuerMismatch" })
    // The server knows the client: it is not one to register again.
    case "Audience":
      return new Misconfigured({ ...fields, reason: "InvalidOption" })
    case "Algorithm":
      return new Misconfigured({ ...fields, reason: "InvalidMetadata" })
    default:
      return new ReauthRequired({ ...fields, reason: "GrantRejected" })
  }
}
