/** What `list` promises. */
import * as Effect from "effect/Effect"
import { define, expect, expectError, listing, onKey, secret } from "./vaultCase.js"
import type { Case, Check } from "./vaultCase.js"

const home = "conformance/list"

/** Keys that differ in what stores take for a pattern, a path or a letter's case, and more than a page of them. */
const keys: ReadonlyArray<string> = [
  `${home}%`,
  `${home}/one`,
  `conformance/LIST/one`,
  `${home}/${"y".repeat(480)}`,
  ...["*", "%", "_", "?", ".", "[ab]", "\\", "^", "a", "ab", "abc", "b", "b/c"].map((name) =>
    `${home}/p/${name}`
  ),
  ...["\u00e9", "e\u0301", "\u00fc/\u00fc", "\u{1f511}", "\u4e2d\u6587"].map((name) => `${home}/${name}`),
  ...Array.from({ length: 30 }, (_, index) => `${home}/many/${index}`)
]

const prefixes: ReadonlyArray<string> = [
  `${home}/`,
  `${home}/many/`,
  `${home}/many/1`,
  `${home}/o`,
  `${home}/nothing`,
  `${home}/\u00e9`,
  `${home}/e`,
  `${home}/\u{1f511}`,
  ...["*", "%", "_", "?", ".", "[ab]", "\\", "^", "a", "ab", ".*", "a%", "b/"].map((name) =>
    `${home}/p/${name}`
  )
]

const exact: Check = (vault) =>
  Effect.gen(function*() {
    yield* Effect.forEach(keys, (key) => vault.set(key, secret("v")), { discard: true })
    yield* Effect.forEach(prefixes, (prefix) =>
      Effect.flatMap(vault.list(prefix), (found) =>
        expect(
          isSame(found, keys.filter((key) => key.startsWith(prefix))),
          "list must give exactly the keys with the prefix, each once"
        )), { discard: true })
    const all = new Set(yield* vault.list(""))
    yield* expect(keys.every((key) => all.has(key)), "list must give every key for an empty prefix")
  }).pipe(Effect.ensuring(Effect.forEach(keys, (key) => Effect.ignore(vault.remove(key)))))

const isSame = (found: ReadonlyArray<string>, expected: ReadonlyArray<string>): boolean =>
  JSON.stringify(Array.from(found).sort()) === JSON.stringify(Array.from(expected).sort())

export const listingCases: ReadonlyArray<Case> = [
  define("list gives exactly the keys with the prefix", listing, exact),
  onKey("list knows what was removed", listing, (vault, key) =>
    Effect.gen(function*() {
      yield* vault.set(key, secret("v"))
      yield* vault.remove(key)
      yield* expect(!(yield* vault.list(key)).includes(key), "list must not give a key that was removed")
    })),
  define(
    "without listing, list is Unsupported",
    ({ list }) => !list,
    (vault) => expectError(vault.list(""), "Unsupported", "list")
  )
]
