import { assert, it } from "@effect/vitest"
import { BrowserLauncher } from "effect-credentials/login/BrowserLauncher"
import * as SystemBrowser from "effect-credentials/login/SystemBrowser"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { vi } from "vitest"

vi.mock("open", () => {
  throw new Error("Cannot find package 'open'")
})

it.effect("without the package, no browser is available, and it says what to install", () =>
  Effect.gen(function*() {
    const { available, open } = yield* BrowserLauncher
    assert.include(Option.getOrThrow(yield* available), "open is not installed")
    const error = yield* Effect.flip(open("https://idp.test/"))
    assert.strictEqual(error.reason, "NotInstalled")
    assert.include(error.hint, "npm install open")
  }).pipe(Effect.provide(SystemBrowser.layer)))
