/** What the identity provider's own log proves about a run. Pure. */
import type { Entry } from "./protocol.js"

export interface Proof {
  readonly claim: string
  readonly ok: boolean
  readonly detail: string
}

export const render = ({ claim, detail, ok }: Proof): string =>
  `proof: ${claim}: ${ok ? "ok" : "FAILED"}${detail === "" ? "" : ` (${detail})`}`

const short = (hash: string | undefined): string => hash?.slice(0, 8) ?? "none"

/** (a) Outside of a grace window each refresh token was redeemed once at most, and no spent one was sent. */
export const redeemedOnce = (log: ReadonlyArray<Entry>): Proof => {
  const counts = new Map<string, number>()
  for (const { hash, outcome } of log) {
    if (outcome === "redeemed" && hash !== undefined) counts.set(hash, (counts.get(hash) ?? 0) + 1)
  }
  const twice = [...counts].filter(([, count]) => count > 1)
  const repeats = log.filter(({ outcome }) => outcome === "repeated").length
  const reuse = log.filter(({ outcome }) => outcome === "refused")
  return {
    claim: "each refresh token was redeemed at most once outside a grace window",
    ok: twice.length === 0 && reuse.length === 0 && counts.size > 0,
    detail: [
      `${counts.size} redeemed, ${repeats} repeats inside the window`,
      `reuse seen by the provider: ${reuse.length}`,
      ...twice.map(([hash, count]) => `${short(hash)} was redeemed ${count} times`),
      ...reuse.slice(0, 3).map(({ hash }) => `${short(hash)} was refused`)
    ].join("; ")
  }
}

/** The newest refresh token of the family that this login began. */
export const newest = (log: ReadonlyArray<Entry>, first: string): string => {
  const nexts = new Map(
    log.flatMap(({ hash, next }) => hash === undefined || next === undefined ? [] : [[hash, next]])
  )
  let last = first
  for (let next = nexts.get(last); next !== undefined && next !== last; next = nexts.get(last)) last = next
  return last
}

/** A grant under a key, with the login that it began with. */
export interface Kept {
  readonly key: string
  /** The hash of the refresh token of its last login. */
  readonly first: string
  /** The hash of the refresh token that is in the vault at the end. */
  readonly stored: string | undefined
}

/** A login that was needed after the first one of its key, and why it was, if that is known. */
export interface Relogin {
  readonly key: string
  readonly cause: string | undefined
}

/** (b) What the provider gave last is what the vault holds, and nobody had to log in for nothing. */
export const nothingLost = (
  log: ReadonlyArray<Entry>,
  kept: ReadonlyArray<Kept>,
  relogins: ReadonlyArray<Relogin>,
  hasGraceWindow: boolean
): Proof => {
  const lost = kept.filter(({ first, stored }) => newest(log, first) !== stored)
  const needless = relogins.filter(({ cause }) => hasGraceWindow || cause === undefined)
  return {
    claim: "no live grant was lost",
    ok: kept.length > 0 && lost.length === 0 && needless.length === 0,
    detail: [
      `${kept.length - lost.length} of ${kept.length} vault records hold the newest refresh token`,
      `logins after the first: ${relogins.length}`,
      ...lost.map(({ first, key, stored }) =>
        `${key}: ${short(stored)} instead of ${short(newest(log, first))}`
      ),
      ...relogins.map(({ cause, key }) => `${key}: ${cause ?? "no cause is known"}`)
    ].join("; ")
  }
}

/** (c) Every process that is alive at the end has a token for each grant that the provider takes. */
export const allServed = (
  settled: ReadonlyArray<{ readonly id: number; readonly failures: ReadonlyArray<string> | undefined }>
): Proof => {
  const bad = settled.filter(({ failures }) => failures === undefined || failures.length > 0)
  return {
    claim: "every surviving process has a token that the provider accepts",
    ok: settled.length > 0 && bad.length === 0,
    detail: [
      `${settled.length - bad.length} of ${settled.length}`,
      ...bad.map(({ failures, id }) => `worker ${id}: ${failures?.join(", ") ?? "it gave no answer"}`)
    ].join("; ")
  }
}

/** (d) What must not be shown stands nowhere in these texts. */
export const nothingShown = (
  secrets: ReadonlyArray<string>,
  texts: ReadonlyArray<{ readonly of: string; readonly text: string }>
): Proof => {
  const shown = texts.filter(({ text }) => secrets.some((secret) => text.includes(secret)))
  const size = texts.reduce((sum, { text }) => sum + text.length, 0)
  return {
    claim: "no secret was written to an output or a file name",
    ok: secrets.length > 0 && shown.length === 0,
    detail: [
      `${secrets.length} secrets sought in ${size} characters`,
      ...shown.slice(0, 5).map(({ of }) => `found in ${of}`)
    ].join("; ")
  }
}
