import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { inspect } from "node:util"
import { recording } from "./spans.js"

/** The plain text, and the ways in which it is written on the wire. */
export const written = (secret: string): ReadonlyArray<string> => [
  secret,
  encodeURIComponent(secret),
  Buffer.from(secret).toString("base64"),
  Buffer.from(secret).toString("base64url")
]

/** All that an outsider could see of an effect: how it ended, its spans and what it logged. */
export const seen = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const { spans, tracer } = yield* recording
    const lines: Array<string> = []
    const logger = Logger.map(Logger.structuredLogger, (line) => lines.push(inspect(line, { depth: null })))
    const exit = yield* effect.pipe(
      Effect.withTracer(tracer),
      Effect.exit,
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.All)
    )
    const text = [
      inspect(exit, { depth: null, showHidden: true }),
      JSON.stringify(exit),
      Exit.isFailure(exit) ? Cause.pretty(exit.cause, { renderErrorCause: true }) : "",
      ...lines,
      ...spans.map(({ attributes, links, name, status }) =>
        inspect([name, [...attributes], links, status], { depth: null })
      )
    ]
    return { exit, spans: spans.map(({ name }) => name), text: text.join("\n") }
  })
