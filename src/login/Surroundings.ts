/**
 * What kind of place a program runs in: whether a browser can open there, and whether there is a person to ask.
 *
 * @since 0.1.0
 */
import type * as FileSystem from "@effect/platform/FileSystem"
import type * as Terminal from "@effect/platform/Terminal"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { BrowserLauncher, LaunchFailed } from "./BrowserLauncher.js"
import type { Service as Launcher } from "./BrowserLauncher.js"
import * as Look from "./internal/surroundings.js"

/**
 * What is known of the place. Texts are names of variables and files, never what these hold.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts {
  readonly system: "Linux" | "MacOS" | "Windows" | "Unknown"
  /** Whether the program talks to a terminal. */
  readonly terminal: boolean
  /** What says that this is a build machine. */
  readonly ci: string | undefined
  /** What says that the person sits at another machine. */
  readonly remote: string | undefined
  /** What says that this is a container. */
  readonly container: string | undefined
  /** Linux on Windows, which opens the browser of Windows. */
  readonly wsl: boolean
  /** Whether there is an X or Wayland display. */
  readonly display: boolean
  /**
   * Whether `BROWSER` names a command that opens a graphical browser, as it does in a development container or a
   * codespace, whose editor forwards it to the person's own machine.
   */
  readonly browserCommand: boolean
  /** Whether it runs as the superuser, as whom browsers refuse to run. */
  readonly root: boolean
  /** What the person wants, by the variable `EFFECT_CREDENTIALS_LOGIN`; nothing where it is not set or blank. */
  readonly wanted: Wanted | undefined
}

/**
 * A way to log in: in a browser, with a code on any device, or not at all.
 *
 * @since 0.1.0
 * @category models
 */
export type Way = "browser" | "device" | "none"

/**
 * What a person can want: a way to log in, or something that is no way, so that a login has to say so.
 *
 * @since 0.1.0
 * @category models
 */
export type Wanted = Way | "misspelt"

/**
 * What follows from the facts. Each reason is one clause.
 *
 * @since 0.1.0
 * @category models
 */
export interface Place {
  /** Why no browser can open here. */
  readonly noBrowser: Option.Option<string>
  /** Why nobody can be asked here: whatever was shown, nobody would see it. */
  readonly noPerson: Option.Option<string>
  /** What the person wants, whatever the place is like. */
  readonly wanted: Option.Option<Wanted>
}

/**
 * Looks around.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  readonly place: Effect.Effect<Place>
}

/**
 * The service that the choice of a login asks for.
 *
 * @since 0.1.0
 * @category tags
 */
export class Surroundings extends Context.Tag("effect-credentials/Surroundings")<Surroundings, Service>() {}

/**
 * What follows from the facts. In doubt no browser opens: a device login works everywhere, and a browser that
 * opens at the wrong end of a connection helps nobody.
 *
 * @since 0.1.0
 * @category predicates
 */
export const decide = (facts: Facts): Place => ({
  noBrowser: Option.fromNullable(whyNoBrowser(facts)),
  noPerson: Option.fromNullable(whyNoPerson(facts)),
  wanted: Option.fromNullable(facts.wanted)
})

/** Whoever waits for a build sees its log, and a browser shows itself. */
const whyNoPerson = (facts: Facts): string | undefined =>
  facts.terminal || facts.ci !== undefined || whyNoBrowser(facts) === undefined
    ? undefined
    : "there is no terminal, and no browser can open"

const whyNoBrowser = (facts: Facts): string | undefined => {
  if (facts.ci !== undefined) return `this is a build machine (${facts.ci})`
  if (facts.browserCommand) return undefined
  if (facts.remote !== undefined) return `this is a remote session (${facts.remote})`
  if (facts.container !== undefined) return `this is a container (${facts.container})`
  if (facts.wsl || facts.system === "MacOS" || facts.system === "Windows") return undefined
  if (facts.root) return "this runs as root, as whom browsers do not run"
  return facts.display ? undefined : "there is no display"
}

