/**
 * The journal as it is kept: bounded, with its counts.
 *
 * @since 0.1.0
 */
import * as HashMap from "effect/HashMap"
import type * as Journal from "../../Journal.js"

export interface Log {
  readonly next: number
  /** By index; at most as many as are kept, the newest. */
  readonly kept: HashMap.HashMap<number, Journal.Entry>
  readonly counts: Journal.Counts
}

export const empty = (counts: Journal.Counts): Log => ({ next: 0, kept: HashMap.empty(), counts })

/** Oldest first. */
export const entries = (log: Log): ReadonlyArray<Journal.Entry> =>
  [...HashMap.values(log.kept)].sort((left, right) => left.index - right.index)

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
  return [log.next, {
    next: log.next + 1,
    kept: HashMap.remove(HashMap.set(log.kept, log.next, entry), log.next - limit),
    counts: countArrival(log.counts, entry)
  }]
}

/** Fills in what is known of an entry by now, if it is still there. */
export const update = (log: Log, index: number, known: Partial<Journal.Entry>): Log => ({
  ...log,
  kept: HashMap.modify(log.kept, index, (entry) => ({ ...entry, ...known })),
  counts: known.action === undefined ? log.counts : countAction(log.counts, known.action)
})

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
  Authorized: "codes",
  Registered: "registrations",
  Redeemed: "redemptions",
  Replayed: "replays",
  Reused: "reuses"
}
