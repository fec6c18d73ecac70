/**
 * Which requests may carry a credential: those that go to one of its origins.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { Misconfigured } from "../../TokenError.js"

/**
 * Where a request goes: to where the credential may be shown, to somebody else, or to where it would be shown
 * in clear.
 */
export type Destination = "Bound" | "Elsewhere" | "Insecure"

export type Locate = (request: HttpClientRequest.HttpClientRequest) => Destination

export interface Options {
  readonly source: string
  readonly origins: string | URL | ReadonlyArray<string | URL>
  readonly insecure: boolean
}

export const compile = ({ insecure, origins, source }: Options): Either.Either<Locate, Misconfigured> => {
  if (origins === "any") return Either.right(anywhere(insecure))
  const given = typeof origins === "string" || origins instanceof URL ? [origins] : origins
  const parsed = given.map(parse)
  if (parsed.length === 0 || !parsed.every((url) => url !== undefined)) {
    return Either.left(invalidOrigins(source))
  }
  if (!insecure && !parsed.every(isSecure)) return Either.left(insecureUrl(source))
  const bound = parsed.map(({ origin }) => origin)
  return Either.right((request) => bound.some((origin) => isWithin(request, origin)) ? "Bound" : "Elsewhere")
}

const anywhere = (insecure: boolean): Locate => (request) => {
  if (request.url.startsWith("https://")) return "Bound"
  return Option.match(HttpClientRequest.toUrl(request), {
    onNone: () => "Elsewhere",
    onSome: (url) => insecure || isSecure(url) ? "Bound" : "Insecure"
  })
}

const parse = (input: string | URL): URL | undefined => {
  if (!URL.canParse(input)) return undefined
  const url = new URL(input)
  return url.protocol === "https:" || url.protocol === "http:" ? url : undefined
}

/** Whether nobody on the way can read along: TLS, or plain http that stays on this machine. */
const isSecure = ({ hostname, protocol }: URL): boolean =>
  protocol === "https:" || (protocol === "http:" && loopback.test(hostname))

/** Hosts that no resolver can point elsewhere, as the URL parser writes them. */
const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

const isWithin = (request: HttpClientRequest.HttpClientRequest, origin: string): boolean =>
  startsAt(request.url, origin) ||
  Option.exists(HttpClientRequest.toUrl(request), (url) => `${url.protocol}//${url.host}` === origin)

/** The usual case without parsing: the authority of a URL ends for certain at the first slash after it. */
const startsAt = (url: string, origin: string): boolean =>
  url[origin.length] === "/" && url.startsWith(origin)

const invalidOrigins = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the origins that its credential is bound to are not http or https URLs",
    hint: "Give at least one origin, each as https://host, or \"any\"."
  })

/** What is said where the credential would cross a network in clear. */
export const insecureUrl = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InsecureUrl",
    detail: "its credential would be sent in clear, over plain http to another machine",
    hint: "Use https; where the network can be trusted, say `insecure: true`."
  })
