/**
 * A login that takes the way that works where the program runs: a browser where one can open, a code on another
 * device where not.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Grant } from "../Grant.js"
import { Misconfigured, TokenUnavailable } from "../TokenError.js"
import type { TokenError } from "../TokenError.js"
import { BrowserLauncher } from "./BrowserLauncher.js"
import * as BrowserLogin from "./BrowserLogin.js"
import type { CallbackListener } from "./CallbackListener.js"
import * as DeviceLogin from "./DeviceLogin.js"
import * as Telling from "./internal/telling.js"
import * as Login from "./Login.js"
import * as LoginPrompt from "./LoginPrompt.js"
import { Surroundings } from "./Surroundings.js"
import * as Surrounding from "./Surroundings.js"

/**
 * How to choose.
 *
 * @since 0.1.0
 * @category models
 */
export interface Choice {
  /**
   * The way to take, whatever the place is like, such as a person has asked for by a flag. Default: what the
   * variable `EFFECT_CREDENTIALS_LOGIN` says (`browser`, `device` or `none`), else as the place allows.
   */
  readonly way?: Surrounding.Way | undefined
  /** The name that errors show. Default: that of the browser login, else of the device login. */
  readonly name?: string | undefined
}

/**
 * What `make` takes: how each login is done, of which one may be left out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Choice {
  readonly browser?: BrowserLogin.Options | undefined
  readonly device?: DeviceLogin.Options | undefined
}

/**
 * What `fromLogins` takes: the logins, of which one may be left out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Logins extends Choice {
  readonly browser?: Login.Service | undefined
  readonly device?: Login.Service | undefined
}

/** What the choice itself asks. */
type Asks = Surroundings | BrowserLauncher

/**
 * `fromLogins` of a browser login and a device login that are made here. The browser is launched only where the place
 * has one, or the option `way` says so; see `Surroundings.launcher`. Fails where one of the two can't be made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  { browser, device, ...choice }: Options
): Effect.Effect<Login.Service, Misconfigured, Asks | CallbackListener | HttpClient.HttpClient> =>
  Effect.all({
    browser: browser === undefined ? absent : BrowserLogin.make(browser),
    device: device === undefined ? absent : DeviceLogin.make(device)
  }).pipe(
    Effect.flatMap((logins) => assemble({ ...choice, ...logins }, offersDevice(device))),
    Effect.provideServiceEffect(
      BrowserLauncher,
      choice.way === "browser" ? BrowserLauncher : Surrounding.launcher
    )
  )

const absent: Effect.Effect<undefined> = Effect.sync(() => undefined)

/**
 * A login by the way that works. For each login, in this order:
 *
 * 1. The way that is asked for. One that the program does not have, or a variable that names none, is
 *    `Misconfigured`; `none` is `TokenUnavailable`.
 * 2. Where nobody would see it (no terminal, no browser that can open, no log of a build): `TokenUnavailable`, at once.
 * 3. A browser of this machine, where one can open.
 * 4. The device login. Where the server turns out to have none (`UnsupportedGrant`, before anybody is asked), a browser
 *    of any machine as in 5.
 * 5. A browser of any machine, from which the address that it ends at is pasted, where something can be pasted.
 * 6. `TokenUnavailable`, at once.
 *
 * Where the program has both logins, the person is told why it is 4 or 5. A browser that can't be launched after all
 * does not change the choice: its login shows the address.
 *
 * Whoever reads the log of a build sees the code, and could log in with an account of their own: where the log is public,
 * set `EFFECT_CREDENTIALS_LOGIN` to `none`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromLogins = (options: Logins): Effect.Effect<Login.Service, never, Asks> =>
  assemble(options, Effect.succeed(true))

const assemble = (
  options: Logins,
  offersDevice: Effect.Effect<boolean>
): Effect.Effect<Login.Service, never, Asks> =>
  Effect.map(
    Effect.all([Surroundings, BrowserLauncher, LoginPrompt.LoginPrompt]),
    ([surroundings, launcher, prompt]) => {
      const logins = [options.browser, options.device].filter((login) => login !== undefined)
      const source = options.name ?? logins[0]?.name ?? "login"
      const self: Self = { ...options, source, prompt, offersDevice }
      return {
        name: source,
        login: Effect.flatMap(
          Effect.zip(surroundings.place, launcher.available),
          ([place, none]) => choose(self, { ...place, noBrowser: Option.orElse(place.noBrowser, () => none) })
        ),
        // Where the device login turns out to be impossible, the other one has its time too.
        timeLimit: logins.reduce((sum, { timeLimit }) => Duration.sum(sum, timeLimit), Duration.zero)
      }
    }
  )

/** Whether the server says that it has device logins; what it says can't always be had. */
const offersDevice = (device: DeviceLogin.Options | undefined): Effect.Effect<boolean> =>
  device === undefined
    ? Effect.succeed(false)
    : Effect.match(device.server.metadata, {
      onFailure: () => true,
      onSuccess: (metadata) => metadata.device_authorization_endpoint !== undefined
    })

