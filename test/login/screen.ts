/** A terminal that keeps what a person would see. */
import * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Mailbox from "effect/Mailbox"
import * as Option from "effect/Option"

export interface Screen {
  readonly terminal: Terminal.Terminal
  readonly layer: Layer.Layer<Terminal.Terminal>
  /** The lines, the last of which is the one that the cursor is in; without colours. */
  readonly lines: () => ReadonlyArray<string>
  /** Everything that was written, as it was. */
  readonly written: () => string
  /** Types each character of the text. */
  readonly type: (text: string) => Effect.Effect<void>
  readonly press: (key: Partial<Terminal.Key>) => Effect.Effect<void>
  /** How many read the keys now. */
  readonly readers: () => number
}

export interface Options {
  readonly isTTY?: boolean
  readonly columns?: number
  readonly rows?: number
  readonly display?: Terminal.Terminal["display"]
}

export const layerOf = (terminal: Terminal.Terminal): Layer.Layer<Terminal.Terminal> =>
  Layer.succeed(Terminal.Terminal, terminal)

const noKey: Terminal.Key = { name: "", ctrl: false, meta: false, shift: false }

export const make = ({ columns = 100, display, isTTY = true, rows = 60 }: Options = {}): Screen => {
  let written = ""
  const readers = new Set<Mailbox.Mailbox<Terminal.UserInput>>()
  const send = (input: Terminal.UserInput) =>
    Effect.sync(() =>
      readers.forEach((keys) => {
        keys.unsafeOffer(input)
        if (input.key.ctrl && input.key.name === "c") {
          keys.unsafeDone({ _tag: "Success", value: undefined } as never)
        }
      })
    )
  const terminal = Terminal.Terminal.of({
    columns: Effect.succeed(columns),
    rows: Effect.succeed(rows),
    isTTY: Effect.succeed(isTTY),
    readLine: Effect.never,
    readInput: Effect.acquireRelease(
      Effect.tap(Mailbox.make<Terminal.UserInput>(), (keys) => Effect.sync(() => readers.add(keys))),
      (keys) => Effect.sync(() => readers.delete(keys))
    ),
    display: display ?? ((text) =>
      Effect.sync(() => {
        written += text
      }))
  })
  const character = (text: string) =>
    send({ input: Option.some(text), key: { ...noKey, name: text === "\r" ? "return" : text } })
  return {
    terminal,
    layer: layerOf(terminal),
    lines: () => shown(written),
    written: () => written,
    type: (text) => Effect.forEach([...text], character, { discard: true }),
    press: (key) => send({ input: Option.none(), key: { ...noKey, ...key } }),
    readers: () => readers.size
  }
}

/** What is left of the text on a screen that knows line ends, returns, and how to empty a line. */
const shown = (text: string): ReadonlyArray<string> => {
  const lines = [""]
  let column = 0
  // oxlint-disable-next-line no-control-regex
  for (const [part] of text.matchAll(/\u001b\[[\d;]*[A-Za-z]|[\s\S]/g)) {
    const last = lines.length - 1
    if (part === "\n") {
      lines.push("")
      column = 0
    } else if (part === "\r") column = 0
    else if (part === "\u001b[2K") lines[last] = ""
    else if (!part.startsWith("\u001b")) {
      const line = (lines[last] ?? "").padEnd(column)
      lines[last] = line.slice(0, column) + part + line.slice(column + 1)
      column++
    }
  }
  return lines
}
