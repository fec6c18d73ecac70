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
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"

/**
 * What the person is asked to do.
 *
 * - `Device`: go to `verificationUri` and type in `userCode`, or go to `verificationUriComplete`.
 * - `Browser`: open `url` in a browser of this machine. With `opened` one has been opened already; with
 *   `canPaste` it may be another machine's, and the address at which that browser ends is pasted here.
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
    readonly opened: boolean
    readonly canPaste: boolean
  }

/**
 * How it goes on. `Waiting` comes again and again; one of the last three comes at the end.
 *
 * - `Chosen`: which way to log in was taken, and why, where there is more than one.
 * - `Rejected`: something that was pasted, or that a browser brought, did not belong to this login. It goes on.
 *
 * @since 0.1.0
 * @category models
 */
export type Progress =
  | {
    readonly _tag: "Chosen"
    readonly source: string
    readonly way: "Browser" | "Device"
    readonly why: string
  }
  | { readonly _tag: "Waiting"; readonly source: string; readonly nextAt: number }
  | { readonly _tag: "Trouble"; readonly source: string; readonly reason: string; readonly nextAt: number }
  | { readonly _tag: "Rejected"; readonly source: string; readonly detail: string }
  | { readonly _tag: "Succeeded"; readonly source: string }
  | { readonly _tag: "Failed"; readonly source: string; readonly reason: string; readonly hint: string }
  | { readonly _tag: "Cancelled"; readonly source: string }

/**
 * Shows and tells; neither waits for the person. Only `pasted` does. Made by `make`. A login waits 5 seconds at
 * most for each that is shown or told, interrupts it then, and goes on; one that dies does not hurt it either.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly show: (prompt: Prompt) => Effect.Effect<void>
  readonly progress: (progress: Progress) => Effect.Effect<void>
  /**
   * The next line that the person pastes for the login of this name: the address at which a browser ended.
   * Waits for it, and can be interrupted while it waits. Never comes where nothing can be pasted.
   */
  readonly pasted: (source: string) => Effect.Effect<Redacted.Redacted<string>>
  /** Whether anything can be pasted here. */
  readonly canPaste: boolean
}

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Pick<Service, "progress" | "show"> {
  /** Default: nothing can be pasted. */
  readonly pasted?: Service["pasted"] | undefined
  /** Default: where there is `pasted`. */
  readonly canPaste?: boolean | undefined
}

/**
 * The prompt of the program. Where none is given, it is that of `layerConsole`.
 *
 * @since 0.1.0
 * @category tags
 */
export class LoginPrompt extends Context.Reference<LoginPrompt>()("effect-credentials/LoginPrompt", {
  defaultValue: (): Service => onConsole()
}) {}

/**
 * A prompt from what it does.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ canPaste, pasted, progress, show }: Options): Service => ({
  show,
  progress,
  pasted: pasted ?? (() => Effect.never),
  canPaste: canPaste ?? pasted !== undefined
})

/**
 * Nobody is shown anything: for programs that watch the events of the login instead.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerSilent: Layer.Layer<LoginPrompt> = Layer.succeed(
  LoginPrompt,
  make({ show: () => Effect.void, progress: () => Effect.void })
)

/**
 * Plain lines on the error output of Effect's `Console`, so that the person sees them wherever the program's own output
 * goes: the prompt, how it ended, and in between how it goes, at most every 30 seconds. Nothing can be pasted.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConsole: Layer.Layer<LoginPrompt> = Layer.sync(LoginPrompt, () => onConsole())

/** What a prompt on the console has told so far of a login that runs, by its name. */
type Told = HashMap.HashMap<string, { readonly at: number; readonly expiresAt: number }>

const onConsole = (): Service => {
  const told: Ref.Ref<Told> = Ref.unsafeMake(HashMap.empty())
  return make({
    show: (prompt) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.zipRight(
          Ref.update(told, HashMap.set(prompt.source, { at: now, expiresAt: prompt.expiresAt })),
          Console.error(render(prompt, now))
        )),
    progress: (progress) =>
      Effect.flatMap(
        Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.modify(told, news(progress, now))),
        (line) => line === undefined ? Effect.void : Console.error(line)
      )
  })
}

/** How often a line says that nothing has happened. */
const quiet = 30_000

const begun = { at: -Infinity, expiresAt: Infinity }

