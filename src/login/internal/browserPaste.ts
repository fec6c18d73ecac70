/**
 * What a person pastes: the address that a browser ended at, the query of it, or `code#state` as some servers show
 * it on a page of their own.
 */
import * as Either from "effect/Either"

/** The fields of what was pasted, or what is wrong with it in words for the person. */
export const parse = (pasted: string, redirectUri: string): Either.Either<URLSearchParams, string> => {
  const text = pasted.trim()
  if (text === "") return Either.left("nothing was pasted")
  if (text.length > maxLength) return Either.left("what was pasted is too long")
  const query = text.startsWith("?") ? text.slice(1) : text
  if (/^[\w.~-]+=/.test(query)) return Either.right(new URLSearchParams(query))
  const [, code, state] = /^([\w.~+/-]+)#([\w.~+/-]+)$/.exec(text) ?? []
  if (code !== undefined && state !== undefined) return Either.right(new URLSearchParams({ code, state }))
  if (!URL.canParse(text)) return Either.left(`what was pasted is no address; ${whole}`)
  return placeOf(text) === placeOf(redirectUri)
    ? Either.right(new URL(text).searchParams)
    : Either.left(`the address that was pasted is not where this login ends; ${whole}`)
}

/** A code by itself can't be checked against the login that it belongs to. */
const whole = "paste the whole address from the browser, with everything after the question mark"

const maxLength = 16 * 1024

const placeOf = (address: string): string => {
  const { host, pathname, protocol } = new URL(address)
  return `${protocol}//${host}${pathname}`
}
