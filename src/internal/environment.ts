/** Secrets under names of the configuration. */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Token from "../Token.js"
import { Misconfigured, TokenUnavailable } from "../TokenError.js"

/** The first of these that is set and not blank, as the provider in force gives it. */
export const readFirst: (
  names: ReadonlyArray<string>,
  source: string
) => Effect.Effect<Token.Token, TokenUnavailable | Misconfigured> = Effect.fnUntraced(
  function*(names: ReadonlyArray<string>, source: string) {
    const found: Array<string | undefined> = []
    for (const name of names) {
      const text = yield* readName(name, source)
      if (text !== undefined && text !== "") return Token.make({ value: Redacted.make(text) })
      found.push(text)
    }
    return yield* notSet(source, names, found)
  }
)

const readName = (name: string, source: string): Effect.Effect<string | undefined, Misconfigured> =>
  Config.redacted(name).pipe(
    Effect.map((value): string | undefined => Redacted.value(value).trim()),
    Effect.catchIf(ConfigError.isMissingDataOnly, () => Effect.sync(() => undefined)),
    Effect.catchAllCause(() => Effect.fail(unreadable(name, source)))
  )

const unreadable = (name: string, source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: `the configuration provider could not read ${name}`,
    hint: "Check the ConfigProvider that this program runs with."
  })

const notSet = (
  source: string,
  names: ReadonlyArray<string>,
  found: ReadonlyArray<string | undefined>
): TokenUnavailable => {
  const states = names.map((name, index) => `${name} is ${found[index] === undefined ? "not set" : "blank"}`)
  return new TokenUnavailable({
    source,
    reason: found.every((text) => text === undefined) ? "NotConfigured" : "Blank",
    detail: states.join(", "),
    hint: `Set ${names.join(" or ")} to use it.`,
    tiers: []
  })
}
