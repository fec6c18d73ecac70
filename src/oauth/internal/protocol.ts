/**
 * oauth4webapi makes a request and judges its answer; in between, the request travels as an Effect on the
 * same fiber, so that time limits, interruption and tracing work as for any other effect.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DefaultServices from "effect/DefaultServices"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Ref from "effect/Ref"
import * as oauth from "oauth4webapi"
import { Misconfigured } from "../../TokenError.js"
import type * as Transport from "./transport.js"
import * as Url from "./url.js"

/** What oauth4webapi calls instead of `fetch`. */
export type Fetch = (url: string, init: oauth.CustomFetchOptions<string, unknown>) => Promise<Response>

interface Asked {
  readonly request: Transport.Request
  readonly reply: (response: Response) => void
}

/** Runs one of oauth4webapi's request functions, which fetches once, and gives the answer. */
export const perform = <E>(
  source: string,
  call: (fetch: Fetch) => Promise<unknown>,
  send: (request: Transport.Request) => Effect.Effect<Transport.Answer, E>
): Effect.Effect<Transport.Answer, E | Misconfigured> =>
  Effect.suspend(() => {
    let done: Promise<unknown> = Promise.resolve()
    const asked = Effect.async<Asked, Misconfigured>((resume) => {
      done = call((url, init) =>
        new Promise((reply) => resume(Effect.succeed({ request: toRequest(url, init), reply })))
      ).catch((error) => resume(Effect.fail(unmade(source, error))))
    })
    return Effect.flatMap(asked, ({ request, reply }) =>
      Effect.tap(send(request), (answer) => {
        reply(toResponse(answer))
        return Effect.promise(() => done)
      }))
  })

const toRequest = (url: string, init: oauth.CustomFetchOptions<string, unknown>): Transport.Request => ({
  url,
  method: init.method,
  headers: init.headers,
  body: init.body === undefined || init.body === null ? undefined : String(init.body)
})

/** The answer as oauth4webapi wants it; a body that the status forbids is left out. */
export const toResponse = (answer: Transport.Answer): Response => {
  const bodiless = [204, 205, 304].includes(answer.status)
  const headers = new Headers()
  for (const name of ["content-type", "www-authenticate", "dpop-nonce"]) {
    const value = answer.headers[name]
    if (value !== undefined) headers.set(name, value)
  }
  const status = answer.status >= 200 && answer.status <= 599 ? answer.status : 502
  return new Response(bodiless ? null : answer.text, { status, headers })
}

/** Lets oauth4webapi send in the clear to where `Url.secure` allows it. */
export const allowLoopback = (address: string | undefined): boolean => {
  const url = address === undefined ? undefined : Url.parse(address)
  return url !== undefined && !Url.isInsecure(url)
}

const realClock = Context.get(DefaultServices.liveServices, Clock.Clock)

/**
 * The client for oauth4webapi. That reads the machine's clock; the skew makes it act as at `Clock`'s time on
 * the server's clock.
 */
export const client = (id: string, clockOffset: Ref.Ref<number>): Effect.Effect<oauth.Client> =>
  Effect.map(Effect.flatMap(Ref.get(clockOffset), clockSkew), (skew) => ({ client_id: id, ...skew }))

/** What makes oauth4webapi act at `Clock`'s time, by so many milliseconds ahead. */
const clockSkew = (offset: number): Effect.Effect<Pick<oauth.Client, typeof oauth.clockSkew>> =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    [oauth.clockSkew]: seconds(now + offset) - seconds(realClock.unsafeCurrentTimeMillis())
  }))

const seconds = (millis: number): number => Math.floor(millis / 1000)

/** Why a request could not even be made. */
const unmade = (source: string, error: unknown): Misconfigured => {
  const code = Predicate.hasProperty(error, "code") ? error.code : undefined
  switch (code) {
    case oauth.MISSING_SERVER_METADATA:
    case oauth.INVALID_SERVER_METADATA:
      return misconfigured(
        source,
        "InvalidMetadata",
        "the server's metadata lacks the endpoint that this needs"
      )
    case oauth.HTTP_REQUEST_FORBIDDEN:
    case oauth.REQUEST_PROTOCOL_FORBIDDEN:
      return misconfigured(source, "InsecureUrl", "the endpoint is not https")
    case oauth.UNSUPPORTED_OPERATION:
      return misconfigured(source, "InvalidKey", "the key is of a kind that can't sign here")
    default:
      return misconfigured(source, "InvalidOption", "the request could not be made from these options")
  }
}

const misconfigured = (source: string, reason: Misconfigured["reason"], detail: string): Misconfigured =>
  new Misconfigured({
    source,
    reason,
    detail,
    hint: "Check the options of the server and the client."
  })
