/**
 * The answer of a device authorization endpoint (RFC 8628 §3.2), bounded in every field.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { TransientFailure } from "../../TokenError.js"
import * as Failure from "./failure.js"
import * as Instant from "./instant.js"
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

/** What the answer is read by, beside what is in it. */
export interface Options {
  readonly source: string
  /** Whether the client authenticates itself. */
  readonly authenticates: boolean
  readonly dialect: Dialect
  /** What the answer has to give back. */
  readonly state: string | undefined
  /** The server's time, in Unix milliseconds. */
  readonly now: number
}

/** The departures that show in this answer; see `DeviceCode.Dialect`. */
export interface Dialect {
  readonly code?: "device_code" | "user_code" | undefined
  readonly expiresAt?: string | undefined
  readonly intervalUnit?: "seconds" | "milliseconds" | undefined
  readonly defaultInterval?: Duration.DurationInput | undefined
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
  device_code: Schema.optional(Schema.String.pipe(Schema.pattern(/^[\x21-\x7e]{1,4096}$/))),
  user_code: Schema.String.pipe(Schema.pattern(/^[\x21-\x7e]([\x20-\x7e]{0,62}[\x21-\x7e])?$/)),
  verification_uri: Schema.optional(Schema.Unknown),
  verification_url: Schema.optional(Schema.Unknown),
  verification_uri_complete: Schema.optional(Schema.Unknown),
  verification_url_complete: Schema.optional(Schema.Unknown),
  expires_in: Schema.optional(Schema.Unknown),
  interval: Schema.optional(Schema.Unknown),
  state: Schema.optional(Schema.Unknown)
}, { key: Schema.String, value: Schema.Unknown })

const decodeBody = Schema.decodeOption(Schema.parseJson(Body))

/** The authorization in the answer. Some servers write `url` for `uri`. */
export const decode = (
  answer: Transport.Answer,
  options: Options
): Effect.Effect<Decoded, Failure.Refusal | TransientFailure> =>
  Effect.zipRight(
    Failure.ofAnswer(options.source, answer, options.authenticates),
    decodeBody(answer.text).pipe(
      Effect.mapError(() => "the answer is no device authorization"),
      Effect.filterOrFail(
        ({ state }) => options.state === undefined || state === options.state,
        () => "the answer does not give back the state of its request"
      ),
      Effect.flatMap((body) =>
        Effect.orElseFail(toDecoded(body, options), () => "the answer is no device authorization")
      ),
      Effect.mapError((detail) => Failure.malformed(options.source, detail))
    )
  )

const toDecoded = (body: typeof Body.Type, { dialect, now }: Options): Option.Option<Decoded> => {
  const code = dialect.code === "user_code" ? body.user_code : body.device_code
  return Option.zipWith(
    Option.fromNullable(code),
    webAddress(body.verification_uri ?? body.verification_url),
    (code, verificationUri) => ({
      deviceCode: Redacted.make(code),
      userCode: body.user_code,
      verificationUri,
      verificationUriComplete: Option.getOrUndefined(
        webAddress(body.verification_uri_complete ?? body.verification_url_complete)
      ),
      lifetime: lifetimeOf(body, dialect, now),
      interval: intervalOf(body.interval, dialect)
    })
  )
}

const second = 1_000
const minute = 60 * second

/** Missing or nonsense counts as 10 minutes, and more than a day as a day. */
const lifetimeOf = (body: typeof Body.Type, { expiresAt }: Dialect, now: number): number => {
  const told = expiresAt === undefined || body[expiresAt] === undefined
    ? Seconds.lifetime(body.expires_in)
    : Instant.lifetime(body[expiresAt], now)
  return Math.min(Option.getOrElse(told, () => 10 * minute), 24 * 60 * minute)
}

/** Missing, negative or nonsense counts as the default; at least a second, at most 5 minutes. */
const intervalOf = (
  input: unknown,
  { defaultInterval = 5 * second, intervalUnit }: Dialect
): number => {
  const told = Option.filter(Seconds.decode(input), (interval) => interval >= 0)
  const millis = Option.match(told, {
    onNone: () => Duration.toMillis(defaultInterval),
    onSome: (interval) => intervalUnit === "milliseconds" ? interval : interval * second
  })
  return Math.min(Math.max(millis, second), 5 * minute)
}
