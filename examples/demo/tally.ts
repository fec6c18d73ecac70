/** What the demo counts, and which failures it allows. Pure. */
import type * as Events from "./events.js"

export interface Tally {
  readonly succeeded: number
  /** Calls that failed while the identity provider was away and the last token had expired: nothing else is right. */
  readonly refused: number
  /** Calls that failed though they should not have. */
  readonly unexpected: number
  readonly renewals: number
  /** `Recovering`: the identity provider is back, and the app has not noticed yet. */
  readonly phase: "Up" | "Down" | "Recovering"
  /** When the newest token ends, in Unix milliseconds. */
  readonly expiresAt: number
  readonly generation: number
  readonly failure: string | undefined
}

export const empty: Tally = {
  succeeded: 0,
  refused: 0,
  unexpected: 0,
  renewals: 0,
  phase: "Up",
  expiresAt: 0,
  generation: 0,
  failure: undefined
}

/** Another app starts: the first token that it tells of is no renewal, even if it is the one that is known. */
export const appStarted = (self: Tally): Tally => ({ ...self, expiresAt: 0 })

export const providerDown = (self: Tally): Tally => ({ ...self, phase: "Down" })

export const providerUp = (self: Tally): Tally => ({ ...self, phase: "Recovering" })

/** Counts an event, and gives the line that it is worth, if any. */
export const count = (
  self: Tally,
  event: Events.AppEvent,
  now: number
): readonly [line: string | undefined, next: Tally] => {
  switch (event._tag) {
    case "Prompt":
      return [event.text, self]
    case "Status":
      return countStatus(self, event, now)
    case "Call":
      return event.ok ? countSuccess(self) : countFailure(self, event.detail, now)
  }
}

const countStatus = (
  self: Tally,
  { expiresAt, failure, generation, health }: Extract<Events.AppEvent, { _tag: "Status" }>,
  now: number
): readonly [string | undefined, Tally] => {
  if (generation === undefined || expiresAt === undefined) return [undefined, self]
  if (expiresAt === self.expiresAt) {
    const said = failure !== undefined && self.failure === undefined
    return [said ? `${health}: goes on with the old token. ${failure}` : undefined, { ...self, failure }]
  }
  const renewals = self.renewals + (self.expiresAt === 0 ? 0 : 1)
  const left = ((expiresAt - now) / 1000).toFixed(1)
  const line = `${health}, token ${generation} is good for ${left} s; ${self.succeeded} calls answered so far`
  return [line, { ...self, generation, expiresAt, renewals, failure: undefined }]
}

const countSuccess = (self: Tally): readonly [string | undefined, Tally] => {
  const next = { ...self, succeeded: self.succeeded + 1 }
  if (self.phase !== "Recovering" || self.refused === 0) return [undefined, next]
  return ["the API answers again", { ...next, phase: "Up" }]
}

const countFailure = (self: Tally, detail: string, now: number): readonly [string | undefined, Tally] => {
  if (self.phase === "Up" || now < self.expiresAt) {
    return [`a call failed that should not have: ${detail}`, { ...self, unexpected: self.unexpected + 1 }]
  }
  const line = self.refused === 0 ? `calls fail now, and say why: ${detail}` : undefined
  return [line, { ...self, refused: self.refused + 1 }]
}
