/**
 * Which requests may carry a credential: those that go to one of its origins.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { Misconfigured } from "../../TokenError.js"

export type IsBound = (request: HttpClientRequest.HttpClientRequest) => boolean

export const compile = (
  source: string,
  origins: string | URL | ReadonlyArray<string | URL>
): Either.Either<IsBound, Misconfigured> => {
  if (origins === "any") return Either.right(() => true)
  const given = typeof origins === "string" || origins instanceof URL ? [origins] : origins
  const parsed = given.map(originOf)
  return parsed.length > 0 && parsed.every((origin) => origin !== undefined)
    ? Either.right((request) => parsed.some((origin) => isWithin(request, origin)))
    : Either.left(invalidOrigins(source))
}

const originOf = (input: string | URL): string | undefined => {
  if (!URL.canParse(input)) return undefined
  const url = new URL(input)
  return url.protocol === "https:" || url.protocol === "http:" ? url.origin : undefined
}

const isWithin = (request: HttpClientRequest.HttpClientRequest, origin: string): boolean =>
  startsAt(request.url, origin) ||
  Option.exists(HttpClientRequest.toUrl(request), (url) => url.origin === origin)

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
