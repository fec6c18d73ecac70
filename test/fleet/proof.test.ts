/** What the torture concludes from a log: each claim holds where it should, and fails where it must. */
import { describe, expect, it } from "@effect/vitest"
import * as Proof from "./proof.js"
import type { Entry } from "./protocol.js"

const entry = (hash: string | undefined, outcome: Entry["outcome"], next?: string): Entry => ({
  at: 0,
  grant: hash === undefined ? "login" : "refresh",
  hash,
  outcome,
  next,
  fault: undefined
})

const login = entry(undefined, "redeemed", "r0")
const first = entry("r0", "redeemed", "r1")
const second = entry("r1", "redeemed", "r2")

describe("redeemed once", () => {
  it("holds for a chain, with repeats inside the window", () => {
    expect(Proof.redeemedOnce([login, first, entry("r0", "repeated", "r1"), second])).toMatchObject({
      ok: true,
      detail: "2 redeemed, 1 repeats inside the window; reuse seen by the provider: 0"
    })
  })

  it("fails when one was redeemed twice", () => {
    expect(Proof.redeemedOnce([login, first, first])).toMatchObject({ ok: false })
  })

  it("fails when a spent one was sent", () => {
    expect(Proof.redeemedOnce([login, first, second, entry("r0", "refused")])).toMatchObject({ ok: false })
  })

  it("proves nothing where nothing was redeemed", () => {
    expect(Proof.redeemedOnce([login])).toMatchObject({ ok: false })
  })
})

describe("nothing lost", () => {
  const log = [login, first, second]
  const kept = (stored: string | undefined) => [{ key: "k", first: "r0", stored }]

  it("holds when the vault has the newest refresh token", () => {
    expect(Proof.nothingLost(log, kept("r2"), [], true)).toMatchObject({ ok: true })
  })

  it("fails when the vault has an older one, or none", () => {
    expect(Proof.nothingLost(log, kept("r1"), [], true)).toMatchObject({ ok: false })
    expect(Proof.nothingLost(log, kept(undefined), [], true)).toMatchObject({ ok: false })
  })

  it("fails for each login after the first where there is a grace window", () => {
    expect(Proof.nothingLost(log, kept("r2"), [{ key: "k", cause: "killed" }], true)).toMatchObject({
      ok: false
    })
  })

  it("without a window, fails only for a login that has no cause", () => {
    expect(Proof.nothingLost(log, kept("r2"), [{ key: "k", cause: "killed" }], false)).toMatchObject({
      ok: true
    })
    expect(Proof.nothingLost(log, kept("r2"), [{ key: "k", cause: undefined }], false)).toMatchObject({
      ok: false
    })
  })
})

describe("all served", () => {
  it("fails when somebody has no token, gave no answer, or when nobody is left", () => {
    expect(Proof.allServed([{ id: 1, failures: [] }])).toMatchObject({ ok: true })
    expect(Proof.allServed([{ id: 1, failures: [] }, { id: 2, failures: ["no"] }])).toMatchObject({
      ok: false
    })
    expect(Proof.allServed([{ id: 1, failures: undefined }])).toMatchObject({ ok: false })
    expect(Proof.allServed([])).toMatchObject({ ok: false })
  })
})

describe("nothing shown", () => {
  it("fails when a secret stands in a text, and tells where and not what", () => {
    const texts = [{ of: "worker 1", text: "all is well" }, { of: "worker 2", text: "token: hush" }]
    expect(Proof.nothingShown(["hush"], texts.slice(0, 1))).toMatchObject({ ok: true })
    const shown = Proof.nothingShown(["hush"], texts)
    expect(shown.ok).toBe(false)
    expect(Proof.render(shown)).toContain("found in worker 2")
    expect(Proof.render(shown)).not.toContain("hush")
  })
})
