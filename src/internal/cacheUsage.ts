/**
 * What a cache counts for policies that look at it, and for the idle stop.
 *
 * @since 0.1.0
 */
import * as RefreshPolicy from "../RefreshPolicy.js"

/** Written in place: it is on the hot path. Instants are Unix milliseconds. */
export interface Usage {
  uses: number
  firstUsedAt: number
  lastUsedAt: number
  renewals: RefreshPolicy.Statistics
}

/** Nothing counted yet. */
export const make = (): Usage => ({
  uses: 0,
  firstUsedAt: 0,
  lastUsedAt: 0,
  renewals: RefreshPolicy.noStatistics
})

/** One more use. */
export const countUse = (self: Usage, now: number): void => {
  if (self.uses++ === 0) self.firstUsedAt = now
  self.lastUsedAt = now
}

/** One more renewal, which took `latency` milliseconds. */
export const countRenewal = (self: Usage, latency: number, succeeded: boolean): void => {
  self.renewals = RefreshPolicy.record(self.renewals, latency, succeeded)
}

/** What policies look at. The rate counts over one hour at least, so that a first burst does not look like a habit. */
export const statistics = (self: Usage | undefined): RefreshPolicy.Statistics => {
  if (self === undefined) return RefreshPolicy.noStatistics
  const hours = Math.max(1, (self.lastUsedAt - self.firstUsedAt) / 3_600_000)
  return { ...self.renewals, requestsPerHour: self.uses / hours }
}
