import { assert, describe, it } from "@effect/vitest"
import * as CallbackListener from "effect-credentials/login/CallbackListener"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as Effect from "effect/Effect"
import { beforeEach, vi } from "vitest"
import type * as Server from "../../src/login/internal/callbackServer.js"

/** A machine that lacks addresses, or has programs of its own on ports. */
const machine = vi.hoisted(() => ({
  missing: new Set<string>(),
  busy: (_address: string, _port: number): boolean => false,
  nextPort: 5000,
  open: new Set<string>(),
  tried: [] as Array<string>
}))

vi.mock(import("../../src/login/internal/callbackServer.js"), async (original) => {
  const actual = await original()
  const bind = (address: Server.Address, asked: number) =>
    actual.allOrNothing(Effect.suspend(() => {
      const port = asked === 0 ? machine.nextPort++ : asked
      const place = `${address} ${port}`
      machine.tried.push(place)
      const fail = (reason: CallbackListener.ListenFailed["reason"]) =>
        Effect.fail(new CallbackListener.ListenFailed({ reason, detail: place, hint: "" }))
      if (machine.missing.has(address)) return fail("NoAddress")
      if (machine.busy(address, port)) return fail("PortBusy")
      return Effect.as(
        Effect.acquireRelease(
          Effect.sync(() => machine.open.add(place)),
          () => Effect.sync(() => machine.open.delete(place))
        ),
        { port, server: { serve: () => Effect.void } as unknown as Server.Bound["server"] }
      )
    }))
  return { ...actual, bind }
})

beforeEach(() => {
  Object.assign(machine, {
    missing: new Set(),
    busy: () => false,
    nextPort: 5000,
    open: new Set(),
    tried: []
  })
})

const listen = (options: Partial<CallbackListener.Options> = {}) =>
  Effect.map(
    NodeCallbackListener.make.listen({ path: "/callback", resultPath: "/done", ...options }),
    ({ redirectUri }) => [redirectUri, ...machine.open]
  )

describe("a machine without one of the families", () => {
  const ways = [
    { missing: "127.0.0.1", host: undefined, found: ["http://[::1]:5001/callback", "::1 5001"] },
    { missing: "::1", host: undefined, found: ["http://127.0.0.1:5000/callback", "127.0.0.1 5000"] },
    { missing: "127.0.0.1", host: "localhost", found: ["http://localhost:5001/callback", "::1 5001"] },
    { missing: "::1", host: "localhost", found: ["http://localhost:5000/callback", "127.0.0.1 5000"] }
  ] as const
  it.scoped.each(ways)(
    "without $missing, $host listens at $found",
    ({ found, host, missing }) =>
      Effect.gen(function*() {
        machine.missing.add(missing)
        assert.deepStrictEqual(yield* listen({ host }), [...found])
      })
  )

  const fixed = [["127.0.0.1", "127.0.0.1"], ["[::1]", "::1"]] as const
  it.scoped.each(fixed)(
    "%s is not replaced where it was asked for",
    ([host, missing]) =>
      Effect.gen(function*() {
        machine.missing.add(missing)
        assert.strictEqual((yield* Effect.flip(listen({ host }))).reason, "NoAddress")
        assert.strictEqual(machine.tried.length, 1)
      })
  )
})

describe("a free port for localhost", () => {
  it.scoped("is one that is free in both families", () =>
    Effect.gen(function*() {
      machine.busy = (address, port) => address === "::1" && port < 5003
      assert.deepStrictEqual(yield* listen({ host: "localhost" }), [
        "http://localhost:5003/callback",
        "127.0.0.1 5003",
        "::1 5003"
      ])
    }))

  it.scoped("is looked for ten times", () =>
    Effect.gen(function*() {
      machine.busy = (address) => address === "::1"
      assert.strictEqual((yield* Effect.flip(listen({ host: "localhost" }))).reason, "PortBusy")
      assert.deepStrictEqual([machine.tried.length, machine.open.size], [20, 0])
    }))

  it.scoped("is no other one where one was asked for", () =>
    Effect.gen(function*() {
      machine.busy = (address) => address === "::1"
      assert.strictEqual((yield* Effect.flip(listen({ host: "localhost", port: 7000 }))).reason, "PortBusy")
      assert.deepStrictEqual([machine.tried, machine.open.size], [["127.0.0.1 7000", "::1 7000"], 0])
    }))
})
