import { describe, expect, it } from "@effect/vitest"
import type * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import { access, call, issuer, knownAt, makeWorld, url } from "./resourceKit.js"
import type { World } from "./resourceKit.js"

/** The resource, its metadata with it, takes every request and answers none. */
const silence = (world: World): void => {
  world.set.before = (request) => request.url.startsWith("https://api.test") ? "hangs" : undefined
}

/** What five callers get who come a second apart, and how long the last one of them waited. */
const five = (get: Effect.Effect<Token.Token, TokenError>) =>
  Effect.gen(function*() {
    const fibers = yield* Effect.forEach(
      [0, 1, 2, 3, 4],
      () => Effect.zipLeft(Effect.fork(Effect.either(get)), TestClock.adjust("1 second"))
    )
    // Its challenge has 30 seconds, and so has its metadata.
    yield* TestClock.adjust("55 seconds")
    const answered = yield* Effect.forEach(fibers, (fiber) => Effect.map(Fiber.poll(fiber), Option.isSome))
    expect(answered).toEqual([true, true, true, true, true])
    return yield* Effect.forEach(fibers, Fiber.join)
  })

/** How often the resource was looked for. */
const finds = ({ requests }: World): number =>
  requests.filter((request) => request.url === url && request.method === "GET").length

const options = { requestTimeLimit: Duration.seconds(30), cacheFor: Duration.minutes(10) }

describe("a resource that answers nobody", () => {
  it.scoped("fails all who wait after one search for it, and the next caller searches again", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, options)
      silence(world)
      for (const result of yield* five(api.source.get)) {
        expect(result).toMatchObject({ _tag: "Left", left: { _tag: "TransientFailure", reason: "Timeout" } })
      }
      expect(finds(world)).toBe(1)
      world.set.before = () => undefined
      yield* api.source.get
      expect(finds(world)).toBe(2)
    }))

  it.scoped("leaves all who wait with what they had, after one search for it", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, options)
      const token = yield* api.source.get
      yield* TestClock.adjust("11 minutes")
      silence(world)
      for (const result of yield* five(api.source.get)) expect(result).toEqual(Either.right(token))
      expect(finds(world)).toBe(2)
    }))

  it.scoped("is waited for in a tenth of the time at most, by those who have a login there", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { ...options, cacheFor: "1 hour" })
      yield* api.source.get
      yield* TestClock.adjust("61 minutes")
      silence(world)
      yield* five(api.source.get)
      for (let minute = 0; minute < 9; minute++) {
        yield* api.source.get
        yield* TestClock.adjust("1 minute")
      }
      expect(finds(world)).toBe(2)
      // The failure isn't remembered for ever.
      yield* TestClock.adjust("2 minutes")
      world.set.before = () => undefined
      yield* api.source.get
      expect(finds(world)).toBe(3)
    }))

  it.scoped("is looked for by the next one, where whoever looked for it has left", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, options)
      silence(world)
      const leaving = yield* Effect.fork(api.source.get)
      const staying = yield* Effect.fork(api.source.get)
      yield* TestClock.adjust("1 second")
      world.set.before = () => undefined
      expect(Exit.isInterrupted(yield* Fiber.interrupt(leaving))).toBe(true)
      yield* Fiber.join(staying)
      expect([finds(world), world.logins.length]).toEqual([2, 1])
    }))

  it.scoped("breaks no promise of `choose`: what it throws is thrown once for all who wait", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      let chosen = 0
      const api = yield* access(world, {
        ...options,
        choose: () => {
          chosen++
          throw new Error("a mistake")
        }
      })
      world.set.before = ({ url: asked }) => asked === url && chosen === 0 ? "hangs" : undefined
      const fibers = yield* Effect.forEach([0, 1, 2], () => Effect.fork(Effect.exit(api.source.get)))
      yield* TestClock.adjust("31 seconds")
      const exits = yield* Effect.forEach(fibers, Fiber.join)
      expect(exits.map((exit) => Exit.isFailure(exit) && exit.cause._tag)).toEqual(["Die", "Die", "Die"])
      expect(chosen).toBe(1)
    }))
})

describe("a server that answers no registration", () => {
  it.scoped("is asked once by all who need a client in place of one that is forgotten", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world, { requestTimeLimit: "30 seconds" })
      yield* api.login
      yield* TestClock.adjust("30 minutes")
      knownAt(world, issuer).clear()
      world.set.before = (request) => request.url.endsWith("/register") ? "hangs" : undefined
      const get = api.source.request({ refresh: true, interactive: false })
      const fibers = yield* Effect.forEach([0, 1, 2, 3, 4], () => Effect.fork(Effect.either(get)))
      yield* TestClock.adjust("31 seconds")
      for (const result of yield* Effect.forEach(fibers, Fiber.join)) {
        expect(result).toMatchObject({ _tag: "Left", left: { reason: "Timeout" } })
      }
      expect(world.registrations()).toBe(2)
      // And the five that may be had within an hour are not used up by it.
      world.set.before = () => undefined
      yield* api.login
      expect(yield* call(world, api)).toBe(200)
    }))
})
