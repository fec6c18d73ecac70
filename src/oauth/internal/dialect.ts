/**
 * Between the standard and the dialect of a server: token requests are rewritten before they are sent, and
 * their answers before they are read.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import type { Dialect } from "../Dialect.js"
import * as Body from "./body.js"
import * as Instant from "./instant.js"
import type * as Transport from "./transport.js"

/** The code of a refusal that names no reason. */
export const unexplained = "error"

/** A sender that speaks the dialect. */
export const speak = (
  dialect: Dialect | undefined,
  clockOffset: Ref.Ref<number>,
  send: Transport.Send
): Transport.Send => {
  if (dialect === undefined) return send
  return (request) => {
    const fields = fieldsOf(request)
    const sent = Effect.flatMap(identified(dialect, written(dialect, request, fields)), send)
    const grant = fields?.get("grant_type") ?? undefined
    return grant === undefined ? Effect.map(sent, (answer) => readStart(dialect, answer)) : Effect.zipWith(
      sent,
      serverTime(clockOffset),
      (answer, now) => read(dialect, answer, { now, renews: grant === "refresh_token" })
    )
  }
}

/** What time the server has. */
export const serverTime = (clockOffset: Ref.Ref<number>): Effect.Effect<number> =>
  Effect.zipWith(Clock.currentTimeMillis, Ref.get(clockOffset), (now, offset) => now + offset)

const fieldsOf = ({ body, method }: Transport.Request): URLSearchParams | undefined =>
  method === "POST" && body !== undefined ? new URLSearchParams(body) : undefined

const written = (
  { json = [] }: Dialect,
  request: Transport.Request,
  fields: URLSearchParams | undefined
): Transport.Request => {
  if (fields === undefined || !isJson(json, fields)) return request
  return {
    ...request,
    headers: { ...request.headers, "content-type": "application/json" },
    body: JSON.stringify(members(fields))
  }
}

const isJson = (json: NonNullable<Dialect["json"]>, fields: URLSearchParams): boolean =>
  fields.has("grant_type") && json.includes("token") || fields.has("token") && json.includes("revocation")

/** A field that comes more than once is a list. */
const members = (fields: URLSearchParams): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    [...new Set(fields.keys())].map((name) => {
      const all = fields.getAll(name)
      return [name, all.length === 1 ? all[0] : all]
    })
  )

const identified = (dialect: Dialect, request: Transport.Request): Effect.Effect<Transport.Request> =>
  dialect.requestIds === true
    ? Effect.map(uuid, (id) => ({ ...request, headers: { ...request.headers, "x-request-id": id } }))
    : Effect.succeed(request)

/** A UUID of version 4, which nothing relies on to be secret. */
const uuid: Effect.Effect<string> = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 16), 30),
  (digits) => {
    const hex = digits.map((digit) => digit.toString(16)).join("")
    return [
      hex.slice(0, 8),
      hex.slice(8, 12),
      `4${hex.slice(12, 15)}`,
      `a${hex.slice(15, 18)}`,
      hex.slice(18)
    ]
      .join("-")
  }
)

interface Reading {
  /** The server's time, in Unix milliseconds. */
  readonly now: number
  /** Whether a refresh token was sent, so that no person is being asked. */
  readonly renews: boolean
}

/** The answer as the standard has it. What is no JSON object, and what says an outage, stays as it is. */
const read = (dialect: Dialect, answer: Transport.Answer, reading: Reading): Transport.Answer => {
  const fields = Option.getOrUndefined(Body.parse(answer.text))
  const isDecision = answer.status >= 200 && answer.status < 300 ||
    answer.status >= 400 && answer.status < 500
  if (fields === undefined || !isDecision || answer.status === 429) return answer
  if (typeof fields["access_token"] === "string") return granting(dialect, answer, fields, reading.now)
  const code = Body.errorCode(answer.text)
  if (code !== undefined) {
    return reading.renews && dialect.endedBy?.includes(code) === true
      ? refusing(answer, "invalid_grant")
      : answer
  }
  return dialect.status === undefined ? answer : decided(answer, fields[dialect.status], reading)
}

/** Where outcomes are told in a form of the server's own, so is that a login can't begin, and why is not known. */
const readStart = ({ status }: Dialect, answer: Transport.Answer): Transport.Answer => {
  const isRefused = answer.status >= 400 && answer.status < 500 && answer.status !== 429
  return status !== undefined && isRefused && Option.isSome(Body.parse(answer.text)) &&
      Body.errorCode(answer.text) === undefined
    ? refusing(answer, unexplained)
    : answer
}

/** The outcome that the status field tells, as an error code. */
const decided = (answer: Transport.Answer, said: unknown, { renews }: Reading): Transport.Answer => {
  if (said === "error" || answer.status >= 400) return refusing(answer, unexplained)
  return renews || said === "success" ? answer : refusing(answer, "authorization_pending")
}

const refusing = (answer: Transport.Answer, code: string): Transport.Answer => ({
  ...answer,
  status: 400,
  text: JSON.stringify({ error: code })
})

/** The token and what is told of it. */
const granting = (
  dialect: Dialect,
  answer: Transport.Answer,
  fields: Body.Fields,
  now: number
): Transport.Answer => {
  const told = { ...lifetimeIn(dialect, fields, now), ...scopesIn(dialect, fields) }
  return Object.keys(told).length === 0
    ? answer
    : { ...answer, text: JSON.stringify({ ...fields, ...told }) }
}

const lifetimeIn = ({ expiresAt }: Dialect, fields: Body.Fields, now: number): Body.Fields => {
  if (expiresAt === undefined || fields[expiresAt] === undefined) return {}
  const lifetime = Instant.lifetime(fields[expiresAt], now)
  return { expires_in: Option.getOrUndefined(Option.map(lifetime, (millis) => millis / 1000)) }
}

const scopesIn = ({ commaScopes }: Dialect, { scope }: Body.Fields): Body.Fields =>
  commaScopes === true && typeof scope === "string" ? { scope: scope.replaceAll(",", " ") } : {}
