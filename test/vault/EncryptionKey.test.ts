import { describe, expect, it } from "@effect/vitest"
import * as EncryptionKey from "effect-credentials/vault/EncryptionKey"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import type * as Vault from "effect-credentials/vault/Vault"
import { Locked, Unsupported } from "effect-credentials/vault/VaultError"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { platform, temporary } from "./temporary.js"

const counting = Uint8Array.from({ length: 32 }, (_, index) => index)

describe("fromBytes", () => {
  it.effect("names the key by a hash of it", () =>
    Effect.gen(function*() {
      const key = yield* EncryptionKey.fromBytes(Redacted.make(counting))
      // The SHA-256 of "effect-credentials/encryption-key-id", NUL and the bytes 0 to 31, by another program.
      expect(key.id).toBe("298e9b867608d083")
      const other = yield* EncryptionKey.fromBytes(Redacted.make(Uint8Array.from(counting).reverse()))
      expect(other.id).not.toBe(key.id)
    }))

  it.effect("keeps the key to itself", () =>
    Effect.gen(function*() {
      const { key } = yield* EncryptionKey.fromBytes(Redacted.make(counting))
      expect([key.extractable, key.usages]).toEqual([false, ["encrypt", "decrypt"]])
      const exported = yield* Effect.exit(Effect.tryPromise(() => crypto.subtle.exportKey("raw", key)))
      expect(Exit.isFailure(exported)).toBe(true)
    }))

  it.effect("refuses what is no key", () =>
    Effect.gen(function*() {
      for (
        const bytes of [
          [],
          counting.slice(1),
          [...counting, 1],
          new Uint8Array(32),
          new Uint8Array(32).fill(7)
        ]
      ) {
        const error = yield* Effect.flip(EncryptionKey.fromBytes(Redacted.make(Uint8Array.from(bytes))))
        expect([error._tag, error.reason]).toEqual(["Misconfigured", "InvalidSecret"])
      }
    }))
})

it.effect("generate gives another key each time", () =>
  Effect.gen(function*() {
    const keys = yield* Effect.replicateEffect(EncryptionKey.generate, 10)
    expect(new Set(keys.map(({ id }) => id)).size).toBe(10)
  }))

/** What another process has: the same records, and nothing in common in memory. */
const elsewhere = (vault: Vault.Service): Vault.Service => ({
  ...vault,
  identity: { name: "another process" }
})

/** A store that counts reads, and is slow enough for two to meet in it. */
const counted = Effect.gen(function*() {
  const memory = yield* MemoryVault.make()
  const counts = { reads: 0, failures: 0 }
  const vault: Vault.Service = {
    ...memory,
    get: (key) =>
      Effect.suspend(() => {
        counts.reads++
        const away = new Locked({ vault: "keychain", action: "get", detail: "locked", hint: "Unlock it." })
        return Effect.delay(counts.failures-- > 0 ? Effect.fail(away) : memory.get(key), "10 millis")
      })
  }
  return { memory, vault, counts }
})

/** Waits until two have come. */
const barrier = Effect.map(Deferred.make<void>(), (isOpen) => {
  let waiting = 0
  return Effect.suspend(() =>
    ++waiting < 2 ? Deferred.await(isOpen) : Effect.asVoid(Deferred.succeed(isOpen, undefined))
  )
})

/** Runs it while the virtual clock goes on. */
const passing = <A, E>(self: Effect.Effect<A, E>, step = 10) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.fork(self)
    yield* Effect.replicateEffect(
      Effect.zipRight(TestClock.adjust(step), Effect.promise(() => new Promise(setImmediate))),
      250
    )
    return yield* Fiber.join(fiber)
  })