interface Self extends Logins {
  readonly source: string
  readonly prompt: LoginPrompt.Service
  readonly offersDevice: Effect.Effect<boolean>
}

type Attempt = Effect.Effect<Grant, TokenError>

const choose = (self: Self, { noBrowser, noPerson, wanted }: Surrounding.Place): Attempt => {
  const way = self.way ?? Option.getOrUndefined(wanted)
  if (way !== undefined) return asked(self, way)
  if (Option.isSome(noPerson)) return Effect.fail(nobody(self.source, noPerson.value))
  if (self.browser !== undefined && Option.isNone(noBrowser)) return self.browser.login
  const why = Option.getOrElse(noBrowser, () => "no browser login is set up")
  return self.device === undefined ? byPaste(self, why) : byDevice(self, self.device, why)
}

const asked = (self: Self, way: Surrounding.Wanted): Attempt => {
  if (way === "misspelt") return Effect.fail(misspelt(self.source))
  if (way === "none") return Effect.fail(turnedOff(self.source))
  return self[way]?.login ?? Effect.fail(notThere(self.source, way))
}

const byDevice = (self: Self, device: Login.Service, why: string): Attempt => {
  if (self.browser === undefined) return device.login
  const instead = byPaste(self, `${why} and the server has no device login`)
  const attempt = Effect.zipRight(
    tell(self, device, "Device", why),
    Effect.catchIf(device.login, isUnsupported, () => instead)
  )
  return Effect.if(self.offersDevice, { onTrue: () => attempt, onFalse: () => instead })
}

/** As it says before anybody is asked. */
const isUnsupported = (error: TokenError): boolean =>
  error._tag === "Misconfigured" && error.reason === "UnsupportedGrant"

const byPaste = (self: Self, why: string): Attempt =>
  self.browser !== undefined && self.prompt.canPaste
    ? Effect.zipRight(tell(self, self.browser, "Browser", why), self.browser.login)
    : Effect.fail(nowhere(self.source, why))

const tell = (
  { prompt }: Self,
  { name }: Login.Service,
  way: "Browser" | "Device",
  why: string
): Effect.Effect<void> => Telling.quickly(prompt.progress({ _tag: "Chosen", source: name, way, why }))

const nobody = (source: string, why: string): TokenUnavailable =>
  new TokenUnavailable({
    source,
    reason: "LoginRequired",
    detail: `a login is needed and nobody can be asked: ${why}`,
    hint: "Log in from a terminal first, or give this program a credential of its own; " +
      "set EFFECT_CREDENTIALS_LOGIN to device or browser to be asked nevertheless.",
    tiers: []
  })

const turnedOff = (source: string): TokenUnavailable =>
  new TokenUnavailable({
    source,
    reason: "LoginRequired",
    detail: "a login is needed, and logins are turned off",
    hint:
      "Turn them on, which an option of this program or EFFECT_CREDENTIALS_LOGIN does, or give it a credential of its own.",
    tiers: []
  })

const nowhere = (source: string, why: string): TokenUnavailable =>
  new TokenUnavailable({
    source,
    reason: "LoginRequired",
    detail: `a login is needed and there is no way to log in here: ${why}`,
    hint: "Log in where a browser can open, or in a terminal where its last address can be pasted.",
    tiers: []
  })

const notThere = (source: string, way: "browser" | "device"): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: `the ${way} login was asked for, and this program has none`,
    hint: "Take the other way, or leave the choice to the program."
  })

/** What the variable holds is not shown: it may be anything. */
const misspelt = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "EFFECT_CREDENTIALS_LOGIN holds none of the ways to log in",
    hint: "Set it to browser, device or none, or to nothing, which leaves the choice to the program."
  })

/**
 * The program's login, by the way that works.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Login.Login, Misconfigured, Asks | CallbackListener | HttpClient.HttpClient> =>
  Layer.effect(Login.Login, make(options))
