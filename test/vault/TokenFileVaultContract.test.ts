/**
 * The contract of vaults, point by point: the suite that all backends run uses keys and values of its own,
 * and a token file keeps one key and nothing but logins.
 */
import { describe, expect, it } from "@effect/vitest"
import * as CrashPoint from "effect-credentials/vault/CrashPoint"
import * as TokenFileVault from "effect-credentials/vault/TokenFileVault"
import type { VaultError } from "effect-credentials/vault/VaultError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { platform } from "./temporary.js"
import { secretsOf, seeded, stored, temporary, value } from "./tokenFiles.js"
import type { Setting } from "./tokenFiles.js"

const inHome = <A, E>(name: string, test: (setting: Setting) => Effect.Effect<A, E>, timeout?: number) =>
  it.live(name, () => Effect.scoped(Effect.flatMap(temporary, test)).pipe(Effect.provide(platform)), timeout)

const accessOf = (setting: Setting) => Effect.map(stored(setting.vault), (record) => secretsOf(record).access)

describe("keys and values", () => {
  inHome(
    "there is nothing under another key, and nothing can be stored",
    ({ names, vault, write }) =>
      Effect.gen(function*() {
        yield* write(seeded)
        const one = yield* value("one")
        expect(yield* vault.get("other")).toEqual(Option.none())
        yield* vault.remove("other")
        const uses: ReadonlyArray<Effect.Effect<void, VaultError>> = [
          vault.set("other", one),
          vault.compareAndSet("other", Option.none(), one),
          Effect.scoped(vault.lease("other", { term: 1_000 }))
        ]
        for (const use of uses) {
          expect(yield* Effect.flip(use)).toMatchObject({
            _tag: "Unsupported",
            hint: expect.stringContaining("the key that the program asks for")
          })
        }
        for (const key of ["", "k".repeat(600)]) {
          expect(yield* Effect.flip(vault.get(key))).toMatchObject({ _tag: "Unsupported" })
        }
        expect([yield* vault.list("log"), yield* vault.list("x")]).toEqual([["login"], []])
        expect(yield* names).toEqual(["token.json"])
      })
  )

  inHome(
    "a value that is no login, or too long, is Unsupported and shows nowhere",
    ({ names, vault }) =>
      Effect.gen(function*() {
        for (const text of ["hunter2", "{}", `{"accessToken":"hunter2"}`, "hunter2".repeat(100_000)]) {
          const error = yield* Effect.flip(vault.set("login", Redacted.make(text)))
          expect(error).toMatchObject({ _tag: "Unsupported" })
          expect(error.message).not.toContain("hunter2")
        }
        expect(yield* names).toEqual([])
      })
  )

  inHome("hostile texts come back unchanged", ({ vault }) =>
    Effect.gen(function*() {
      for (const text of ["\u0000\n\"\\", "\ud800", "\u{1f511}", "__proto__", "</script>", "\u2028", " "]) {
        const extra = { resource_url: text, note: text, ["__proto__x"]: text }
        yield* vault.set("login", yield* value("one", { refreshToken: Redacted.make(text), extra }))
        const record = yield* stored(vault)
        expect([secretsOf(record).refresh, record.grant.extra]).toEqual([text, extra])
        expect(record.status._tag).toBe("Active")
      }
    }))

  inHome("tells nobody of writes, and says so", ({ vault }) =>
    Effect.gen(function*() {
      expect(vault.capabilities.announce).toBe("none")
      expect(yield* Effect.flip(Stream.runDrain(vault.changes("login")))).toMatchObject({
        _tag: "Unsupported"
      })
    }))
})

describe("versions", () => {
  inHome("compareAndSet creates, replaces and refuses", (setting) =>
    Effect.gen(function*() {
      const { vault } = setting
      const [one, two, three] = [yield* value("one"), yield* value("two"), yield* value("three")]
      const first = yield* vault.compareAndSet("login", Option.none(), one)
      expect((yield* Effect.flip(vault.compareAndSet("login", Option.none(), two)))._tag).toBe("Conflict")
      const second = yield* vault.compareAndSet("login", Option.some(first), two)
      expect((yield* Effect.flip(vault.compareAndSet("login", Option.some(first), three)))._tag).toBe(
        "Conflict"
      )
      expect((yield* Effect.flip(vault.remove("login", { version: first })))._tag).toBe("Conflict")
      expect(yield* accessOf(setting)).toBe("at-two")
      yield* vault.remove("login", { version: second })
      yield* vault.remove("login", { version: second })
      expect(yield* vault.get("login")).toEqual(Option.none())
      expect((yield* Effect.flip(vault.compareAndSet("login", Option.some(second), three)))._tag).toBe(
        "Conflict"
      )
    }))

  inHome(
    "of many writers at the same version one wins, over several vaults on the file",
    (setting) =>
      Effect.gen(function*() {
        const { file, vault } = setting
        const other = yield* TokenFileVault.make({ path: file })
        const version = yield* vault.set("login", yield* value("one"))
        const writes = yield* Effect.forEach(Array.from({ length: 20 }, (_, index) => index), (index) =>
          Effect.map(
            value(`w${index}`),
            (value) =>
              (index % 2 === 0 ? vault : other).compareAndSet("login", Option.some(version), value)
          ))
        const exits = yield* Effect.all(writes.map(Effect.exit), { concurrency: "unbounded" })
        expect(exits.filter(Exit.isSuccess).length).toBe(1)
        expect(yield* accessOf(setting)).toBe(`at-w${exits.findIndex(Exit.isSuccess)}`)
      }).pipe(Effect.provide(platform))
  )

  inHome(
    "what another program writes in the last moment is a Conflict, and stays",
    (setting) =>
      Effect.gen(function*() {
        const { names, vault, write } = setting
        const version = yield* vault.set("login", yield* value("one"))
        const error = yield* Effect.flip(
          vault.compareAndSet("login", Option.some(version), yield* value("two")).pipe(
            CrashPoint.withCrashPoint((moment) =>
              moment === "file.written" ? Effect.orDie(write(seeded)) : Effect.void
            )
          )
        )
        expect(error._tag).toBe("Conflict")
        expect(yield* accessOf(setting)).toBe("at-seed")
        expect(yield* names).toEqual(["token.json"])
      })
  )
})

