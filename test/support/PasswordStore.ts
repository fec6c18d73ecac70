/** A password store of its own, with a key without passphrase, that goes away with the scope. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawnSync } from "node:child_process"
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface PasswordStore {
  readonly home: string
  readonly storeDirectory: string
  readonly gnupgHome: string
  /** Runs a program with the store in its environment; gives its standard output. */
  readonly run: (program: string, args: ReadonlyArray<string>) => string
  /** Writes an executable shell script and gives its path. */
  readonly script: (name: string, text: string) => string
}

const has = (command: string): boolean => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0

export const available: boolean = process.env["REQUIRE_SERVERS"] === "1" ||
  ["pass", "gpg", "gpgconf"].every(has)

/** A directory for scripts that stand for the program. */
export const scripts: Effect.Effect<Pick<PasswordStore, "home" | "script">, never, Scope.Scope> = Effect
  .acquireRelease(
    Effect.sync(() => {
      const home = mkdtempSync(join(tmpdir(), "scripts-"))
      return { home, script: writeScript(home) }
    }),
    ({ home }) => Effect.sync(() => rmSync(home, { recursive: true, force: true }))
  )

const writeScript = (home: string) => (name: string, text: string): string => {
  const path = join(home, name)
  writeFileSync(path, `#!/bin/sh\n${text}\n`)
  chmodSync(path, 0o755)
  return path
}

/** The home is short, because the agent's socket is below it. */
export const make: Effect.Effect<PasswordStore, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const home = mkdtempSync(join(tmpdir(), "pass-"))
    const gnupgHome = join(home, "gnupg")
    const storeDirectory = join(home, "store")
    mkdirSync(gnupgHome, { mode: 0o700 })
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      GNUPGHOME: gnupgHome,
      PASSWORD_STORE_DIR: storeDirectory
    }
    const run = (program: string, args: ReadonlyArray<string>) =>
      spawnSync(program, args, { env, encoding: "utf8", timeout: 30_000 }).stdout
    const user = "store@example.test"
    // Keys on elliptic curves: an RSA key takes a second to make.
    run("gpg", ["--batch", "--passphrase", "", "--quick-gen-key", user, "future-default", "default", "never"])
    run("pass", ["init", user])
    return { home, storeDirectory, gnupgHome, run, script: writeScript(home) }
  }),
  ({ gnupgHome, home, run }) =>
    Effect.sync(() => {
      run("gpgconf", ["--homedir", gnupgHome, "--kill", "all"])
      rmSync(home, { recursive: true, force: true })
    })
)
