/**
 * What the person sees in the browser when it comes back from a login.
 *
 * The pages load nothing, run nothing, repeat nothing of the request, and may be shown in no frame. They follow the
 * browser's light or dark mode.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Misconfigured } from "../TokenError.js"
import type { Page } from "./CallbackListener.js"
import * as Pages from "./internal/pages.js"
import * as LoginPrompt from "./LoginPrompt.js"

/**
 * How a login stands, as far as a browser that asks is concerned.
 *
 * - `Unrelated`: whoever asks does not come from this login, which goes on.
 * - `AlreadyDone`: the browser came back once before.
 *
 * @since 0.1.0
 * @category models
 */
export type State =
  | { readonly _tag: "Succeeded" }
  | { readonly _tag: "Denied" }
  | { readonly _tag: "Expired" }
  | { readonly _tag: "Cancelled" }
  | { readonly _tag: "Failed"; readonly reason: string; readonly hint: string }
  | { readonly _tag: "Unrelated" }
  | { readonly _tag: "AlreadyDone" }

/**
 * A page's words, as plain text.
 *
 * @since 0.1.0
 * @category models
 */
export interface Words {
  readonly heading: string
  readonly text: string
}

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the person knows the program by. Default: the name of the login. */
  readonly name?: string | undefined
  /** Other words. A page about a failure has its hint below them. */
  readonly words?: { readonly [Tag in State["_tag"]]?: Words | undefined } | undefined
  /** The language of the words, as HTML names it. Default `en`. */
  readonly language?: string | undefined
  /** An https address that is shown after a success instead. It is told nothing. */
  readonly successUrl?: string | undefined
}

/**
 * The page for a state.
 *
 * @since 0.1.0
 * @category models
 */
export type Render = (state: State) => Page

/**
 * The pages of the login of this name. `Misconfigured` where an option can't be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (source: string, options: Options = {}): Effect.Effect<Render, Misconfigured> => {
  const { language = "en", name, successUrl, words } = options
  if (!/^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,5}$/.test(language)) return Effect.fail(invalidLanguage(source))
  const after = successUrl === undefined ? undefined : httpsAddress(successUrl)
  if (successUrl !== undefined && after === undefined) return Effect.fail(invalidSuccessUrl(source))
  const shown = LoginPrompt.printable(name ?? source, 100)
  return Effect.succeed((state) =>
    after !== undefined && state._tag === "Succeeded"
      ? Pages.redirect(after)
      : Pages.page({
        ...looks[state._tag],
        ...(words?.[state._tag] ?? english(state, name === undefined ? undefined : shown)),
        language,
        name: shown,
        note: state._tag === "Failed" ? noteOf(state) : undefined
      })
  )
}

const looks: Readonly<Record<State["_tag"], Pick<Pages.Content, "mood" | "status">>> = {
  Succeeded: { status: 200, mood: "good" },
  Denied: { status: 200, mood: "neutral" },
  Expired: { status: 200, mood: "bad" },
  Cancelled: { status: 200, mood: "neutral" },
  Failed: { status: 200, mood: "bad" },
  Unrelated: { status: 400, mood: "neutral" },
  AlreadyDone: { status: 409, mood: "neutral" }
}

const english = (state: State, name: string | undefined): Words => {
  const it = name ?? "the program"
  const subject = name ?? "The program"
  switch (state._tag) {
    case "Succeeded":
      return { heading: "You are logged in", text: `You can close this window and go back to ${it}.` }
    case "Denied":
      return {
        heading: "Access was not allowed",
        text: `${subject} was given nothing. If you did not mean that, start the login there again.`
      }
    case "Expired":
      return { heading: "The login took too long", text: `Go back to ${it} and start the login again.` }
    case "Cancelled":
      return {
        heading: "The login was cancelled",
        text: `${subject} no longer waits for it. You can close this window.`
      }
    case "Failed":
      return { heading: "You are not logged in", text: `${subject} says more about it.` }
    case "Unrelated":
      return {
        heading: "This page belongs to no login",
        text: `It may come from an older login, or from another site. Nothing was changed. If ${it} still ` +
          "waits for you, go on in the window that it opened."
      }
    case "AlreadyDone":
      return {
        heading: "You have been here before",
        text: `A login can't be used twice. You can close this window and go back to ${it}.`
      }
  }
}

const noteOf = ({ hint, reason }: Extract<State, { _tag: "Failed" }>): string =>
  `${LoginPrompt.printable(hint, 300)} (${LoginPrompt.printable(reason, 60)})`

const httpsAddress = (text: string): string | undefined => {
  const url = text.length <= 2048 && URL.canParse(text) ? new URL(text) : undefined
  return url?.protocol === "https:" && url.username === "" && url.password === "" ? url.href : undefined
}

const invalidLanguage = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the language of the pages is none",
    hint: "Give a language tag such as en or pt-BR."
  })

const invalidSuccessUrl = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the page to show after a success is not an https address",
    hint: "Give an absolute https URL without credentials, or leave it out."
  })
