/** Where a Redis server is, and how keys of a vault are called there. */
import * as Option from "effect/Option"
import type { RedisOptions } from "ioredis"

/**
 * What a URL of the form `redis://user:password@host:port/database` says; `rediss:` is over TLS. Everything
 * but the host may be left out.
 */
export const parse = (url: string): Option.Option<RedisOptions> =>
  Option.flatMap(parseUrl(url), (parsed) => {
    const isPlain = parsed.search === "" && parsed.hash === "" && parsed.hostname !== ""
    const isKnown = parsed.protocol === "redis:" || parsed.protocol === "rediss:"
    const db = /^\/?(\d{0,5})\/?$/.exec(parsed.pathname)?.[1]
    return isPlain && isKnown && db !== undefined ? optionsOf(parsed, Number(db)) : Option.none()
  })

const parseUrl: (url: string) => Option.Option<URL> = Option.liftThrowable((url) => new URL(url))

const optionsOf = (url: URL, db: number): Option.Option<RedisOptions> =>
  Option.map(Option.all([decode(url.username), decode(url.password)]), ([username, password]) => ({
    host: url.hostname.replace(/^\[|\]$/g, "").toLowerCase(),
    port: url.port === "" ? 6379 : Number(url.port),
    db,
    ...(username === "" ? {} : { username }),
    ...(password === "" ? {} : { password }),
    ...(url.protocol === "rediss:" ? { tls: {} } : {})
  }))

const decode: (text: string) => Option.Option<string> = Option.liftThrowable(decodeURIComponent)

/** The name of the place that these options lead to, without user and password. */
export const placeOf = ({ db, host, name, path, port, sentinels }: RedisOptions): string => {
  const server = path ?? (sentinels ? `sentinel:${name}` : `${host ?? "localhost"}:${port ?? 6379}`)
  return `redis:${server}/${db ?? 0}`
}

/** The names of what belongs to one key. The braces keep them in one hash slot of a cluster. */
export interface Names {
  readonly record: string
  readonly aside: string
  readonly lease: string
  readonly fence: string
  /** Never there. */
  readonly probe: string
}

export const namesOf = (prefix: string, key: string): Names => {
  const record = `${prefix}{${escape(key)}}`
  return {
    record,
    aside: `${record}:aside`,
    lease: `${record}:lease`,
    fence: `${record}:fence`,
    probe: `${record}:probe`
  }
}

/** The key whose record has this name. */
export const keyOf = (prefix: string, name: string): Option.Option<string> =>
  name.startsWith(`${prefix}{`) && name.endsWith("}")
    ? unescape(name.slice(prefix.length + 1, -1))
    : Option.none()

/** Matches the names of the records whose keys start with this text, and little else. */
export const patternOf = (prefix: string, start: string): string =>
  `${prefix}{${escape(start)}`.replace(/[*?[\]\\^-]/g, "\\$&") + "*"

/**
 * Plain ASCII, one code unit after the other, so that the start of a key gives the start of its name: half a
 * surrogate pair too, which UTF-8 has no bytes for.
 */
export const escape = (key: string): string =>
  key.replace(/[^A-Za-z0-9_./:@ -]/g, (text) => {
    const unit = text.charCodeAt(0).toString(16)
    return unit.length <= 2 ? `%${unit.padStart(2, "0")}` : `%u${unit.padStart(4, "0")}`
  })

/** The text that `escape` made this of. */
export const unescape = (name: string): Option.Option<string> => {
  const key = name.replace(
    /%u([0-9a-f]{4})|%([0-9a-f]{2})/g,
    (_, wide: string | undefined, narrow: string) => String.fromCharCode(parseInt(wide ?? narrow, 16))
  )
  return key !== "" && escape(key) === name ? Option.some(key) : Option.none()
}
