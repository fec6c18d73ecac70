import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
const program = ["--import", "tsx", "test/fixtures/terminalPrompt.ts"]
const env = { PATH: process.env["PATH"], LANG: "C.UTF-8", TERM: "xterm" }

it.live("what is for the person goes to the standard error, and what is piped in is left alone", () =>
  Effect.gen(function*() {
    const { stderr, stdout } = yield* Effect.async<{ stdout: string; stderr: string }>((resume) => {
      const child = execFile(
        process.execPath,
        program,
        { cwd: root, env, timeout: 15_000 },
        (_, stdout, stderr) => resume(Effect.succeed({ stdout, stderr }))
      )
      child.stdin?.end("data for the program\n")
    })
    expect(stdout).toBe("result: nothing\n")
    expect(stderr).toMatch(
      /^acme: log in\.\nOpen https:\/\/idp\.test\/\nThis works until .*\nacme: logged in\.\n$/
    )
  }))

/** Runs it in a terminal of its own, types the keys once it waits, and gives all that was shown. */
const inTerminal = (keys: string, before = ""): Effect.Effect<string> =>
  Effect.async((resume) => {
    let shown = ""
    let typed = false
    const command = `${before} '${process.execPath}' ${program.join(" ")}`
    const child = spawn("script", ["-qec", command, "/dev/null"], {
      cwd: root,
      env
    })
    child.stdout.on("data", (chunk) => {
      shown += String(chunk)
      if (typed || !shown.includes("0:59 left")) return
      typed = true
      child.stdin.write(keys)
    })
    child.on("close", () => resume(Effect.succeed(shown)))
    return Effect.sync(() => child.kill())
  })

describe.skipIf(!existsSync("/usr/bin/script"))("in a real terminal", () => {
  it.live("a line is pasted that is longer than terminals keep, and is not shown", () =>
    Effect.gen(function*() {
      const line = `http://127.0.0.1/callback?code=${"x".repeat(5000)}`
      const shown = yield* inTerminal(`${line}\r`)
      expect(shown).toContain("characters pasted")
      expect(shown.split("\r\n").at(-2)).toBe(`result: ${line}`)
      expect(shown.split("xxxxx").length - 1).toBe(1000)
    }))

  it.live("with data piped in, nothing can be pasted", () =>
    Effect.gen(function*() {
      const shown = yield* inTerminal("", "echo data |")
      expect(shown).toContain("result: nothing")
    }))

  it.live("Ctrl-C ends the program while it waits for a line", () =>
    Effect.gen(function*() {
      const shown = yield* inTerminal("\u0003")
      expect(shown).toContain("interrupted")
      expect(shown).not.toContain("result")
    }))
})
