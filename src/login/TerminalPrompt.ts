/**
 * The prompt of a program in a terminal: what to do, a QR code for a device login, how much time is left, and a place to
 * paste the address that a browser ended at.
 *
 * Where there is no terminal, as in a log, it writes the prompt and how it ended, and nothing in between. It writes by
 * the `Terminal` in the context: that of @effect/platform-node is the standard output, `StderrTerminal` is the standard
 * error, which leaves the output to what the program has to say, such as a token.
 *
 * @since 0.1.0
 */
import * as Terminal from "@effect/platform/Terminal"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as LineReader from "./internal/lineReader.js"
import * as Qr from "./internal/qr.js"
import * as Look from "./internal/surroundings.js"
import * as Screen from "./internal/terminal.js"
import * as LoginPrompt from "./LoginPrompt.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * Whether to draw a QR code of a device login's address. Default: where the terminal is large enough for it and, by
   * its variables, shows Unicode.
   */
  readonly qr?: boolean | undefined
  /**
   * Whether an address can be pasted. It is read from the keys without being shown; give up with Ctrl-C. Default true,
   * where the terminal reads keys.
   */
  readonly paste?: boolean | undefined
}

/**
 * A prompt on the terminal in the context. Without `NO_COLOR` its QR code has colours of its own, so that it can be
 * scanned from light terminals too. What is left of its last line is cleared when the login ends, or the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options?: Options
): Effect.Effect<LoginPrompt.Service, never, Terminal.Terminal | Scope.Scope> =>
  Effect.gen(function*() {
    const terminal = yield* Terminal.Terminal
    const screen = yield* Screen.make(terminal)
    const variables = yield* Effect.all({
      color: Effect.map(Look.read("NO_COLOR"), (text) => text === ""),
      dumb: Effect.map(Look.read("TERM"), (text) => text === "dumb"),
      unicode: showsUnicode
    })
    const isTerminal = (yield* terminal.isTTY) && !variables.dumb
    const self: Self = {
      ...variables,
      terminal,
      screen,
      isTerminal,
      qr: isTerminal && (options?.qr ?? variables.unicode)
    }
    const canPaste = isTerminal && options?.paste !== false && terminal.readInput !== LineReader.noKeys
    return LoginPrompt.make({
      show: (prompt) => show(self, prompt),
      progress: (progress) => tell(self, progress),
      pasted: canPaste ? (source) => pasted(self, source) : undefined
    })
  })

/**
 * The program's prompt, on the terminal in the context.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options?: Options
): Layer.Layer<LoginPrompt.LoginPrompt, never, Terminal.Terminal> =>
  Layer.scoped(LoginPrompt.LoginPrompt, make(options))

interface Self {
  readonly terminal: Terminal.Terminal
  readonly screen: Screen.Screen
  readonly isTerminal: boolean
  readonly qr: boolean
  readonly color: boolean
}

/** The locale says so, or a terminal that always does. */
const showsUnicode: Effect.Effect<boolean> = Effect.map(
  Effect.forEach(["LC_ALL", "LC_CTYPE", "LANG", "WT_SESSION", "TERM_PROGRAM"], Look.read),
  ([all, type, lang, ...terminals]) =>
    /utf-?8/i.test(all || type || lang || "") || terminals.some((text) => text !== "")
)

const show = (self: Self, prompt: LoginPrompt.Prompt): Effect.Effect<void> =>
  Effect.gen(function*() {
    const text = LoginPrompt.render(prompt, yield* Clock.currentTimeMillis)
    yield* self.screen.print([text, ...(yield* qrOf(self, prompt))].join("\n"))
    if (!self.isTerminal) return
    yield* self.screen.begin({
      source: prompt.source,
      what: prompt._tag === "Device" ? "your approval" : "your browser",
      expiresAt: prompt.expiresAt,
      note: "",
      typed: 0
    })
  })

/** Not for a browser: that is on this machine, or its last address has to come back to it. */
const qrOf = (
  { color, qr, terminal }: Self,
  prompt: LoginPrompt.Prompt
): Effect.Effect<ReadonlyArray<string>> => {
  if (!qr || prompt._tag !== "Device") return Effect.succeed([])
  const address = LoginPrompt.webAddress(prompt.verificationUriComplete ?? prompt.verificationUri)
  return URL.canParse(address)
    ? Effect.map(
      Effect.zip(terminal.columns, terminal.rows),
      ([columns, rows]) => Qr.draw(address, { columns, rows, color })
    )
    : Effect.succeed([])
}

const tell = ({ isTerminal, screen }: Self, progress: LoginPrompt.Progress): Effect.Effect<void> => {
  const { source } = progress
  switch (progress._tag) {
    case "Waiting":
      return isTerminal ? screen.change(source, { note: "" }) : Effect.void
    case "Trouble":
      return isTerminal
        ? trouble(screen, source, `the server can't be asked just now (${reasonOf(progress)})`)
        : Effect.void
    case "Chosen":
    case "Rejected":
      return print(screen, progress)
    default:
      return Effect.zipRight(screen.end(source), print(screen, progress))
  }
}

/** It comes before the prompt too, where the login can't begin. */
const trouble = (screen: Screen.Screen, source: string, note: string): Effect.Effect<void> =>
  Effect.if(screen.isFree, {
    onTrue: () => screen.begin({ source, what: "the server", expiresAt: Infinity, note, typed: 0 }),
    onFalse: () => screen.change(source, { note })
  })

const reasonOf = ({ reason }: { readonly reason: string }): string => LoginPrompt.printable(reason, 40)

const print = (screen: Screen.Screen, progress: LoginPrompt.Progress): Effect.Effect<void> => {
  const line = LoginPrompt.renderProgress(progress)
  return line === undefined ? Effect.void : screen.print(line)
}

const pasted = ({ screen, terminal }: Self, source: string): Effect.Effect<Redacted.Redacted<string>> =>
  Effect.map(
    LineReader.read(terminal, (typed) => screen.change(source, { typed })),
    (line) => Redacted.make(line)
  )
