/**
 * The browser that the system opens addresses with. Needs the package `open`, on Node.
 *
 * On Linux that runs the script `xdg-open`, which obeys the variable `BROWSER`; on macOS `open`; on Windows, and from
 * within WSL, PowerShell. The address is in the arguments of that program for a moment, where other users of the
 * machine may see it: it has no secrets but the state and the nonce in it, which end with the login.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { ChildProcess } from "node:child_process"
import * as BrowserLauncher from "./BrowserLauncher.js"

/**
 * The launcher. It waits until the program that opens addresses runs, and for at most a second longer whether it ends
 * with an error; the browser itself is nobody's child and keeps no program running.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<BrowserLauncher.BrowserLauncher> = Layer.sync(
  BrowserLauncher.BrowserLauncher,
  () =>
    BrowserLauncher.make({
      available: Effect.match(load, {
        onFailure: ({ detail }) => Option.some(detail),
        onSuccess: Option.none
      }),
      open: (url) => Effect.flatMap(load, (open) => launch(open, url))
    })
)

type Open = (url: string) => Promise<ChildProcess>

/** Loaded when it is first needed, so that programs that open no browser can do without. */
const load: Effect.Effect<Open, BrowserLauncher.LaunchFailed> = Effect.mapBoth(
  Effect.tryPromise(() => import("open")),
  { onSuccess: ({ default: open }) => open, onFailure: () => notInstalled() }
)

const launch = (open: Open, url: string): Effect.Effect<void, BrowserLauncher.LaunchFailed> =>
  Effect.tryPromise({ try: () => open(url), catch: () => notStarted() }).pipe(
    Effect.disconnect,
    Effect.timeoutFail({ duration: "8 seconds", onTimeout: () => tooSlow() }),
    Effect.flatMap(failedSoon)
  )

/** What can't open anything ends at once; what can may be the browser itself, and stay. */
const failedSoon = (child: ChildProcess): Effect.Effect<void, BrowserLauncher.LaunchFailed> =>
  Effect.async<void, BrowserLauncher.LaunchFailed>((resume) => {
    const ended = (code: number | null) =>
      resume(code === 0 || code === null ? Effect.void : Effect.fail(refused(code)))
    if (child.exitCode !== null) return ended(child.exitCode)
    child.once("exit", ended)
    return Effect.sync(() => child.removeListener("exit", ended))
  }).pipe(Effect.timeoutOption("1 second"), Effect.asVoid)

const notInstalled = (): BrowserLauncher.LaunchFailed =>
  new BrowserLauncher.LaunchFailed({
    reason: "NotInstalled",
    detail: "no browser can be opened, because the package open is not installed",
    hint: "Install it with `npm install open`, or open the address by hand."
  })

const notStarted = (): BrowserLauncher.LaunchFailed =>
  new BrowserLauncher.LaunchFailed({
    reason: "Failed",
    detail: "the program that opens browsers could not be started",
    hint: "Open the address by hand."
  })

const refused = (code: number): BrowserLauncher.LaunchFailed =>
  new BrowserLauncher.LaunchFailed({
    reason: "Failed",
    detail: `the program that opens browsers ended with status ${code}`,
    hint: "Open the address by hand."
  })

const tooSlow = (): BrowserLauncher.LaunchFailed =>
  new BrowserLauncher.LaunchFailed({
    reason: "TimedOut",
    detail: "the program that opens browsers did not start in time",
    hint: "Open the address by hand."
  })
