import { assert, describe, it } from "@effect/vitest"
import * as Fault from "effect-credentials/testing/Fault"
import * as Journal from "effect-credentials/testing/Journal"
import * as HashMap from "effect/HashMap"
import * as HashSet from "effect/HashSet"
import * as Faults from "../../../src/testing/internal/idp/faults.js"
import * as Log from "../../../src/testing/internal/idp/log.js"
import type * as Settings from "../../../src/testing/internal/idp/settings.js"
import * as State from "../../../src/testing/internal/idp/state.js"

const minute = 60_000
const settings = {
  accessLifetime: 60 * minute,
  refreshLifetime: 43_200 * minute,
  grace: 0
} as Settings.Settings
const login = {
  client: "app",
  family: 1,
  scopes: [],
  subject: "alice",
  resources: [],
  authTime: 0,
  nonce: undefined,
  issuedAt: 0,
  jkt: undefined
}

/** One request a minute, each of which leaves something of every kind. */
const days = (count: number) => {
  let state = State.empty
  let most = 0
  for (let n = 0; n < count * 1440; n++) {
    const now = n * minute
    const at = `at${n}`
    const used = { at: now, order: n, access: at, refresh: `rt${n + 1}` }
    const cleared = State.cleared(state, settings, now)
    state = {
      ...State.addAccess(cleared, at, { ...login, expiresAt: now + settings.accessLifetime }),
      spent: n + 1,
      refresh: HashMap.set(cleared.refresh, `rt${n}`, {
        ...login,
        expiresAt: now + settings.refreshLifetime,
        used
      }),
      assertions: HashMap.set(cleared.assertions, `jti${n}`, now + 60 * minute)
    }
    most = Math.max(
      most,
      HashMap.size(state.access) + HashMap.size(state.refresh) + HashMap.size(state.assertions)
    )
  }
  return { state, most }
}

describe("what a provider keeps", () => {
  it("does not grow over 70 days and 100,000 requests, and keeps the newest spent refresh tokens", () => {
    const { most, state } = days(70)
    assert.isBelow(most, 25_000)
    assert.isTrue(HashMap.has(state.refresh, `rt${70 * 1440 - 10_000}`))
    assert.isFalse(HashMap.has(state.refresh, "rt0"))
    assert.isTrue(HashMap.has(state.access, `at${70 * 1440 - 60}`))
  })

  it("codes go a day after they have expired, pushed requests at once, used ones with their memory", () => {
    const request = { client: "app" } as State.AuthorizationRequest
    const authority = { ...login, authTime: 0 }
    const state = {
      ...State.empty,
      room: 0,
      codes: HashMap.make(["ac", { request, authority, expiresAt: minute, used: { family: 7 } }]),
      pushed: HashMap.make(["pr", { request, expiresAt: minute }]),
      revoked: HashSet.make(7)
    }
    const left = (now: number) => {
      const { codes, pushed, revoked } = State.cleared(state, settings, now)
      return [HashMap.size(codes), HashMap.size(pushed), HashSet.size(revoked)]
    }
    assert.deepStrictEqual(left(minute - 1), [1, 1, 1])
    assert.deepStrictEqual(left(minute), [1, 0, 1])
    assert.deepStrictEqual(left(minute + 1440 * minute), [0, 0, 0])
  })

  it("revoked families go with all that was theirs", () => {
    const { state } = days(1)
    const revoked = State.revokeFamily({ ...state, room: 0 }, 1)
    assert.isAbove(HashMap.size(revoked.refresh), 1000)
    const cleared = State.cleared(revoked, settings, 1440 * minute)
    assert.strictEqual(HashMap.size(cleared.refresh), 0)
    assert.strictEqual(HashMap.size(cleared.access), 0)
    assert.strictEqual(HashSet.size(cleared.revoked), 0)
  })

  it("an access token stays for the grace window, in which it is given out again", () => {
    const access = { ...login, expiresAt: minute }
    const state = { ...State.addAccess(State.empty, "at", access), room: 0 }
    const after = (now: number) =>
      HashMap.has(
        State.cleared(state, { ...settings, accessLifetime: minute, grace: 5 * minute }, now).access,
        "at"
      )
    assert.deepStrictEqual([after(5 * minute - 1), after(5 * minute)], [true, false])
  })

  it("spent and past faults go", () => {
    const fault = { fault: Fault.outage, endpoint: undefined, grantType: undefined, from: 0 }
    const planned = (times: number, until: number) => ({ ...fault, times, until }) as Faults.Planned
    const [, left] = Faults.pick(
      [planned(1, Infinity), planned(Infinity, 5), planned(2, Infinity), planned(Infinity, Infinity)],
      { endpoint: "token", grantType: undefined, now: 5 }
    )
    assert.deepStrictEqual(left.map(({ times }) => times), [2, Infinity])
  })

  it.each([0, 1, 3, Infinity])("the journal with a limit of %s", (limit) => {
    let log = Log.empty(Journal.noCounts)
    const arrival = {
      at: 0,
      endpoint: "token",
      method: "POST",
      grantType: undefined,
      client: undefined,
      refreshToken: undefined,
      faults: []
    } as const
    for (let n = 0; n < 40; n++) {
      const [index, next] = Log.arrive(log, arrival, limit)
      log = Log.update(Log.update(next, index, { action: "Issued" }), 0, { delivery: "Lost" })
    }
    const expected = Array.from({ length: 40 }, (_, index) => index).slice(40 - Math.min(limit, 40))
    assert.deepStrictEqual(Log.entries(log).map(({ index }) => index), expected)
    assert.strictEqual(log.counts.issued, 40)
  })
})
