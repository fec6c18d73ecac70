import { expect, it } from "@effect/vitest"
import { endOf, escape, unescape } from "effect-credentials/vault/internal/sqlText"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"

/** Texts of any code units, with many that databases damage. */
const text = FastCheck.array(
  FastCheck.oneof(
    FastCheck.integer({ min: 0, max: 0xffff }),
    FastCheck.constantFrom(0, 0x20, 0x5c, 0x7e, 0x7f, 0xd83d, 0xdd11, 0xffff),
    FastCheck.integer({ min: 0x30, max: 0x7e })
  ),
  { maxLength: 12 }
).map((units) => String.fromCharCode(...units))

it("any text comes back, through printable ASCII", () => {
  FastCheck.assert(FastCheck.property(text, (value) => {
    expect(escape(value)).toMatch(/^[ -~]*$/)
    expect(unescape(escape(value))).toEqual(Option.some(value))
  }))
})

it("a text starts with another exactly when its escaped form lies in that one's range", () => {
  FastCheck.assert(FastCheck.property(text, text, (prefix, other) => {
    for (const key of [other, prefix + other, prefix, prefix.slice(0, -1)]) {
      const isInRange = escape(key) >= escape(prefix) && escape(key) < endOf(escape(prefix))
      expect(isInRange).toBe(key.startsWith(prefix))
    }
  }))
})

it("the longest key fits into an index of PostgreSQL", () => {
  expect(escape("\u4e2d".repeat(512)).length).toBeLessThan(2704 - 100)
})

it.each(["\\", "\\00", "\\004G", "\\0041", "é", "\0", "\\00E9", "tab\t"])(
  "%j is no escaped text",
  (escaped) => {
    expect(unescape(escaped)).toEqual(Option.none())
  }
)
