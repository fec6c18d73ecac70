/**
 * The answer of a device authorization endpoint (RFC 8628 §3.2), bounded in every field.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { TransientFailure } from "../../TokenError.js"
import * as Failure from "./failure.js"
import * as Seconds from "./seconds.js"
import type * as Transport from "./transport.js"
import * as Url from "./url.js"

export interface Decoded {
  readonly deviceCode: Redacted.Redacted<string>
  readonly userCode: string
  readonly verificationUri: string
  readonly verificationUriComplete: string | undefined
  /** In milliseconds. */
  readonly lifetime: number
  /** In milliseconds. */
  readonly interval: number
}

/** The address in its encoded form, which holds no control characters. */
const webAddress = (input: unknown): Option.Option<string> => {
  const url = typeof input === "string" ? Url.parse(input) : undefined
  return url !== undefined && ["https:", "http:"].includes(url.protocol) && url.username === "" &&
      url.password === "" && Url.parse(url.href) !== undefined
    ? Option.some(url.href)
    : Option.none()
}

const Body = Schema.Struct({
  device_code: Schema.String.pipe(Schema.pattern(/^[\x21-\x7e]{1,4096}$/)),
  user_code: Schema.String.pipe(Schema.pattern(/^[\x21-\x7e]([\x20-\x7e]{0,62}[\x21-\x7e])?$/)),
  verification_uri: Schema.optional(Schema.Unknown),
  verification_url: Schema.optional(Schema.Unknown),
  verification_uri_complete: Schema.optional(Schema.Unknown),
  verification_url_complete: Schema.optional(Schema.Unknown),
  expires_in: Schema.optional(Schema.Unknown),
  interval: Schema.optional(Schema.Unknown)
})

const decodeBody = Schema.decodeOption(Schema.parseJson(Body))

/** The authorization in the answer. Some servers write `url` for `uri`. */
export const decode = (
  source: string,
  answer: Transport.Answer,
  authenticates: boolean
): Effect.Effect<Decoded, Failure.Refusal | TransientFailure> =>
  Effect.zipRight(
    Failure.ofAnswer(source, answer, authenticates),
    Effect.mapError(
      Option.flatMap(decodeBody(answer.text), toDecoded),
      () => Failure.malformed(source, "the answer is no device authorization")
    )
  )

const toDecoded = (body: typeof Body.Type): Option.Option<Decoded> =>
  Option.map(webAddress(body.verification_uri ?? body.verification_url), (verificationUri) => ({
    deviceCode: Redacted.make(body.device_code),
    userCode: body.user_code,
    verificationUri,
    verificationUriComplete: Option.getOrUndefined(
      webAddress(body.verification_uri_complete ?? body.verification_url_complete)
    ),
    lifetime: lifetimeOf(body.expires_in),
    interval: intervalOf(body.interval)
  }))

const second = 1_000
const minute = 60 * second

/** Missing or nonsense counts as 10 minutes, and more than a day as a day. */
const lifetimeOf = (input: unknown): number =>
  Math.min(Option.getOrElse(Seconds.lifetime(input), () => 10 * minute), 24 * 60 * minute)

/** Missing, negative or nonsense counts as 5 seconds; at least a second, at most 5 minutes. */
const intervalOf = (input: unknown): number => {
  const seconds = Option.getOrElse(Seconds.decode(input), () => -1)
  return seconds < 0 ? 5 * second : Math.min(Math.max(seconds * second, second), 5 * minute)
}