describe("fromVault", () => {
  it.effect("makes the key at the first use, and finds it later", () =>
    Effect.gen(function*() {
      const vault = yield* MemoryVault.make()
      const first = yield* EncryptionKey.fromVault({ vault })
      expect(yield* vault.list("")).toEqual(["effect-credentials/encryption/key"])
      const later = yield* EncryptionKey.fromVault({ vault: elsewhere(vault) })
      expect(later.id).toBe(first.id)
      expect((yield* EncryptionKey.fromVault({ vault, key: "other" })).id).not.toBe(first.id)
    }))

  it.effect("waits for nothing where compare-and-set reaches everybody", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryVault.make()
      const capabilities = { ...memory.capabilities, compareAndSet: "shared", lease: "none" } as const
      const { id } = yield* EncryptionKey.fromVault({ vault: { ...memory, capabilities } })
      expect(id).toMatch(/^[0-9a-f]{16}$/)
    }), 2000)

  it.effect("reads the keychain once a process, however many ask at once or later", () =>
    Effect.gen(function*() {
      const { counts, memory, vault } = yield* counted
      yield* EncryptionKey.fromVault({ vault: elsewhere(memory) })
      const ask = Effect.suspend(() => EncryptionKey.fromVault({ vault: { ...vault } }))
      const keys = yield* passing(Effect.all(Effect.replicate(ask, 50), { concurrency: "unbounded" }))
      yield* ask
      expect([new Set(keys).size, counts.reads]).toEqual([1, 1])
    }))

  it.effect("asks once more after a failure, not once for each who waited", () =>
    Effect.gen(function*() {
      const { counts, vault } = yield* counted
      counts.failures = 1
      const ask = EncryptionKey.fromVault({ vault })
      const tags = yield* passing(
        Effect.all(Effect.replicate(Effect.flip(ask), 20), { concurrency: "unbounded" })
      )
      expect([new Set(tags.map(({ _tag }) => _tag)), counts.reads]).toEqual([new Set(["Locked"]), 1])
      const key = yield* passing(ask)
      expect(key.id).toMatch(/^[0-9a-f]{16}$/)
    }))

  it.effect("goes on for the others when the first who asked is interrupted", () =>
    Effect.gen(function*() {
      const { counts, memory, vault } = yield* counted
      yield* EncryptionKey.fromVault({ vault: elsewhere(memory) })
      const first = yield* Effect.fork(EncryptionKey.fromVault({ vault }))
      yield* Effect.yieldNow()
      const second = yield* Effect.fork(EncryptionKey.fromVault({ vault }))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(first)
      yield* passing(Fiber.join(second))
      expect(counts.reads).toBe(1)
    }))

  for (
    const [how, capabilities] of [
      ["compare-and-set", { compareAndSet: "shared", lease: "none" }],
      ["a lease", { compareAndSet: "process", lease: "shared" }],
      ["a lease alone", { compareAndSet: "none", lease: "shared" }],
      ["compare-and-set of its own and a second look", { compareAndSet: "process", lease: "none" }],
      ["nothing but a second look", { compareAndSet: "none", lease: "none" }]
    ] as const
  ) {
    it.effect(`two processes that make it at once end with one key, with ${how}`, () =>
      Effect.gen(function*() {
        const memory = yield* MemoryVault.make()
        const bothHaveLooked = yield* barrier
        const bothWillWrite = yield* barrier
        const excludes = capabilities.lease !== "none"
        const processOf = (pause: number): Vault.Service => {
          let looks = 0
          const write = <A, E>(self: Effect.Effect<A, E>) =>
            Effect.zipRight(excludes ? Effect.void : bothWillWrite, Effect.delay(self, pause))
          return {
            ...elsewhere(memory),
            capabilities: { ...memory.capabilities, ...capabilities },
            get: (key) => Effect.zipLeft(memory.get(key), looks++ === 0 ? bothHaveLooked : Effect.void),
            // Without a reach beyond the process it does not see what another one has written just now.
            compareAndSet: (key, expected, value) =>
              write(
                capabilities.compareAndSet === "shared" || excludes
                  ? memory.compareAndSet(key, expected, value)
                  : memory.set(key, value)
              ),
            set: (key, value) => write(memory.set(key, value))
          }
        }
        const keys = yield* passing(
          Effect.all(
            [10, 300].map((pause) => EncryptionKey.fromVault({ vault: processOf(pause) })),
            { concurrency: "unbounded" }
          )
        )
        expect(new Set(keys.map(({ id }) => id)).size).toBe(1)
        const third = yield* EncryptionKey.fromVault({ vault: elsewhere(memory) })
        expect(third.id).toBe(keys[0]?.id)
      }))
  }

  const alone = { compareAndSet: "process", lease: "none" } as const

  it.effect("two processes whose writes a prompt holds up end with one key", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryVault.make()
      const bothHaveLooked = yield* barrier
      const processOf = (prompt: number): Vault.Service => {
        let looks = 0
        return {
          ...elsewhere(memory),
          capabilities: { ...memory.capabilities, ...alone },
          get: (key) => Effect.zipLeft(memory.get(key), looks++ === 0 ? bothHaveLooked : Effect.void),
          compareAndSet: (key, _, value) => Effect.delay(memory.set(key, value), prompt)
        }
      }
      const keys = yield* passing(
        Effect.all(
          [3_000, 8_000].map((prompt) => EncryptionKey.fromVault({ vault: processOf(prompt) })),
          { concurrency: "unbounded" }
        ),
        200
      )
      const later = yield* EncryptionKey.fromVault({ vault: elsewhere(memory) })
      expect(keys.map(({ id }) => id)).toEqual([later.id, later.id])
    }))

  it.effect("a key that was just made is not used before two reads agree, however slow they are", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryVault.make()
      let reads = 0
      const vault: Vault.Service = {
        ...elsewhere(memory),
        capabilities: { ...memory.capabilities, ...alone },
        get: (key) => Effect.delay(memory.get(key), ++reads === 3 ? 4_000 : 10)
      }
      const [lasted, made] = yield* passing(Effect.timed(EncryptionKey.fromVault({ vault })), 100)
      // Two quick reads, a second, a slow read, twice as long as that, a quick read.
      expect([reads, Duration.toSeconds(lasted)]).toEqual([4, expect.closeTo(13, 0)])
      const [again] = yield* Effect.timed(EncryptionKey.fromVault({ vault: elsewhere(memory) }))
      expect([Duration.toMillis(again), made.id]).toEqual([0, expect.any(String)])
    }))

  it.effect("a key that others replace again and again is not used", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryVault.make()
      const replaced = Effect.gen(function*() {
        const other = yield* MemoryVault.make()
        yield* EncryptionKey.fromVault({ vault: other })
        return yield* other.get("effect-credentials/encryption/key")
      }).pipe(Effect.orDie)
      let reads = 0
      const vault: Vault.Service = {
        ...memory,
        capabilities: { ...memory.capabilities, ...alone },
        get: (key) => Effect.suspend(() => ++reads === 1 ? memory.get(key) : replaced)
      }
      const error = yield* passing(Effect.flip(EncryptionKey.fromVault({ vault })), 100)
      expect([error._tag, error.message]).toEqual(["Unreachable", expect.stringContaining("again and again")])
    }))

  it.effect.prop(
    "anything else under that name is Corrupt, and is never replaced",
    { text: FastCheck.oneof(FastCheck.string(), FastCheck.json()), at: FastCheck.nat() },
    ({ at, text }) =>
      Effect.gen(function*() {
        const vault = yield* MemoryVault.make()
        yield* EncryptionKey.fromVault({ vault: elsewhere(vault), key: "k" })
        const whole = Redacted.value(Option.getOrThrow(yield* vault.get("k")).value)
        const where = at % whole.length
        const flipped = `${whole.slice(0, where)}${whole[where] === "a" ? "b" : "a"}${whole.slice(where + 1)}`
        for (const damaged of [text, flipped]) {
          yield* vault.set("k", Redacted.make(damaged))
          const error = yield* Effect.flip(EncryptionKey.fromVault({ vault: elsewhere(vault), key: "k" }))
          expect(error._tag).toBe("Corrupt")
          expect(Redacted.value(Option.getOrThrow(yield* vault.get("k")).value)).toBe(damaged)
        }
      })
  )

  it.effect("a read-only vault without the key is Unsupported, or whatever it says", () =>
    Effect.gen(function*() {
      const memory = yield* MemoryVault.make()
      const refusal = new Unsupported({ vault: "v", action: "set", detail: "read-only", hint: "None." })
      const vault: Vault.Service = {
        ...memory,
        capabilities: { ...memory.capabilities, writable: false, compareAndSet: "none", lease: "none" },
        set: () => Effect.fail(refusal)
      }
      expect((yield* Effect.flip(EncryptionKey.fromVault({ vault })))._tag).toBe("Unsupported")
    }))
})

describe("real processes", () => {
  const script = fileURLToPath(new URL("encryptionKeyProcess.ts", import.meta.url))

  const run = (directory: string, kind: string, start: number) =>
    Effect.promise(() =>
      new Promise<string>((resolve) => {
        execFile(
          process.execPath,
          ["--import", "tsx", script, directory, kind, String(start)],
          { timeout: 30_000, killSignal: "SIGKILL" },
          (error, stdout, stderr) => resolve(error === null ? stdout : stderr)
        )
      })
    )

  for (const kind of ["random", "passphrase"]) {
    it.scopedLive(`that make a ${kind} key at once end with the same one`, () =>
      Effect.gen(function*() {
        const { directory } = yield* temporary
        const start = Date.now() + 3000
        const ids = yield* Effect.all(Effect.replicate(run(directory, kind, start), 3), {
          concurrency: "unbounded"
        })
        expect(ids).toEqual([expect.stringMatching(/^[0-9a-f]{16}$/), ids[0], ids[0]])
      }).pipe(Effect.provide(platform)), 60_000)
  }
})
