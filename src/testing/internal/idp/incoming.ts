/**
 * A request as the server sees it: bounded and decoded.
 *
 * @since 0.1.0
 */
import type * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Endpoint } from "../../Journal.js"
import { digest } from "./digest.js"

/** What is wrong with the body, or the form in it. */
export type Form =
  | { readonly _tag: "Form"; readonly fields: ReadonlyMap<string, string>; readonly resources: Resources }
  | { readonly _tag: "Bad"; readonly status: 400 | 413 }

/** Every `resource` that was named (RFC 8707 §2). */
export type Resources = ReadonlyArray<string>

export interface Incoming {
  readonly endpoint: Endpoint
  readonly method: string
  readonly url: URL
  readonly authorization: string | undefined
  /** The `DPoP` header. */
  readonly proof: string | undefined
  /** The form in the body; where a browser comes by GET, the query. */
  readonly form: Form
  readonly contentType: string | undefined
  /** The body. */
  readonly text: string
  /** The S256 challenge that its `code_verifier` answers (RFC 7636 §4.6). */
  readonly challenge: string | undefined
  /** How long the body was. */
  readonly bytes: number
}

const limit = 64 * 1024

/** Where browsers come to. */
const pages: ReadonlyArray<Endpoint> = ["authorization", "end_session"]

export const read = (
  endpoint: Endpoint,
  request: HttpClientRequest.HttpClientRequest,
  url: URL
): Effect.Effect<Incoming, HttpClientError.RequestError> =>
  Effect.map(readBody(request), (body) => {
    const isPage = request.method === "GET" && pages.includes(endpoint)
    const form = isPage ? collect(url.searchParams) : parse(request.headers["content-type"], body)
    return {
      endpoint,
      method: request.method,
      url,
      authorization: request.headers["authorization"],
      proof: request.headers["dpop"],
      form,
      contentType: request.headers["content-type"],
      text: new TextDecoder().decode(body),
      challenge: challengeOf(form),
      bytes: body.length
    }
  })

const challengeOf = (form: Form): string | undefined => {
  const verifier = valueOf(form, "code_verifier")
  if (verifier === undefined) return undefined
  return isVerifier.test(verifier) ? digest(verifier) : noChallenge
}

/** RFC 7636 §4.1. */
const isVerifier = /^[\w.~-]{43,128}$/

/** What no challenge is. */
const noChallenge = ""

/** At most one byte over the limit. */
const readBody = (
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<Uint8Array, HttpClientError.RequestError> => {
  const body: HttpBody.HttpBody = request.body
  switch (body._tag) {
    case "Empty":
      return Effect.succeed(new Uint8Array())
    case "Uint8Array":
      return Effect.succeed(body.body.subarray(0, limit + 1))
    case "Stream":
      return readStream(request, body.stream)
    case "Raw":
      return readRaw(request, body.body)
    case "FormData":
      return Effect.succeed(new TextEncoder().encode("multipart"))
  }
}

const readRaw = (
  request: HttpClientRequest.HttpClientRequest,
  body: unknown
): Effect.Effect<Uint8Array, HttpClientError.RequestError> => {
  if (typeof body === "string" || body instanceof URLSearchParams) {
    return Effect.succeed(new TextEncoder().encode(body.toString().slice(0, limit + 1)))
  }
  if (body instanceof Uint8Array) return Effect.succeed(body.subarray(0, limit + 1))
  if (body instanceof ReadableStream) {
    return readStream(
      request,
      Stream.fromReadableStream(() => body as ReadableStream<Uint8Array>, (cause) => cause)
    )
  }
  return Effect.fail(unreadable(request))
}

const readStream = (
  request: HttpClientRequest.HttpClientRequest,
  stream: Stream.Stream<Uint8Array, unknown>
): Effect.Effect<Uint8Array, HttpClientError.RequestError> =>
  Stream.mapError(stream, () => unreadable(request)).pipe(
    Stream.runFoldWhile(new Uint8Array(), (read) => read.length <= limit, append),
    Effect.map((read) => read.subarray(0, limit + 1))
  )

const append = (left: Uint8Array<ArrayBuffer>, right: Uint8Array): Uint8Array<ArrayBuffer> => {
  const both = new Uint8Array(left.length + right.length)
  both.set(left)
  both.set(right, left.length)
  return both
}

const unreadable = (request: HttpClientRequest.HttpClientRequest): HttpClientError.RequestError =>
  new HttpClientError.RequestError({ request, reason: "Encode", description: "the body can't be read" })

const parse = (contentType: string | undefined, body: Uint8Array): Form => {
  if (body.length > limit) return { _tag: "Bad", status: 413 }
  if (!isType(contentType, "application/x-www-form-urlencoded")) return { _tag: "Bad", status: 400 }
  return collect(new URLSearchParams(new TextDecoder().decode(body)))
}

/** A form in which no field stands twice (RFC 6749 §3.2), save `resource` (RFC 8707 §2). */
const collect = (params: URLSearchParams): Form => {
  const entries = [...params]
  const names = entries.map(([name]) => name).filter((name) => name !== "resource")
  const resources = params.getAll("resource").filter((one) => one !== "")
  return new Set(names).size === names.length
    ? { _tag: "Form", fields: new Map(entries), resources }
    : { _tag: "Bad", status: 400 }
}

/** Whether a `Content-Type` is this one, whatever its parameters. */
export const isType = (contentType: string | undefined, type: string): boolean =>
  contentType?.split(";")[0]?.trim().toLowerCase() === type

/** A field that is present and not empty (RFC 6749 §3.2: without a value means omitted). */
export const field = (incoming: Incoming, name: string): string | undefined => valueOf(incoming.form, name)

/** Every `resource` of the request. */
export const resources = ({ form }: Incoming): Resources => form._tag === "Bad" ? [] : form.resources

/** A field whose value is a list with blanks between. */
export const list = (incoming: Incoming, name: string): ReadonlyArray<string> =>
  words(field(incoming, name) ?? "")

export const words = (text: string): ReadonlyArray<string> => text.split(" ").filter((word) => word !== "")

const valueOf = (form: Form, name: string): string | undefined =>
  form._tag === "Bad" ? undefined : form.fields.get(name) || undefined
