import { describe, expect, it } from "@effect/vitest"
import type { TokenError } from "effect-credentials/TokenError"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import { access, asProcess, issuer, makeWorld, url } from "../manager/resourceKit.js"

/** What the login and the first renewal said about the resource. */
const said = (
  options: Parameters<typeof access>[1] = {},
  resource: string = url
): Effect.Effect<ReadonlyArray<string | undefined>, TokenError> =>
  Effect.gen(function*() {
    const world = yield* makeWorld
    world.set.metadata = { resource, authorization_servers: [issuer] }
    if (resource !== url) {
      world.set.challenge = undefined
      world.set.before = (request) =>
        request.url === "https://api.test/.well-known/oauth-protected-resource"
          ? Response.json(world.set.metadata)
          : request.url.includes("oauth-protected-resource")
          ? new Response("", { status: 404 })
          : undefined
    }
    const api = yield* access(world, options)
    yield* api.source.get
    yield* TestClock.adjust("2 hours")
    yield* api.source.request({ interactive: false })
    return [world.logins[0]?.resource, world.exchanges().at(-1)?.["resource"]]
  }).pipe(Effect.scoped)

describe("F40 the resource", () => {
  it.effect("is named by the login and by each renewal, as it calls itself, letter by letter", () =>
    Effect.gen(function*() {
      expect(yield* said()).toEqual([url, url])
      expect(yield* said({}, "https://api.test")).toEqual(["https://api.test", "https://api.test"])
    }))

  it.effect("is named by neither where that is switched off, for all issuers or for one", () =>
    Effect.gen(function*() {
      expect(yield* said({ sendResource: false })).toEqual([undefined, undefined])
      expect(yield* said({ sendResource: (one) => one !== issuer })).toEqual([undefined, undefined])
      expect(yield* said({ sendResource: (one) => one === issuer })).toEqual([url, url])
    }))

  it.scoped("is not named by renewals of a login that had named it, once that is switched off", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      yield* (yield* access(world, {}, asProcess(world, "1"))).source.get
      const api = yield* access(world, { sendResource: false }, asProcess(world, "2"))
      yield* api.source.request({ refresh: true, interactive: false })
      expect(world.exchanges().at(-1)).toMatchObject({ grant_type: "refresh_token" })
      expect(world.exchanges().at(-1)).not.toHaveProperty("resource")
      expect(world.logins).toHaveLength(1)
    }))

  it.scoped("keeps grants apart: two resources at one issuer have two logins", () =>
    Effect.gen(function*() {
      const world = yield* makeWorld
      const api = yield* access(world)
      yield* api.source.get
      world.set.metadata = { resource: "https://api.test/v2", authorization_servers: [issuer] }
      world.set.before = (request) =>
        request.url === "https://api.test/.well-known/oauth-protected-resource/v2"
          ? Response.json(world.set.metadata)
          : undefined
      yield* (yield* access(world, { url: "https://api.test/v2" })).source.get
      expect(world.logins.map(({ resource }) => resource)).toEqual([url, "https://api.test/v2"])
      expect(world.registrations()).toBe(1)
    }))
})