describe("interruption and death", () => {
  inHome(
    "a write that is interrupted has happened in whole or not at all",
    (setting) =>
      Effect.gen(function*() {
        const { names, vault } = setting
        yield* vault.set("login", yield* value("0"))
        for (let round = 1; round <= 40; round++) {
          const before = yield* accessOf(setting)
          const fiber = yield* Effect.fork(vault.set("login", yield* value(String(round))))
          yield* Effect.sleep(round % 8)
          const exit = yield* Fiber.interrupt(fiber)
          const after = yield* accessOf(setting)
          expect([before, `at-${round}`]).toContain(after)
          if (Exit.isSuccess(exit)) expect(after).toBe(`at-${round}`)
        }
        expect(yield* names).toEqual(["token.json", "token.json.bak"])
      })
  )

  for (const moment of ["file.written", "file.kept", "file.replaced"] as const) {
    inHome(
      `after a death at ${moment} the old login or the new one is there`,
      (setting) =>
        Effect.gen(function*() {
          const { names, vault } = setting
          yield* vault.set("login", yield* value("one"))
          const dead = yield* Effect.exit(
            vault.set("login", yield* value("two")).pipe(
              CrashPoint.withCrashPoint((now) => now === moment ? Effect.dieMessage("crash") : Effect.void)
            )
          )
          expect(Exit.isFailure(dead)).toBe(true)
          expect(yield* accessOf(setting)).toBe(moment === "file.replaced" ? "at-two" : "at-one")
          yield* vault.set("login", yield* value("three"))
          expect(yield* accessOf(setting)).toBe("at-three")
          expect((yield* names).filter((name) => name.endsWith(".corrupt"))).toEqual([])
        })
    )
  }

  inHome("a reader sees a whole login during every write", (setting) =>
    Effect.gen(function*() {
      const { vault } = setting
      yield* vault.set("login", yield* value("0"))
      const writing = yield* Effect.fork(Effect.forEach(
        Array.from({ length: 60 }, (_, index) => String(index)),
        (name) => Effect.flatMap(value(name), (value) => vault.set("login", value))
      ))
      let reads = 0
      while (writing.unsafePoll() === null) {
        const { access, refresh } = secretsOf(yield* stored(vault))
        expect(refresh).toBe(access.replace("at-", "rt-"))
        reads++
      }
      yield* Fiber.join(writing)
      expect(reads).toBeGreaterThan(5)
    }))
})

describe("leases", () => {
  inHome("exclude others, count up, and are given back", ({ file, vault }) =>
    Effect.gen(function*() {
      const other = yield* TokenFileVault.make({ path: file })
      const fences: Array<number> = []
      let inside = 0
      const turn = (each: typeof vault) =>
        Effect.scoped(Effect.gen(function*() {
          const lease = yield* each.lease("login", { term: "2 seconds", wait: "20 seconds" })
          expect(++inside).toBe(1)
          fences.push(lease.fence)
          yield* Effect.sleep(5)
          yield* lease.check
          inside--
        }))
      yield* Effect.all([vault, other, vault, other, vault].map(turn), { concurrency: "unbounded" })
      expect(fences).toEqual([1, 2, 3, 4, 5])
    }).pipe(Effect.provide(platform)))

  inHome(
    "are not re-entrant, and a wait ends with Locked",
    ({ vault }) =>
      Effect.scoped(Effect.gen(function*() {
        yield* vault.lease("login", { term: "5 seconds" })
        const error = yield* Effect.flip(Effect.scoped(vault.lease("login", { term: "5 seconds", wait: 50 })))
        expect(error._tag).toBe("Locked")
      }))
  )

  const script = fileURLToPath(new URL("tokenFileProcess.ts", import.meta.url))
  const run = (path: string, times: number) =>
    Effect.async<string, Error>((resume) => {
      execFile(
        process.execPath,
        ["--import", "tsx", script, path, String(times)],
        { timeout: 60_000 },
        (error, stdout) => resume(error === null ? Effect.succeed(stdout) : Effect.fail(error))
      )
    })

  inHome("keep two processes from losing each other's renewals", (setting) =>
    Effect.gen(function*() {
      const { file, json, write } = setting
      yield* write({ access: "0", refresh: "rt-0", expires: 0, note: "kept" })
      const outs = yield* Effect.all([run(file, 15), run(file, 15)], { concurrency: "unbounded" })
      expect(outs).toEqual(["done", "done"])
      expect(yield* json).toMatchObject({ access: "30", refresh: "rt-30", expires: 30, note: "kept" })
      expect((yield* stored(setting.vault)).generation).toBe(31)
    }), 90_000)
})
