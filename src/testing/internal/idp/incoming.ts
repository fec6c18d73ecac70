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
import * as oauth from "oauth4webapi"
import type { Endpoint } from "../../Journal.js"

/** What is wrong with the body, or the form in it. */
export type Form =
  | { readonly _tag: "Form"; readonly fields: ReadonlyMap<string, string> }
  | { readonly _tag: "Bad"; readonly status: 400 | 413 }

export interface Incoming {
  readonly endpoint: Endpoint
  readonly method: string
  readonly authorization: string | undefined
  readonly form: Form
  /** The S256 challenge that its `code_verifier` answers (RFC 7636 §4.6). */
  readonly challenge: string | undefined
  /** How long the body was. */
  readonly bytes: number
}

const limit = 64 * 1024

export const read = (
  endpoint: Endpoint,
  request: HttpClientRequest.HttpClientRequest
): Effect.Effect<Incoming, HttpClientError.RequestError> =>
  Effect.flatMap(readBody(request), (body) => {
    const form = parse(request.headers["content-type"], body)
    return Effect.map(challengeOf(form), (challenge) => ({
      endpoint,
      method: request.method,
      authorization: request.headers["authorization"],
      form,
      challenge,
      bytes: body.length
    }))
  })

const challengeOf = (form: Form): Effect.Effect<string | undefined> => {
  const verifier = valueOf(form, "code_verifier")
  return verifier === undefined
    ? Effect.succeed(undefined)
    : Effect.promise(() => oauth.calculatePKCECodeChallenge(verifier))
}

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

/** A form in which no field stands twice (RFC 6749 §3.2), save `resource` (RFC 8707 §2). */
const parse = (contentType: string | undefined, body: Uint8Array): Form => {
  if (body.length > limit) return { _tag: "Bad", status: 413 }
  if (!isForm(contentType)) return { _tag: "Bad", status: 400 }
  const entries = [...new URLSearchParams(new TextDecoder().decode(body))]
  const names = entries.map(([name]) => name).filter((name) => name !== "resource")
  return new Set(names).size === names.length
    ? { _tag: "Form", fields: new Map(entries) }
    : { _tag: "Bad", status: 400 }
}

const isForm = (contentType: string | undefined): boolean =>
  contentType?.split(";")[0]?.trim().toLowerCase() === "application/x-www-form-urlencoded"

/** A field that is present and not empty (RFC 6749 §3.2: without a value means omitted). */
export const field = (incoming: Incoming, name: string): string | undefined => valueOf(incoming.form, name)

const valueOf = (form: Form, name: string): string | undefined =>
  form._tag === "Bad" ? undefined : form.fields.get(name) || undefined
