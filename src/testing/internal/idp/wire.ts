/**
 * Answers as they go over the wire, sound or spoilt.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import type * as Fault from "../../Fault.js"
import type { Answer } from "./answer.js"

/** What a reply is made of. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | ReadableStream<Uint8Array> | undefined
}

export const sound = (answer: Answer): Reply => ({
  status: answer.status,
  headers: answer.body === undefined ? answer.headers : { ...answer.headers, ...json },
  body: answer.body === undefined ? undefined : JSON.stringify(answer.body)
})

const json = { "content-type": "application/json" }

export const spoilt = (answer: Answer, spoiling: Fault.Spoiling): Reply => {
  const reply = sound(answer)
  const text = JSON.stringify(answer.body ?? {})
  const half = text.slice(0, Math.floor(text.length / 2))
  switch (spoiling._tag) {
    case "Html":
      return { status: 200, headers: { "content-type": "text/html" }, body: page }
    case "Empty":
      return { ...reply, body: undefined }
    case "Truncated":
      return { ...reply, body: half }
    case "Broken":
      return { ...reply, body: broken(half) }
    case "Huge":
      return { ...reply, body: padded(text, 20 * 1024 * 1024) }
    case "Without":
      return { ...reply, body: JSON.stringify({ ...answer.body, [spoiling.field]: undefined }) }
    case "With":
      return { ...reply, body: JSON.stringify({ ...answer.body, [spoiling.field]: spoiling.value }) }
  }
}

const page = "<!doctype html><html><head><title>Welcome</title></head><body>Please sign in.</body></html>"

export const redirect = (fault: Extract<Fault.Fault, { _tag: "Redirect" }>): Reply => ({
  status: fault.status,
  headers: { location: fault.location },
  body: undefined
})

export const gateway = (fault: Extract<Fault.Fault, { _tag: "Status" }>, now: number): Reply => ({
  status: fault.status,
  headers: {
    ...(fault.retryAfter === undefined ? {} : { "retry-after": retryAfter(fault.retryAfter, now) }),
    ...fault.headers
  },
  body: fault.body === "" ? undefined : fault.body
})

const retryAfter = ({ after, format }: Fault.RetryAfter, now: number): string =>
  format === "Seconds"
    ? String(Math.ceil(Duration.toSeconds(after)))
    : httpDate(now + Duration.toMillis(after))

/** RFC 9110 §5.6.7. */
const httpDate = (millis: number): string => DateTime.toDateUtc(DateTime.unsafeMake(millis)).toUTCString()

/** The web response, dated by the server's clock. */
export const toResponse = (reply: Reply, now: number): Response =>
  new Response(reply.body ?? null, {
    status: reply.status,
    headers: { date: httpDate(now), ...reply.headers }
  })

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Some bytes, then a failure. */
const broken = (text: string): ReadableStream<Uint8Array> => {
  const steps = [
    (controller: ReadableStreamDefaultController<Uint8Array>) => controller.enqueue(encode(text)),
    (controller: ReadableStreamDefaultController<Uint8Array>) =>
      controller.error(new Error("connection reset"))
  ]
  return new ReadableStream({ pull: (controller) => steps.shift()?.(controller) })
}

/** A text followed by this many blanks, made while they are read. */
const padded = (text: string, blanks: number): ReadableStream<Uint8Array> => {
  let left = blanks
  const chunk = encode(" ".repeat(64 * 1024))
  return new ReadableStream({
    start: (controller) => controller.enqueue(encode(text)),
    pull: (controller) => {
      if (left <= 0) return controller.close()
      left -= chunk.length
      controller.enqueue(chunk)
    }
  })
}
