/**
 * Who a token is for: how a server is told, and how a grant remembers it for its renewals.
 *
 * @since 0.1.0
 */
import type { Grant } from "../../Grant.js"
import type { Dialect } from "../Dialect.js"
import * as Options from "./options.js"

/** What a grant was or will be asked for. */
export type Target = {
  /** As resource indicators (RFC 8707). */
  readonly resource?: string | ReadonlyArray<string> | undefined
  /** As servers that don't know those call it. */
  readonly audience?: string | ReadonlyArray<string> | undefined
}

/** The fields of a request to a server of this dialect: those that it takes. */
export const fields = (dialect: Dialect | undefined, { audience, resource }: Target): Target => {
  switch (dialect?.target) {
    case undefined:
    case "resource":
      return { resource, audience }
    case "audience":
      return { audience: audience === undefined || audience.length === 0 ? resource : audience }
    case "none":
      return {}
  }
}

/** The grant with what it was asked for. */
export const remember = (grant: Grant, { audience, resource }: Target): Grant => {
  const kept = {
    ...written("resource", resource, Options.separator),
    ...written("audience", audience, Options.audienceSeparator)
  }
  return Object.keys(kept).length === 0 ? grant : { ...grant, extra: { ...grant.extra, ...kept } }
}

const written = (
  name: string,
  value: string | ReadonlyArray<string> | undefined,
  separator: string
): Record<string, string> =>
  value === undefined || value.length === 0 ? {} : { [name]: [value].flat().join(separator) }

/** What a grant was asked for. */
export const remembered = ({ extra }: Grant): Target => ({
  resource: read(extra["resource"], Options.separator),
  audience: read(extra["audience"], Options.audienceSeparator)
})

const read = (text: string | undefined, separator: string): ReadonlyArray<string> | undefined =>
  text?.split(separator).filter((one) => one !== "")
