/**
 * How a program opens an address in the person's browser.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

/**
 * Opens browsers.
 *
 * @since 0.1.0
 * @category models
 */
export interface Service {
  /**
   * Opens an http or https address, and waits until that was tried, not for the browser. That it succeeds does
   * not say that the person sees a page.
   */
  readonly open: (url: string) => Effect.Effect<void, LaunchFailed>
  /** Why no browser can be opened here, as one clause; nothing where one may. */
  readonly available: Effect.Effect<Option.Option<string>>
}

/**
 * No browser was opened. A login goes on: the person is shown the address.
 *
 * @since 0.1.0
 * @category errors
 */
export class LaunchFailed extends Data.TaggedError("LaunchFailed")<{
  readonly reason: "NotInstalled" | "NotAvailable" | "InvalidAddress" | "TimedOut" | "Failed"
  /** What happened, in one clause without the address. */
  readonly detail: string
  /** What to do about it, in one sentence. */
  readonly hint: string
}> {
  override get message(): string {
    return `${this.detail}. ${this.hint}`
  }
}

/**
 * The service that logins ask for.
 *
 * @since 0.1.0
 * @category tags
 */
export class BrowserLauncher
  extends Context.Tag("effect-credentials/BrowserLauncher")<BrowserLauncher, Service>()
{}

/**
 * A launcher that gives `open` nothing but http and https addresses without a user name and a password, of at most
 * 32768 characters.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Service): Service => ({
  available: options.available,
  open: (url) => {
    const address = webAddress(url)
    return address === undefined ? Effect.fail(invalidAddress()) : options.open(address)
  }
})

/**
 * No browser can be opened here, for this reason, given as one clause.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNone = (reason: string): Layer.Layer<BrowserLauncher> =>
  Layer.succeed(
    BrowserLauncher,
    make({
      available: Effect.succeedSome(reason),
      open: () =>
        Effect.fail(
          new LaunchFailed({
            reason: "NotAvailable",
            detail: `no browser was opened: ${reason}`,
            hint: "Open the address by hand."
          })
        )
    })
  )

/**
 * A browser that is this function, for tests and for programs with a way of their own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTest = (open: Service["open"]): Layer.Layer<BrowserLauncher> =>
  Layer.succeed(BrowserLauncher, make({ available: Effect.succeed(Option.none()), open }))

const maxLength = 32 * 1024

/** The address in its encoded form; anything else could be an option or a file to the program that opens it. */
const webAddress = (text: string): string | undefined => {
  const url = text.length <= maxLength && URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:"
  return url !== undefined && isWeb && url.username === "" && url.password === "" ? url.href : undefined
}

const invalidAddress = (): LaunchFailed =>
  new LaunchFailed({
    reason: "InvalidAddress",
    detail: "no browser was opened: the address is no http or https one",
    hint: "Check the authorization endpoint of the server."
  })
