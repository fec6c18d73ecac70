/** The demo with a login in a browser, run as its reader runs it, up to the first answer of the API. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Command from "@effect/platform/Command"
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { fileURLToPath } from "node:url"
import * as Chromium from "../support/Chromium.js"

const root = fileURLToPath(new URL("../..", import.meta.url))

/** What it has said when all of these have been said, in whatever order, or when it has ended. */
const said = (ends: ReadonlyArray<string>, environment: Record<string, string> = {}) =>
  Effect.gen(function*() {
    const demo = yield* Command.make(
      process.execPath,
      "--import",
      "tsx",
      "examples/demo/main.ts",
      "--browser"
    ).pipe(
      Command.env(environment),
      Command.workingDirectory(root),
      Command.start
    )
    return yield* demo.stdout.pipe(
      Stream.decodeText(),
      Stream.scan("", (text, more) => text + more),
      Stream.takeUntil((text) => ends.every((end) => text.includes(end))),
      Stream.runFold("", (_, text) => text)
    )
  }).pipe(Effect.scoped, Effect.timeout("40 seconds"), Effect.provide(NodeContext.layer))

const loggedIn = "Healthy, token 1 is good for"

describe("npm run demo -- --browser", { concurrent: true }, () => {
  it.live.runIf(Chromium.available)(
    "logs in with an authorization code, in Chromium",
    () =>
      Effect.gen(function*() {
        const shown = "the person logged in with Chromium, which shows: You are logged in"
        const text = yield* said([loggedIn, shown])
        expect(text).toContain(shown)
        expect(text).toContain(loggedIn)
        expect(text).toMatch(/\/auth\?response_type=code&/)
        expect(text).not.toContain("script")
      }),
    60_000
  )

  it.live("says so where there is no Chromium, and logs in by script", () =>
    Effect.gen(function*() {
      const fallback = "there is no Chromium at /nowhere/chromium, so a script takes the place of the browser"
      const text = yield* said([loggedIn], { CHROMIUM: "/nowhere/chromium" })
      expect(text.indexOf(fallback)).toBeGreaterThan(0)
      expect(text.indexOf(loggedIn)).toBeGreaterThan(text.indexOf(fallback))
    }), 60_000)
})