/** The line to write, if there is one, and what has been told then. */
const news = (progress: Progress, now: number) => (told: Told): [string | undefined, Told] => {
  const { source } = progress
  const last = HashMap.get(told, source)
  switch (progress._tag) {
    case "Waiting":
    case "Trouble":
      // Trouble comes before the prompt too, where the login can't begin.
      return Option.match(progress._tag === "Trouble" ? Option.orElseSome(last, () => begun) : last, {
        onSome: ({ at, expiresAt }) =>
          now - at < quiet
            ? [undefined, told]
            : [renderWait(progress, { now, expiresAt }), HashMap.set(told, source, { at: now, expiresAt })],
        onNone: () => [undefined, told]
      })
    case "Chosen":
    case "Rejected":
      return [renderProgress(progress), told]
    default:
      return [renderProgress(progress), HashMap.remove(told, source)]
  }
}

/**
 * Everything goes into a queue, for tests and for programs with a screen of their own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerQueue = (queue: Queue.Enqueue<Prompt | Progress>): Layer.Layer<LoginPrompt> =>
  Layer.succeed(
    LoginPrompt,
    make({
      show: (prompt) => Queue.offer(queue, prompt),
      progress: (progress) => Queue.offer(queue, progress)
    })
  )

/**
 * The prompt as plain text, as of the instant `now`.
 *
 * @since 0.1.0
 * @category rendering
 */
export const render = (prompt: Prompt, now: number): string => {
  const until = expiry(prompt.expiresAt, now)
  const title = `${printable(prompt.source, 100)}: log in.`
  if (prompt._tag === "Browser") return [title, ...inBrowser(prompt), ...until].join("\n")
  const complete = prompt.verificationUriComplete
  return [
    title,
    `Open ${webAddress(prompt.verificationUri)}`,
    `and enter the code ${printable(prompt.userCode, 64)}`,
    ...(complete === undefined ? [] : [`or open ${webAddress(complete)}`]),
    ...until
  ].join("\n")
}

const inBrowser = (
  { canPaste, opened, url }: Prompt & { readonly _tag: "Browser" }
): ReadonlyArray<string> => [
  ...(opened ? ["A browser was opened. If it shows nothing:"] : []),
  `Open ${webAddress(url)}`,
  ...(canPaste
    ? [
      "If that browser is on another machine, it ends at an address that does not open there:",
      "paste that address here and press Enter."
    ]
    : [])
]

/**
 * How it goes on as a line of plain text; none for what comes again and again.
 *
 * @since 0.1.0
 * @category rendering
 */
export const renderProgress = (progress: Progress): string | undefined => {
  const source = printable(progress.source, 100)
  switch (progress._tag) {
    case "Waiting":
    case "Trouble":
      return undefined
    case "Chosen":
      return `${source}: ${printable(progress.why, 300)}, so ${ways[progress.way]}.`
    case "Rejected":
      return `${source}: ${printable(progress.detail, 300)}. The login goes on.`
    case "Succeeded":
      return `${source}: logged in.`
    case "Failed":
      return `${source}: not logged in (${printable(progress.reason, 40)}). ${printable(progress.hint, 300)}`
    case "Cancelled":
      return `${source}: the login was cancelled.`
  }
}

/**
 * What is waited for as a line of plain text, as of the instant `now`; `expiresAt` is that of the prompt.
 *
 * @since 0.1.0
 * @category rendering
 */
export const renderWait = (
  progress: Progress & { readonly _tag: "Waiting" | "Trouble" },
  { expiresAt, now }: { readonly expiresAt: number; readonly now: number }
): string => {
  const what = progress._tag === "Waiting"
    ? "waiting for your approval"
    : `the server can't be asked just now (${printable(progress.reason, 40)})`
  const left = Number.isFinite(expiresAt) ? [`${remaining(expiresAt - now)} left`] : []
  const next = Number.isFinite(progress.nextAt) ? [`next look in ${remaining(progress.nextAt - now)}`] : []
  return `${printable(progress.source, 100)}: ${[what, ...left, ...next].join(", ")}.`
}

const ways = {
  Browser: "the login is done in a browser of any machine",
  Device: "the login is done with a code on any device"
} as const

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

const remaining = (millis: number): string =>
  millis >= 60_000 ? minutes(millis) : `${Math.max(0, Math.ceil(millis / 1000))} s`

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
 * A URL from outside made fit for a terminal: an http or https one in its encoded form, of at most `limit`
 * characters, else a remark that says why it is not shown. Default 32768, as for a browser that is opened: whoever opens
 * it by hand needs the whole of a long authorization request too.
 *
 * @since 0.1.0
 * @category rendering
 */
export const webAddress = (text: string, limit = 32_768): string => {
  if (text.length > limit) return hidden("it is too long")
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:"
  if (url === undefined || !isWeb || url.username !== "" || url.password !== "") {
    return hidden("it is no web address")
  }
  return url.href.length > limit ? hidden("it is too long") : url.href
}

const hidden = (why: string): string => `(an address that is not shown because ${why})`
