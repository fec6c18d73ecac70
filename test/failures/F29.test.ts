import { describe, expect, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const run = promisify(execFile)
const root = fileURLToPath(new URL("../..", import.meta.url))
const fixture = fileURLToPath(new URL("../fixtures/oneToken.ts", import.meta.url))

/** Runs the program; if it does not end by itself, it is killed and the promise rejects. */
const program = (...args: ReadonlyArray<string>) =>
  run(process.execPath, ["--import", "tsx", fixture, ...args], {
    cwd: root,
    timeout: 15_000,
    killSignal: "SIGKILL"
  })

describe("F29 on the live clock", () => {
  it("F29 a process that got a token and disposes of nothing ends by itself", async () => {
    const { stdout } = await program("1 hour")
    expect(stdout).toBe("token 1, token 1, 1\n")
  })

  it("F29 and a process that lives on has its token renewed meanwhile", async () => {
    const { stdout } = await program("1500", "2")
    expect(stdout).toMatch(/^token 1, token [234], [2345]\n$/)
  })
})
