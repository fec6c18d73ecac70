/**
 * Which faults a request meets. Instants are Unix milliseconds.
 *
 * @since 0.1.0
 */
import type * as Deferred from "effect/Deferred"
import type * as Ref from "effect/Ref"
import type * as Fault from "../../Fault.js"
import type { Endpoint } from "../../Journal.js"

export interface Planned {
  readonly fault: Fault.Fault
  /** All endpoints where undefined. */
  readonly endpoint: Endpoint | undefined
  /** All grants where undefined. */
  readonly grantType: string | undefined
  /** How many requests still meet it. */
  readonly times: number
  readonly from: number
  readonly until: number
  readonly hits: Ref.Ref<number>
  readonly reached: Deferred.Deferred<void>
}

export type Faults = ReadonlyArray<Planned>

interface Target {
  readonly endpoint: Endpoint
  readonly grantType: string | undefined
  readonly now: number
}

/** The first fault that stands in the way of this request and every delay, with the faults that are left. */
export const pick = (faults: Faults, target: Target): readonly [Faults, Faults] => {
  const matching = faults.filter((planned) => isMet(planned, target))
  const first = matching.find(({ fault }) => fault._tag !== "Slow")
  const picked = matching.filter((planned) => planned === first || planned.fault._tag === "Slow")
  const left = faults
    .map((planned) => picked.includes(planned) ? { ...planned, times: planned.times - 1 } : planned)
    .filter((planned) => planned.times > 0 && target.now < planned.until)
  return [picked, left]
}

const isMet = (planned: Planned, { endpoint, grantType, now }: Target): boolean =>
  planned.times > 0 && planned.from <= now && now < planned.until &&
  (planned.endpoint ?? endpoint) === endpoint && (planned.grantType ?? grantType) === grantType
