/**
 * The hands on a virtual identity provider: the person who logs in, the operator who breaks things on purpose,
 * and the journal of what happened.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Jose from "jose"
import type * as Grant from "../Grant.js"
import type * as Fault from "./Fault.js"
import type * as Journal from "./Journal.js"
import type { Approval, Client, Skew } from "./VirtualProviderOptions.js"

/**
 * Which requests meet a fault. Without more: all, until it is cleared.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reach {
  /** Default every endpoint. */
  readonly endpoint?: Journal.Endpoint | undefined
  /** Only requests with this grant type. Default any. */
  readonly grantType?: string | undefined
  /** Only the next so many. Default any number. */
  readonly times?: number | undefined
  /** Only for so long from now on. Default until it is cleared. */
  readonly during?: Duration.DurationInput | undefined
}

/**
 * A fault in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface Injected {
  /** Waits until the first request meets it. */
  readonly reached: Effect.Effect<void>
  /** How many requests have met it. */
  readonly hits: Effect.Effect<number>
  /** Takes it away; requests that have met it stay met. */
  readonly clear: Effect.Effect<void>
}

/**
 * What the person does on the page that a browser was sent to. `Ignore`: the page stays open for ever.
 *
 * @since 0.1.0
 * @category models
 */
export type Choice = "Approve" | "Deny" | "Ignore" | Exclude<Approval, "ByHand">

/**
 * How a JWT is signed by `sign`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SignOptions {
  /**
   * `Own`: the provider's current key (the default). `Unpublished`: a key that is in no document. `None`: no
   * signature, with `alg: none`.
   */
  readonly key?: "Own" | "Unpublished" | "None" | undefined
  /** Fields to put in place of the header's own. */
  readonly header?: Readonly<Record<string, unknown>> | undefined
}

/**
 * A browser was shown an error, or got no answer, and was not sent back to the program.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotRedirected extends Data.TaggedError("NotRedirected")<{
  /** The HTTP status of the page; undefined where the connection failed. */
  readonly status: number | undefined
  /** The OAuth error code on the page. */
  readonly error: string | undefined
}> {
  override get message(): string {
    return this.status === undefined
      ? "the browser got no answer"
      : `the browser was shown ${this.error ?? "a page"}, status ${this.status}`
  }
}

/**
 * The hands on a virtual identity provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly issuer: string
  /** The provider as an `HttpClient`; the Layer provides it under its own tag too. */
  readonly client: HttpClient.HttpClient
  /** The person approves now; false where no login waits under that user code. */
  readonly approve: (userCode: string) => Effect.Effect<boolean>
  /** The person refuses now; false where no login waits under that user code. */
  readonly deny: (userCode: string) => Effect.Effect<boolean>
  /** The user codes that wait for a decision. */
  readonly waiting: Effect.Effect<ReadonlyArray<string>>
  /** What the person does about the next logins, after those already scripted. */
  readonly script: (approvals: ReadonlyArray<Approval>) => Effect.Effect<void>
  /**
   * What a browser does with an authorization URL, or with a logout URL: the provider judges the request, the
   * person decides, and the address comes back that the browser is sent to. Without a choice the person follows
   * the script, and approves at once where that says `ByHand`.
   */
  readonly authorize: (url: string, choice?: Choice) => Effect.Effect<string, NotRedirected>
  /** A grant as if somebody had just logged in, without a request. Dies for an unknown client. */
  readonly issue: (client: string, scopes?: ReadonlyArray<string>) => Effect.Effect<Grant.Grant>
  /** Revokes an access token alone, a refresh token that has not expired with all tokens of its login. */
  readonly revoke: (token: Redacted.Redacted<string>) => Effect.Effect<void>
  /** A JWT of the provider, such as a token that lies; give it out with `Fault.withField("id_token", …)`. */
  readonly sign: (claims: Jose.JWTPayload, options?: SignOptions) => Effect.Effect<string>
  /** From now on signs with a new key. The old one is published still, unless it is withdrawn. */
  readonly rotateKeys: (options?: { readonly withdraw?: boolean | undefined }) => Effect.Effect<void>
  /** Makes every nonce void that was handed out so far. */
  readonly rotateNonces: Effect.Effect<void>
  /** Adds a client, or puts it in place of the one with its id. */
  readonly register: (client: Client) => Effect.Effect<void>
  /** Forgets a client and what it was given; without an id all that have registered themselves. */
  readonly purge: (client?: string) => Effect.Effect<void>
  /** Sets the server's clock right, or wrong. */
  readonly setSkew: (skew: Skew) => Effect.Effect<void>
  /** Puts a fault in place. A request meets the first that applies, and every slow one. */
  readonly inject: (fault: Fault.Fault, reach?: Reach) => Effect.Effect<Injected>
  /** Takes all faults away. */
  readonly clearFaults: Effect.Effect<void>
  /** The requests so far, oldest first. */
  readonly journal: Effect.Effect<ReadonlyArray<Journal.Entry>>
  /** How often things happened so far. */
  readonly counts: Effect.Effect<Journal.Counts>
}
