/**
 * Where browsers may be sent.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Settings from "./settings.js"

/** Exactly one that is registered; on a loopback host with any port (RFC 8252 §7.3). */
export const isRegistered = (registered: ReadonlyArray<string>, uri: string): boolean =>
  registered.some((one) => one === uri || (isLoopback(one) && withoutPort(one) === withoutPort(uri)))

/** Whether a client may register it: https, loopback, or a scheme of its own (RFC 8252 §7, §8.4). */
export const isFine = (uri: string): boolean => {
  const url = parse(uri)
  if (url === undefined || uri.includes("#") || url.username !== "" || url.password !== "") return false
  if (url.protocol === "https:") return true
  return url.protocol === "http:" ? isLoopback(uri) : url.protocol.includes(".")
}

/** The address with further query parameters. */
export const withParams = (uri: string, params: Readonly<Record<string, string | undefined>>): string => {
  const given = Object.entries(params).flatMap(([name, value]) => value === undefined ? [] : [[name, value]])
  const query = new URLSearchParams(given).toString()
  return query === "" ? uri : `${uri}${uri.includes("?") ? "&" : "?"}${query}`
}

const parse = (uri: string): URL | undefined => Either.getOrUndefined(Either.try(() => new URL(uri)))

const isLoopback = (uri: string): boolean => {
  const url = parse(uri)
  return url?.protocol === "http:" && Settings.loopbackHosts.includes(url.hostname)
}

/** The text as it was written, but for the port; a port alone makes no difference. */
const withoutPort = (uri: string): string => uri.replace(/^(http:\/\/(?:\[[^\]]*\]|[^/:?#]*))(?::\d+)?/, "$1")
