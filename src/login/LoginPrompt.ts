/**
 * How a program talks to the person who logs in: it shows what to do, and then how it goes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"

/**
 * What the person is asked to do.
 *
 * - `Device`: go to `verificationUri` and type in `userCode`, or go to `verificationUriComplete`.
 * - `Browser`: open `url` on this machine.
 *
 * `expiresAt` is in Unix milliseconds. Texts come from the server: whoever shows them uses `printable` and
 * `webAddress`.
 *
 * @since 0.1.0
 * @category models
 */
export type Prompt =
  | {
    readonly _tag: "Device"
    /** The name of the login. */
    readonly source: string
    readonly userCode: string
    readonly verificationUri: string
    readonly verificationUriComplete: string | undefined
    readonly expiresAt: number
  }
  | {
    readonly _tag: "Browser"
    readonly source: string
    readonly url: string
    readonly expiresAt: number
  }

/**
 * How it goes on. `Waiting` comes again and again; one of the last three comes at the end.
 *
 * @since 0.1.0
 * @category models
 */
export type Progress =
  | { readonly _tag: "Waiting"; readonly source: string; readonly nextAt: number }
  | { readonly _tag: "Trouble"; readonly source: string; readonly reason: string; readonly nextAt: number }
  | { readonly _tag: "Succeeded"; readonly source: string }
  | { readonly _tag: "Failed"; readonly source: string; readonly reason: string; readonly hint: string }
  | { readonly _tag: "Cancelled"; readonly source: string }

/**
 * Shows and tells. Neither waits for the person.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly show: (prompt: Prompt) => Effect.Effect<void>
  readonly progress: (progress: Progress) => Effect.Effect<void>
}

/**
 * The service that logins ask for.
 *
 * @since 0.1.0
 * @category tags
 */
export class LoginPrompt extends Context.Tag("effect-credentials/LoginPrompt")<LoginPrompt, Service>() {}

/**
 * Nobody is shown anything: for programs that watch the events of the login instead.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSilent: Layer.Layer<LoginPrompt> = Layer.succeed(LoginPrompt, {
  show: () => Effect.void,
  progress: () => Effect.void
})

/**
 * Plain text on Effect's `Console`: the prompt, and how it ended. Progress in between is not written.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConsole: Layer.Layer<LoginPrompt> = Layer.succeed(LoginPrompt, {
  show: (prompt) => Effect.flatMap(Clock.currentTimeMillis, (now) => Console.log(render(prompt, now))),
  progress: (progress) => {
    const line = renderProgress(progress)
    return line === undefined ? Effect.void : Console.log(line)
  }
})

/**
 * Everything goes into a queue, for tests and for programs with a screen of their own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerQueue = (queue: Queue.Enqueue<Prompt | Progress>): Layer.Layer<LoginPrompt> =>
  Layer.succeed(LoginPrompt, {
    show: (prompt) => Queue.offer(queue, prompt),
    progress: (progress) => Queue.offer(queue, progress)
  })

/**
 * The prompt as plain text, as of the instant `now`.
 *
 * @since 0.1.0
 * @category rendering
 */
export const render = (prompt: Prompt, now: number): string => {
  const until = expiry(prompt.expiresAt, now)
  const title = `${printable(prompt.source, 100)}: log in.`
  if (prompt._tag === "Browser") return [title, `Open ${webAddress(prompt.url)}`, ...until].join("\n")
  const complete = prompt.verificationUriComplete
  return [
    title,
    `Open ${webAddress(prompt.verificationUri)}`,
    `and enter the code ${printable(prompt.userCode, 64)}`,
    ...(complete === undefined ? [] : [`or open ${webAddress(complete)}`]),
    ...until
  ].join("\n")
}

const renderProgress = (progress: Progress): string | undefined => {
  const source = printable(progress.source, 100)
  switch (progress._tag) {
    case "Waiting":
    case "Trouble":
      return undefined
    case "Succeeded":
      return `${source}: logged in.`
    case "Failed":
      return `${source}: not logged in (${progress.reason}). ${printable(progress.hint, 300)}`
    case "Cancelled":
      return `${source}: the login was cancelled.`
  }
}

/** No line where it isn't known, or so far that no calendar has it. */
const expiry = (expiresAt: number, now: number): ReadonlyArray<string> =>
  Option.match(DateTime.make(expiresAt), {
    onNone: () => [],
    onSome: (time) => [
      `This works until ${DateTime.formatIso(time).slice(11, 16)} UTC (${minutes(expiresAt - now)}).`
    ]
  })

const minutes = (millis: number): string => {
  const count = Math.max(0, Math.round(millis / 60_000))
  return count === 1 ? "1 minute" : `${count} minutes`
}

/**
 * Text from outside made fit for a terminal: without control characters, without marks that turn the
 * direction of writing or hide themselves, and at most `limit` characters long.
 *
 * @since 0.1.0
 * @category rendering
 */
export const printable = (text: string, limit: number): string => {
  const clean = text.slice(0, limit * 4).replace(unprintable, "")
  return clean.length <= limit ? clean : `${clean.slice(0, limit - 1)}…`
}

const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu

/**
 * A URL from outside made fit for a terminal: an http or https one in its encoded form, else a remark that it
 * is none.
 *
 * @since 0.1.0
 * @category rendering
 */
export const webAddress = (text: string): string => {
  const url = text.length <= 2048 && URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:"
  return url !== undefined && isWeb && url.username === "" && url.password === ""
    ? url.href
    : "(an address that is not shown because it is no web address)"
}
