/**
 * The scopes of a grant when it is renewed (RFC 6749 §6): never more than were granted, and what was is
 * remembered when less is asked for.
 *
 * @since 0.1.0
 */
import type { Grant } from "../../Grant.js"

type Scopes = ReadonlyArray<string>

/** Where a grant keeps what was granted, if its token has less. */
const field = "granted_scope"

/** What a vault can store in one field. */
const longest = 8 * 1024

/** What was granted; empty where nobody knows. */
const granted = ({ extra, token }: Grant): Scopes => {
  const kept = extra[field]?.split(" ").filter((scope) => scope !== "") ?? []
  return kept.length > 0 ? kept : token.scopes
}

/** What to ask for: nothing in particular, or those of the wanted scopes that were granted. */
export const toAsk = (wanted: Scopes | undefined, grant: Grant): Scopes | undefined => {
  const all = granted(grant)
  return wanted === undefined || wanted.length === 0 || all.length === 0
    ? undefined
    : all.filter((scope) => wanted.includes(scope))
}

/**
 * The renewed grant without scopes that were not granted. An answer that names none gives what was asked for
 * (RFC 6749 §5.1). What was asked for in vain counts as granted no longer.
 */
export const within = (grant: Grant, asked: Scopes | undefined, renewed: Grant): Grant => {
  const all = granted(grant)
  if (all.length === 0) return renewed
  const named = all.filter((scope) => renewed.token.scopes.includes(scope))
  const scopes = named.length > 0 ? named : asked ?? all
  const left = all.filter((scope) => scopes.includes(scope) || !(asked ?? all).includes(scope))
  const isNews = left.length > scopes.length || grant.extra[field] !== undefined
  const text = left.join(" ")
  return {
    ...renewed,
    token: { ...renewed.token, scopes },
    extra: isNews && text.length <= longest ? { ...renewed.extra, [field]: text } : renewed.extra
  }
}
