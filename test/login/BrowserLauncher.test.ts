import { assert, describe, it } from "@effect/vitest"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as SystemBrowser from "effect-credentials/login/SystemBrowser"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { platform, tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const url = "https://idp.test/authorize?client_id=a&state=s%20'\"$(touch%20x)`;|&scope=a%20b"

describe("any launcher", () => {
  const refused: ReadonlyArray<readonly [string, string]> = [
    ["a script", "javascript:alert(1)"],
    ["a file", "file:///etc/passwd"],
    ["data", "data:text/html,<script>alert(1)</script>"],
    ["another program's scheme", "ms-settings:network"],
    ["an option", "--help"],
    ["a path", "/bin/true"],
    ["nothing", ""],
    ["a user name", "https://user@idp.test/"],
    ["a password", "https://:secret@idp.test/"],
    ["40,000 characters", `https://idp.test/?a=${"a".repeat(40_000)}`]
  ]
  it.effect.each(refused)("is not given %s", ([, address]) =>
    Effect.gen(function*() {
      const { open } = yield* BrowserLauncher.BrowserLauncher
      const error = yield* Effect.flip(open(address))
      assert.strictEqual(error.reason, "InvalidAddress")
      assert.notInclude(error.message, "secret")
    }).pipe(Effect.provide(BrowserLauncher.layerTest(() => Effect.dieMessage("opened")))))

  it.effect("is given addresses in their encoded form", () =>
    Effect.gen(function*() {
      const opened: Array<string> = []
      const launcher = BrowserLauncher.make({
        available: Effect.succeed(Option.none()),
        open: (url) => Effect.sync(() => void opened.push(url))
      })
      yield* launcher.open("HTTPS://IDP.test/a b?c=\"d\"\n")
      yield* launcher.open("http://127.0.0.1:3000/")
      assert.deepStrictEqual(opened, ["https://idp.test/a%20b?c=%22d%22", "http://127.0.0.1:3000/"])
    }))

  it.effect("that is none says why", () =>
    Effect.gen(function*() {
      const { available, open } = yield* BrowserLauncher.BrowserLauncher
      assert.deepStrictEqual(yield* available, Option.some("there is no display"))
      const error = yield* Effect.flip(open(url))
      assert.strictEqual(
        error.message,
        "no browser was opened: there is no display. Open the address by hand."
      )
    }).pipe(Effect.provide(BrowserLauncher.layerNone("there is no display"))))
})

/** Runs with a browser that is this shell script; `$SEEN` is a file that belongs to it. */
const withBrowser = <A, E>(
  script: string,
  use: (open: BrowserLauncher.Service["open"], seen: Effect.Effect<string>) => Effect.Effect<A, E>
) =>
  Effect.scoped(Effect.gen(function*() {
    const directory = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "browser-"))),
      (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
    )
    const [program, seen] = [join(directory, "browser"), join(directory, "seen")]
    yield* Effect.promise(() => writeFile(program, `#!/bin/sh\nSEEN="${seen}"\n${script}\n`))
    yield* Effect.promise(() => chmod(program, 0o755))
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        const before = process.env["BROWSER"]
        process.env["BROWSER"] = program
        return before
      }),
      (before) =>
        Effect.sync(() => {
          if (before === undefined) delete process.env["BROWSER"]
          else process.env["BROWSER"] = before
        })
    )
    const { available, open } = yield* BrowserLauncher.BrowserLauncher
    assert.isTrue(Option.isNone(yield* available))
    const wait = Effect.sync(() => existsSync(seen)).pipe(
      Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("20 millis") }),
      Effect.zipRight(Effect.promise(() => readFile(seen, "utf8")))
    )
    return yield* use(open, wait)
  })).pipe(Effect.provide(SystemBrowser.layer))

describe.runIf(platform() === "linux")("the system's browser", () => {
  it.live("is the one that BROWSER names, and gets the address as one argument", () =>
    withBrowser(
      "printf '%s|' $# \"$@\" > \"$SEEN.part\"; mv \"$SEEN.part\" \"$SEEN\"",
      (open, seen) =>
        Effect.gen(function*() {
          yield* open(url)
          assert.strictEqual(yield* seen, `1|${new URL(url).href}|`)
        })
    ))

  it.live("that stays is not waited for", () =>
    withBrowser("echo $$ > \"$SEEN\"; exec sleep 20", (open, seen) =>
      Effect.gen(function*() {
        const [time] = yield* Effect.timed(open(url))
        assert.isBelow(Duration.toMillis(time), 5_000)
        const pid = Number(yield* seen)
        assert.isAbove(pid, 1)
        process.kill(pid)
      })))

  it.live(
    "that stays keeps no program running",
    () =>
      withBrowser("echo $$ > \"$SEEN\"; exec sleep 20", (_, seen) =>
        Effect.gen(function*() {
          const script = fileURLToPath(new URL("browserProcess.ts", import.meta.url))
          const [time, said] = yield* Effect.timed(Effect.async<string>((resume) => {
            execFile(
              process.execPath,
              ["--import", "tsx", script],
              (_error, stdout) => resume(Effect.succeed(stdout))
            )
          }))
          process.kill(Number(yield* seen))
          assert.strictEqual(said, "opened")
          assert.isBelow(Duration.toMillis(time), 15_000)
        })),
    25_000
  )

  it.live("that can't open is a failure", () =>
    withBrowser("exit 7", (open) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(open(url))
        assert.strictEqual(error.reason, "Failed")
        assert.notInclude(error.message, "idp.test")
      })))
})
