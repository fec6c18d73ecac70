/**
 * Any text as printable ASCII, because no two databases agree on the rest: PostgreSQL takes no NUL and no
 * lone surrogate, and some databases are not in UTF-8. Printable characters but the backslash stay; any other
 * UTF-16 code unit becomes a backslash and four hex digits, which keeps the longest key below the 2704 bytes
 * that an index of PostgreSQL takes. Each unit stands by itself, so a text starts with another exactly when
 * its escaped form does.
 */
import * as Option from "effect/Option"

export const escape = (text: string): string => text.replace(/[^ -[\]-~]/g, escapeUnit)

const escapeUnit = (unit: string): string => `\\${unit.charCodeAt(0).toString(16).padStart(4, "0")}`

/** The text that `escape` made this of; `None` for what it makes of no text. */
export const unescape = (escaped: string): Option.Option<string> => {
  const text = escaped.replace(
    /\\([0-9a-f]{4})/g,
    (_, unit: string) => String.fromCharCode(parseInt(unit, 16))
  )
  return escape(text) === escaped ? Option.some(text) : Option.none()
}

/** Comes after every escaped text that starts with this one, and before every other that comes after them. */
export const endOf = (escaped: string): string => `${escaped}\x7f`
