/**
 * The journal as it is kept: bounded, with its counts.
 *
 * @since 0.1.0
 */
import type * as Journal from "../../Journal.js"

export interface Log {
  readonly next: number
  /** At most `limit`, the newest last. */
  readonly entries: ReadonlyArray<Journal.Entry>
  readonly counts: Journal.Counts
}

export const empty = (counts: Journal.Counts): Log => ({ next: 0, entries: [], counts })

/** What is known when a request arrives. */
export type Arrival = Omit<Journal.Entry, "index" | "action" | "status" | "error" | "delivery">

/** Appends it; the oldest entry goes when there are more than `limit`. */
export const arrive = (log: Log, arrival: Arrival, limit: number): readonly [number, Log] => {
  const entry: Journal.Entry = {
    ...arrival,
    index: log.next,
    action: "None",
    status: undefined,
    error: undefined,
    delivery: "Pending"
  }
  const kept = log.entries.length < limit ? log.entries : log.entries.slice(log.entries.length + 1 - limit)
  return [log.next, {
    next: log.next + 1,
    entries: [...kept, entry],
    counts: countArrival(log.counts, entry)
  }]
}

/** Fills in what is known of an entry by now, if it is still there. */
export const update = (log: Log, index: number, known: Partial<Journal.Entry>): Log => {
  const entries = log.entries.map((entry) => entry.index === index ? { ...entry, ...known } : entry)
  return {
    ...log,
    entries,
    counts: known.action === undefined ? log.counts : countAction(log.counts, known.action)
  }
}

const countArrival = (counts: Journal.Counts, { endpoint }: Journal.Entry): Journal.Counts => ({
  ...counts,
  requests: counts.requests + 1,
  tokenRequests: counts.tokenRequests + (endpoint === "token" ? 1 : 0),
  resourceCalls: counts.resourceCalls + (endpoint === "resource" ? 1 : 0)
})

const countAction = (counts: Journal.Counts, action: Journal.Action): Journal.Counts => {
  const name = counted[action]
  return name === undefined ? counts : { ...counts, [name]: counts[name] + 1 }
}

const counted: Partial<Record<Journal.Action, keyof Journal.Counts>> = {
  Issued: "issued",
  LoginStarted: "loginsStarted",
  LoggedIn: "logins",
  Redeemed: "redemptions",
  Replayed: "replays",
  Reused: "reuses"
}