/**
 * The facts of this place: from configuration through the `ConfigProvider`, which by default gives the variables of
 * the process, from the `Terminal`, and, where the context has a `FileSystem`, from files that only one kind of
 * system has. Never fails: what can't be read, or not within a second, is not known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const facts: Effect.Effect<Facts, never, Terminal.Terminal> = Effect.map(Look.look, (found) => {
  const { kernel, mac, terminal, variable } = found
  const isSet = (name: string) => variable(name) !== ""
  const isLinux = kernel !== ""
  return {
    system: variable("OS") === "Windows_NT" ? "Windows" : mac ? "MacOS" : isLinux ? "Linux" : "Unknown",
    terminal,
    ci: Look.ci.find((name) => isOn(variable(name))),
    remote: Look.remote.find((name) => isOn(variable(name))),
    container: ["KUBERNETES_SERVICE_HOST", "container"].find(isSet) ?? (found.container || undefined),
    wsl: isSet("WSL_DISTRO_NAME") || /microsoft/i.test(kernel),
    display: isSet("DISPLAY") || isSet("WAYLAND_DISPLAY"),
    browserCommand: isGraphical(variable("BROWSER")),
    root: variable("USER") === "root" || variable("HOME") === "/root" || isSet("SUDO_UID"),
    wanted: wantedBy(variable("EFFECT_CREDENTIALS_LOGIN").toLowerCase())
  }
})

const ways: ReadonlyArray<Way> = ["browser", "device", "none"]

const wantedBy = (text: string): Wanted | undefined =>
  text === "" ? undefined : ways.find((way) => way === text) ?? "misspelt"

/** `CI=false` is how some say that it is none. */
const isOn = (text: string): boolean => text !== "" && !/^(?:0|false|no|off)$/i.test(text)

/** A browser of text can't do a login with scripts in it, and the others are no browsers at all. */
const isGraphical = (command: string): boolean =>
  command !== "" &&
  !/(?:^|\/)(?:w3m|lynx|e?links2?|www-browser|echo|true|false|none|cat)(?:\s|:|$)/i.test(command)

/**
 * The place that the program runs in, looked at anew for each login. Without files a Mac could not be told from a
 * machine that has no display.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Surroundings, never, Terminal.Terminal | FileSystem.FileSystem> = Layer
  .effect(
    Surroundings,
    Effect.map(Effect.context<Terminal.Terminal | FileSystem.FileSystem>(), (context) => ({
      place: Effect.map(Effect.provide(facts, context), decide)
    }))
  )

/**
 * A place with these facts, for programs that know better, such as one with windows of its own, and for tests.
 * What is left out is as on a desktop with a terminal.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOf = (known: Partial<Facts>): Layer.Layer<Surroundings> =>
  Layer.succeed(Surroundings, { place: Effect.succeed(decide({ ...desktop, ...known })) })

const desktop: Facts = {
  system: "Unknown",
  terminal: true,
  ci: undefined,
  remote: undefined,
  container: undefined,
  wsl: false,
  display: true,
  browserCommand: false,
  root: false,
  wanted: undefined
}

/**
 * The launcher in the context, but that it opens no browser where the place has none, unless the person wants one:
 * elsewhere the tools of the system would start a browser of text, or one that nobody sees.
 *
 * @since 0.1.0
 * @category constructors
 */
export const launcher: Effect.Effect<Launcher, never, BrowserLauncher | Surroundings> = Effect.zipWith(
  BrowserLauncher,
  Surroundings,
  (inner, { place }) => {
    const whyNot = Effect.map(
      place,
      ({ noBrowser, wanted }) => Option.contains(wanted, "browser") ? Option.none() : noBrowser
    )
    return {
      available: Effect.flatMap(
        whyNot,
        (reason) => Option.isSome(reason) ? Effect.succeed(reason) : inner.available
      ),
      open: (url) =>
        Effect.flatMap(
          whyNot,
          (reason) => Option.isSome(reason) ? Effect.fail(notHere(reason.value)) : inner.open(url)
        )
    }
  }
)

const notHere = (reason: string): LaunchFailed =>
  new LaunchFailed({
    reason: "NotAvailable",
    detail: `no browser was opened: ${reason}`,
    hint: "Open the address by hand, or set EFFECT_CREDENTIALS_LOGIN to browser where one can open."
  })
