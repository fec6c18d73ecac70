import { describe, expect, it } from "@effect/vitest"
import * as RedisVault from "effect-credentials/vault/RedisVault"
import * as Vault from "effect-credentials/vault/Vault"
import type { VaultError } from "effect-credentials/vault/VaultError"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import { Redis as Client } from "ioredis"
import { spawn } from "node:child_process"
import { tracingChannel } from "node:diagnostics_channel"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import * as Redis from "../support/Redis.js"
import { stallingProxy } from "./sql.js"

const secret = (value: string) => Redacted.make(value)

/** A client that looks over the vault's shoulder. */
const admin = (url: string) =>
  Effect.acquireRelease(
    Effect.sync(() => new Client(url)),
    (client) => Effect.sync(() => client.disconnect())
  )

const ask = <A>(promise: () => Promise<A>) => Effect.promise(promise)

const textAt = (vault: Vault.Service, key: string) =>
  Effect.map(
    vault.get(key),
    (entry) => Option.getOrUndefined(Option.map(entry, ({ value }) => Redacted.value(value)))
  )

/** Every way in which a program may come to show an error. */
const shown = (error: unknown) =>
  [
    JSON.stringify(error),
    String(error),
    inspect(error, { depth: 20, showHidden: true }),
    Cause.pretty(Cause.fail(error)),
    error instanceof Error ? `${error.message} ${error.stack}` : ""
  ].join("\n")

const timed = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.suspend(() => {
    const start = Date.now()
    return Effect.map(Effect.either(self), (result) => ({ result, took: Date.now() - start }))
  })

const expectError = <A>(
  self: Effect.Effect<A, VaultError>,
  tag: VaultError["_tag"],
  detail: RegExp
) =>
  Effect.map(Effect.flip(self), (error) => {
    expect([error._tag, error.detail]).toEqual([tag, expect.stringMatching(detail)])
    expect(error.hint).not.toBe("")
  })

/** What is heard of a key from now on. */
const listen = (vault: Vault.Service, key: string) =>
  Effect.gen(function*() {
    const heard = yield* Queue.unbounded<void>()
    yield* Effect.forkScoped(Stream.runForEach(vault.changes(key), () => Queue.offer(heard, undefined)))
    yield* next(heard)
    return heard
  })

const next = (heard: Queue.Dequeue<void>) =>
  Queue.take(heard).pipe(
    Effect.timeout("8 seconds"),
    Effect.zipRight(Effect.sleep("50 millis")),
    Effect.zipRight(Queue.takeAll(heard))
  )

describe.skipIf(!Redis.available)("RedisVault and a server that fails", () => {
  it.scopedLive("a server that is stopped is Unreachable at once, and works again when it is back", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      yield* vault.set("key", secret("kept"))
      yield* server.stop
      for (
        const call of [vault.get("key"), vault.set("key", secret("v")), vault.remove("key"), vault.list("")]
      ) {
        const { result, took } = yield* timed(call)
        expect(result).toMatchObject({ _tag: "Left", left: { _tag: "Unreachable" } })
        expect(took).toBeLessThan(1000)
      }
      yield* expectError(
        Effect.scoped(vault.lease("key", { term: "1 second" })),
        "Unreachable",
        /ECONNREFUSED/
      )
      yield* expectError(Stream.runHead(vault.changes("key")), "Unreachable", /ECONNREFUSED/)
      const many = yield* Effect.all(Effect.replicate(Effect.either(vault.get("key")), 50), {
        concurrency: "unbounded"
      })
      expect(new Set(many.map(({ _tag }) => _tag))).toEqual(new Set(["Left"]))
      yield* server.start
      expect(yield* textAt(vault, "key")).toBe("kept")
    }))

  it.scopedLive("a server that was killed in the middle of work loses no answered write", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      let answered = 0
      const write = Effect.suspend(() => vault.set("key", secret(String(answered + 1))))
      const count = Effect.sync(() => {
        answered++
      })
      const writer = yield* Effect.fork(Effect.ignore(Effect.forever(Effect.zipRight(write, count))))
      yield* Effect.sleep("100 millis")
      yield* server.kill
      yield* Fiber.await(writer)
      yield* server.start
      expect(answered).toBeGreaterThan(0)
      expect([answered, answered + 1]).toContain(Number(yield* textAt(vault, "key")))
    }))

  it.scopedLive("a server that hangs is Unreachable within the time limit, and works again afterwards", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url, timeLimit: "300 millis" })
      yield* vault.set("key", secret("kept"))
      yield* server.pause
      for (
        const vaultThere of [vault, yield* RedisVault.make({ url: server.url, timeLimit: "300 millis" })]
      ) {
        const { result, took } = yield* timed(
          Effect.all(Effect.replicate(vaultThere.get("key"), 20), { concurrency: "unbounded" })
        )
        expect(result).toMatchObject({ _tag: "Left", left: { _tag: "Unreachable" } })
        expect(took).toBeGreaterThan(250)
        expect(took).toBeLessThan(2000)
      }
      const lease = yield* timed(Effect.scoped(vault.lease("key", { term: "1 second" })))
      expect(lease.result).toMatchObject({ _tag: "Left", left: { _tag: "Unreachable" } })
      yield* server.resume
      expect(yield* textAt(vault, "key")).toBe("kept")
    }))

  it.scopedLive.each(["set", "remove"] as const)(
    "a %s that is held up on its way loses to a newer write",
    (how) =>
      Effect.gen(function*() {
        const server = yield* Redis.make
        const proxy = yield* stallingProxy(server.port)
        const slow = yield* RedisVault.make({
          url: `redis://127.0.0.1:${proxy.port}`,
          timeLimit: "300 millis"
        })
        const vault = yield* RedisVault.make({ url: server.url })
        yield* vault.set("key", secret("first"))
        yield* slow.get("key")
        // At first nothing gets through; in the second round the look does, and the change does not.
        for (const passing of [0, 1]) {
          proxy.stallAfter(passing)
          yield* expectError(
            Effect.asVoid(how === "set" ? slow.set("key", secret("old")) : slow.remove("key")),
            "Unreachable",
            /did not answer/
          )
          expect(yield* textAt(vault, "key")).not.toBe("old")
          yield* vault.set("key", secret("NEW"))
          proxy.release()
          yield* Effect.sleep("300 millis")
          expect(yield* textAt(vault, "key")).toBe("NEW")
          yield* slow.get("key")
        }
      })
  )

  it.scopedLive("writes at the same time all come through, and the last one stays", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const values = Array.from({ length: 50 }, (_, index) => `v${index}`)
      const versions = yield* Effect.all(values.map((value) => vault.set("key", secret(value))), {
        concurrency: "unbounded"
      })
      const entry = Option.getOrThrow(yield* vault.get("key"))
      expect(Redacted.value(entry.value)).toBe(values[versions.indexOf(entry.version)])
    }))

  it.scopedLive("a slow answer fails only the calls that wait too long", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url, timeLimit: "1 second" })
      const client = yield* admin(server.url)
      yield* vault.set("key", secret("kept"))
      yield* ask(() => client.client("PAUSE", 500))
      expect(yield* textAt(vault, "key")).toBe("kept")
    }))

  it.scopedLive("connections that the server closes are made anew, and listeners are told", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const client = yield* admin(server.url)
      const heard = yield* listen(vault, "key")
      yield* ask(() => client.client("KILL", "TYPE", "pubsub"))
      yield* next(heard)
      yield* vault.set("key", secret("one"))
      yield* next(heard)
      yield* ask(() => client.client("KILL", "TYPE", "normal", "SKIPME", "yes"))
      yield* Effect.sleep("50 millis")
      expect(yield* textAt(vault, "key")).toBe("one")
    }))

  it.scopedLive("listeners outlive a restart, and are told that they may have missed something", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const heard = yield* listen(vault, "key")
      yield* server.stop
      yield* Effect.sleep("500 millis")
      expect(Option.isNone(yield* Queue.poll(heard))).toBe(true)
      yield* server.start
      yield* next(heard)
      yield* vault.set("key", secret("one"))
      yield* next(heard)
    }))

  it.scopedLive("a replica takes no writes: Unreachable until it is a primary again", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const primary = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const client = yield* admin(server.url)
      yield* ask(() => client.replicaof("127.0.0.1", primary.port))
      yield* expectError(vault.set("key", secret("v")), "Unreachable", /read-only replica \(READONLY\)/)
      yield* ask(() => client.replicaof("NO", "ONE"))
      yield* vault.set("key", secret("v"))
      expect(yield* textAt(vault, "key")).toBe("v")
    }))

  it.scopedLive("a server without memory is Unreachable, and what is there stays whole", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const client = yield* admin(server.url)
      yield* vault.set("key", secret("old"))
      yield* ask(() => client.config("SET", "maxmemory", "1"))
      yield* expectError(vault.set("key", secret("new")), "Unreachable", /memory is full \(OOM\)/)
      yield* expectError(Effect.scoped(vault.lease("key", { term: "1 second" })), "Unreachable", /OOM/)
      expect(yield* textAt(vault, "key")).toBe("old")
      yield* ask(() => client.config("SET", "maxmemory", "0"))
      yield* vault.set("key", secret("new"))
      expect(yield* textAt(vault, "key")).toBe("new")
    }))
})

describe.skipIf(!Redis.available)("RedisVault and a server that refuses", () => {
  const password = "p:a/s@s%w ord#?\u00fc"
  const withUser = (url: string, user: string, password: string) =>
    url.replace("//", `//${user}:${encodeURIComponent(password)}@`)

  it.scopedLive("a wrong or missing password is Denied, and is told by no error, log or span", () =>
    Effect.gen(function*() {
      const server = yield* Redis.makeWith(["--requirepass", password])
      const right = yield* RedisVault.make({ url: Redacted.make(withUser(server.url, "", password)) })
      yield* right.set("key", secret("v"))
      const none = yield* RedisVault.make({ url: server.url })
      yield* expectError(none.get("key"), "Denied", /password is missing or wrong \(NOAUTH\)/)
      const wrong = yield* RedisVault.make({ url: withUser(server.url, "", "wrong-password") })
      const calls: ReadonlyArray<Effect.Effect<unknown, VaultError>> = [
        wrong.get("key"),
        wrong.set("key", secret("stored-secret")),
        wrong.list(""),
        Effect.scoped(wrong.lease("key", { term: "1 second" })),
        Stream.runHead(wrong.changes("key"))
      ]
      for (const call of calls) {
        const error = yield* Effect.flip(Effect.asVoid(call))
        expect([error._tag, error.detail]).toEqual(["Denied", expect.stringMatching(/WRONGPASS|NOAUTH/)])
        expect(shown(error)).not.toMatch(/wrong-password|stored-secret/)
      }
      expect(shown(right)).not.toContain("s%w")
      expect(shown(wrong)).not.toContain("wrong-password")
    }))

  it.scopedLive("a user who may not write is Denied, and nothing is half-written", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const client = yield* admin(server.url)
      const allow = (...rules: Array<string>) =>
        ask(() => client.acl("SETUSER", "app", "reset", "on", ">pw", "+@all", ...rules))
      const vault = yield* RedisVault.make({ url: withUser(server.url, "app", "pw") })
      yield* allow("~effect-credentials:*", "&effect-credentials:*")
      yield* vault.set("key", secret("v"))
      yield* allow("~effect-credentials:*", "resetchannels")
      yield* expectError(vault.set("key", secret("w")), "Denied", /NOPERM/)
      yield* allow("~other:*", "allchannels")
      yield* expectError(vault.set("key", secret("w")), "Denied", /NOPERM/)
      yield* expectError(vault.get("key"), "Denied", /NOPERM/)
      yield* allow("~effect-credentials:*", "&effect-credentials:*")
      expect(yield* textAt(vault, "key")).toBe("v")
    }))

  it.scopedLive.each(["persist", "pexpire", "hset", "publish", "set", "del", "rename"])(
    "without the right to %s, what is refused is not done",
    (command) =>
      Effect.gen(function*() {
        const server = yield* Redis.make
        const client = yield* admin(server.url)
        const url = withUser(server.url, "app", "pw")
        const vaults = [
          yield* RedisVault.make({ url }),
          yield* RedisVault.make({ url, timeToLive: "1 hour" })
        ]
        const user = ["SETUSER", "app", "reset", "on", ">pw", "allkeys", "allchannels"] as const
        for (const vault of vaults) {
          yield* ask(() => client.acl(...user, "+@all"))
          yield* vault.set("key", secret("old"))
          yield* ask(() => client.set("effect-credentials:{other}", "not ours"))
          yield* ask(() => client.acl(...user, "+@all", `-${command}`))
          const done: Record<string, string | undefined> = {}
          for (const key of ["key", "other"]) {
            done[key] = (yield* Effect.either(vault.set(key, secret("new"))))._tag
          }
          const lease = yield* Effect.either(Effect.scoped(vault.lease("key", { term: "1 second" })))
          yield* ask(() => client.acl(...user, "+@all"))
          expect(yield* textAt(vault, "key")).toBe(done["key"] === "Right" ? "new" : "old")
          expect(yield* ask(() => client.type("effect-credentials:{other}")))
            .toBe(done["other"] === "Right" ? "hash" : "string")
          expect(yield* ask(() => client.exists("effect-credentials:{key}:lease"))).toBe(0)
          if (lease._tag === "Left") expect(lease.left._tag).toBe("Denied")
          yield* ask(() => client.flushall())
        }
      })
  )

  it.scopedLive("a database that the server does not have is Denied; others are kept apart", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const client = yield* admin(server.url)
      const missing = yield* RedisVault.make({ url: `${server.url}/999` })
      yield* expectError(missing.set("key", secret("v")), "Denied", /database/)
      expect(yield* ask(() => client.dbsize())).toBe(0)
      const three = yield* RedisVault.make({ url: `${server.url}/3` })
      const zero = yield* RedisVault.make({ url: server.url })
      yield* three.set("key", secret("v"))
      expect(yield* textAt(zero, "key")).toBe(undefined)
      yield* ask(() => client.client("KILL", "TYPE", "normal", "SKIPME", "yes"))
      yield* Effect.sleep("50 millis")
      expect(yield* textAt(three, "key")).toBe("v")
    }))

  for (
    const url of [
      "",
      "nonsense",
      "http://:hidden-pw@h",
      "redis://",
      "redis://:hidden-pw@h/x",
      "redis://:hidden-pw@h?a=b",
      "redis://:hidden-pw%@h",
      "redis://:hidden-pw@h:99999",
      "redis://:hidden-pw@h/1/2"
    ]
  ) {
    it.scoped(`the URL ${JSON.stringify(url)} is refused and not shown`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(RedisVault.make({ url }))
        expect([error._tag, error.reason]).toEqual(["Misconfigured", "InvalidOption"])
        expect(shown(error)).not.toContain("hidden-pw")
      }))
  }

  for (
    const options of [
      { prefix: "" },
      { prefix: "a b" },
      { prefix: "a{b}" },
      { prefix: "x".repeat(201) },
      { timeLimit: 0 },
      { timeLimit: "2 days" },
      { timeToLive: 0 }
    ] as ReadonlyArray<RedisVault.Settings>
  ) {
    it.scoped(`the settings ${JSON.stringify(options).slice(0, 40)} are refused`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(RedisVault.make({ url: "redis://localhost", ...options }))
        expect([error._tag, error.reason]).toEqual(["Misconfigured", "InvalidOption"])
      }))
  }
})

describe.skipIf(!Redis.available)("RedisVault and what is in the server", () => {
  const foreign: ReadonlyArray<
    readonly [what: string, put: (client: Client, name: string) => Promise<unknown>]
  > = [
    ["a text", (client, name) => client.set(name, "not ours")],
    ["a list", (client, name) => client.lpush(name, "not ours")],
    ["another hash", (client, name) => client.hset(name, "a", "b")],
    [
      "a hash of another format",
      (client, name) => client.hset(name, "format", "effect-credentials/2", "version", "1", "value", "\"v\"")
    ],
    [
      "a hash without a value",
      (client, name) => client.hset(name, "format", "effect-credentials/1", "version", "1")
    ]
  ]
  for (const [what, put] of foreign) {
    it.scopedLive(`${what} under a key is Corrupt; a set moves it aside, a remove removes it`, () =>
      Effect.gen(function*() {
        const server = yield* Redis.make
        const vault = yield* RedisVault.make({ url: server.url })
        const client = yield* admin(server.url)
        yield* ask(() => put(client, "effect-credentials:{key}"))
        const type = yield* ask(() => client.type("effect-credentials:{key}"))
        yield* expectError(vault.get("key"), "Corrupt", /no record/)
        yield* expectError(vault.compareAndSet("key", Option.none(), secret("v")), "Corrupt", /no record/)
        yield* expectError(vault.compareAndSet("key", Option.some("1"), secret("v")), "Corrupt", /no record/)
        yield* expectError(vault.remove("key", { version: "1" }), "Corrupt", /no record/)
        expect(yield* ask(() => client.type("effect-credentials:{key}"))).toBe(type)
        yield* vault.set("key", secret("v"))
        expect(yield* textAt(vault, "key")).toBe("v")
        expect(yield* ask(() => client.type("effect-credentials:{key}:aside"))).toBe(type)
        expect(yield* vault.list("")).toEqual(["key"])
        yield* vault.remove("key")
        expect(yield* ask(() => client.dbsize())).toBe(0)
      }))
  }

  it.scopedLive("a stored value that is no text of ours, or too long, is Corrupt", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const client = yield* admin(server.url)
      yield* vault.set("key", secret("v"))
      for (const value of ["{}", "stored-secret", "\"", "", `"${"x".repeat(7_000_000)}"`]) {
        yield* ask(() => client.hset("effect-credentials:{key}", "value", value))
        const error = yield* Effect.flip(vault.get("key"))
        expect(error._tag).toBe("Corrupt")
        expect(shown(error)).not.toContain("stored-secret")
      }
      yield* ask(() => client.set("effect-credentials:{key}:lease", "x"))
      yield* ask(() => client.del("effect-credentials:{key}:lease"))
      yield* ask(() => client.lpush("effect-credentials:{key}:lease", "x"))
      yield* expectError(Effect.scoped(vault.lease("key", { term: "1 second" })), "Corrupt", /WRONGTYPE/)
    }))

  it.scopedLive("a record lives for its time after its last write, and for ever without one", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const brief = yield* RedisVault.make({ url: server.url, timeToLive: "300 millis" })
      const lasting = yield* RedisVault.make({ url: server.url })
      yield* brief.set("key", secret("v"))
      yield* Effect.sleep("200 millis")
      yield* brief.set("key", secret("v"))
      yield* Effect.sleep("200 millis")
      expect(yield* textAt(brief, "key")).toBe("v")
      yield* Effect.sleep("200 millis")
      expect(yield* textAt(brief, "key")).toBe(undefined)
      expect(yield* brief.list("")).toEqual([])
      yield* brief.compareAndSet("key", Option.none(), secret("v"))
      yield* lasting.set("key", secret("v"))
      yield* Effect.sleep("400 millis")
      expect(yield* textAt(brief, "key")).toBe("v")
    }))

  it.scopedLive("what encrypts other records lives for ever", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url, timeToLive: "200 millis" })
      yield* vault.set("effect-credentials/encryption/salt", secret("s"))
      yield* vault.set("effect-credentials/other", secret("v"))
      yield* Effect.sleep("400 millis")
      expect(yield* vault.list("")).toEqual(["effect-credentials/encryption/salt"])
    }))

  it.scopedLive("a version is from the cryptographic generator, whatever Random gives", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const set = Effect.withRandom(vault.set("key", secret("v")), Random.fixed([1]))
      for (const version of [yield* set, yield* set]) expect(version).toMatch(/^[\w-]{22}$/)
    }))

  it.scopedLive("list finds keys among thousands, by any start", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url, prefix: "*[a-z]?\\:" })
      const other = yield* RedisVault.make({ url: server.url, prefix: "*[a-z]?\\:more" })
      const keys = ["*", "**", "?", "[a]", "a\\b", "{x}", "}", "\u{1f511}a", "\ud83d", "\0", "a", "%2a"]
      yield* Effect.forEach([...keys, ...Array.from({ length: 3000 }, (_, i) => `many/${i}`)], (key) =>
        vault.set(key, secret("v")), { concurrency: 100, discard: true })
      yield* other.set("elsewhere", secret("v"))
      for (const start of [...keys, "many/1", ""]) {
        const found = yield* vault.list(start)
        const expected = [
          ...keys,
          ...Array.from({ length: 3000 }, (_, i) =>
            `many/${i}`)
        ]
          .filter((key) =>
            key.startsWith(start)
          )
        expect([...found].sort()).toEqual(expected.sort())
      }
    }))

  it.scopedLive("a fence grows even if the server has lost its data", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const client = yield* admin(server.url)
      const take = Effect.scoped(vault.lease("key", { term: "1 second" }))
      const first = yield* take
      yield* ask(() => client.flushall())
      const second = yield* take
      expect(second.fence).toBeGreaterThan(first.fence)
      yield* ask(() => client.set("effect-credentials:{key}:fence", String(second.fence + 1e9)))
      const third = yield* take
      expect(third.fence).toBe(second.fence + 1e9 + 1)
      expect(Math.abs(third.acquiredAt - Date.now())).toBeLessThan(5000)
    }))

  it.scopedLive("a server that has forgotten a lease: its owner learns so from check", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const client = yield* admin(server.url)
      const lease = yield* vault.lease("key", { term: "600 millis" })
      yield* ask(() => client.flushall())
      yield* Effect.sleep("400 millis")
      yield* expectError(lease.check, "Locked", /lost/)
    }))
})

const fixture = fileURLToPath(new URL("../fixtures/redisVault.ts", import.meta.url))
const root = fileURLToPath(new URL("../..", import.meta.url))

/** The other program, which ends with the scope. */
const otherProgram = (url: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, ["--import", "tsx", fixture, url], {
          cwd: root,
          stdio: ["pipe", "pipe", "inherit"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    ),
    (child) => {
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      return {
        line: Effect.promise(async () => String((await lines.next()).value)),
        tell: (line: string) => Effect.sync(() => child.stdin.write(`${line}\n`)),
        end: Effect.sync(() => child.stdin.end()),
        kill: Effect.sync(() => child.kill("SIGKILL"))
      }
    }
  )

describe.skipIf(!Redis.available)("RedisVault in two processes", () => {
  it.scopedLive("a lease excludes, a version conflicts, and each hears of the other's writes", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      yield* vault.set("key", secret("mine"))
      const heard = yield* listen(vault, "key")
      const other = yield* otherProgram(server.url)
      const fence = Number((yield* other.line).replace("fence ", ""))
      yield* expectError(
        Effect.scoped(vault.lease("key", { term: "1 second", wait: "1 second" })),
        "Locked",
        /another owner/
      )
      yield* other.tell("theirs")
      expect(yield* other.line).toBe("written")
      yield* next(heard)
      expect(yield* textAt(vault, "key")).toBe("theirs")
      yield* vault.set("key", secret("mine again"))
      yield* other.tell("lost update")
      expect(yield* other.line).toBe("Conflict")
      expect(yield* textAt(vault, "key")).toBe("mine again")
      yield* other.end
      expect(yield* other.line).toBe("done")
      const lease = yield* vault.lease("key", { term: "1 second", wait: "100 millis" })
      expect(lease.fence).toBeGreaterThan(fence)
    }))

  it.scopedLive("the lease of a process that was killed is taken over after its term", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const other = yield* otherProgram(server.url)
      const fence = Number((yield* other.line).replace("fence ", ""))
      yield* other.kill
      const { took } = yield* timed(Effect.scoped(vault.lease("key", { term: "1 second" })))
      expect(took).toBeGreaterThan(150)
      expect(took).toBeLessThan(2000)
      expect((yield* Effect.scoped(vault.lease("key", { term: "1 second" }))).fence).toBeGreaterThan(fence)
    }))
})

describe.skipIf(!Redis.available)("RedisVault and its connections", () => {
  it.scopedLive("closing the scope leaves no connection, and the vault then fails", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const client = yield* admin(server.url)
      const connections = Effect.map(
        ask(() => client.client("LIST")),
        (list) => String(list).trim().split("\n").length
      )
      const vault = yield* Effect.scoped(Effect.gen(function*() {
        const vault = yield* RedisVault.make({ url: server.url })
        expect(yield* connections).toBe(1)
        yield* Effect.asVoid(listen(vault, "key"))
        yield* Effect.asVoid(listen(vault, "other key"))
        yield* Effect.all(Effect.replicate(vault.get("key"), 20), { concurrency: "unbounded" })
        expect(yield* connections).toBe(3)
        return vault
      }))
      yield* connections.pipe(Effect.delay("20 millis"), Effect.repeat({ until: (count) => count === 1 }))
      yield* expectError(vault.get("key"), "Unreachable", /scope is closed/)
      yield* expectError(Stream.runHead(vault.changes("key")), "Unreachable", /scope is closed/)
      expect(yield* connections).toBe(1)
    }))

  it.scopedLive("a client lends its settings and stays as it is", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const client = yield* Effect.acquireRelease(
        Effect.sync(() => new Client(server.url, { keyPrefix: "app:", lazyConnect: true, db: 2 })),
        (client) => Effect.sync(() => client.disconnect())
      )
      yield* Effect.scoped(Effect.gen(function*() {
        const vault = yield* RedisVault.fromClient({ client, prefix: "vault:" })
        yield* vault.set("key", secret("v"))
        expect(yield* vault.list("")).toEqual(["key"])
        yield* Effect.asVoid(listen(vault, "key"))
      }))
      expect(client.status).toBe("wait")
      const other = yield* RedisVault.make({ url: `${server.url}/2`, prefix: "vault:" })
      expect(yield* textAt(other, "key")).toBe("v")
    }))

  it.scopedLive("the same place has one identity, without the password", () =>
    Effect.gen(function*() {
      const make = (url: string, prefix?: string) => RedisVault.make({ url, prefix })
      const one = yield* make("redis://:hidden-pw@localhost/1")
      const same = yield* make("redis://user:other@LOCALHOST:6379/1")
      expect(one.identity).toBe(same.identity)
      expect(one.identity.name).toBe("redis:localhost:6379/1/effect-credentials:")
      const others = [yield* make("redis://localhost/2"), yield* make("redis://localhost/1", "other:")]
      expect(others.map(({ identity }) => identity)).not.toContain(one.identity)
    }))

  it.scopedLive("neither a span nor the client's own tracing shows a value", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const vault = yield* RedisVault.make({ url: server.url })
      const seen: Array<unknown> = []
      const channel = tracingChannel("ioredis:command")
      const see = { start: (message: unknown) => void seen.push(inspect(message), JSON.stringify(message)) }
      yield* Effect.acquireRelease(
        Effect.sync(() => channel.subscribe(see as never)),
        () => Effect.sync(() => channel.unsubscribe(see as never))
      )
      const tracer = Tracer.make({
        span: (name, parent, context, links, startTime, kind) => {
          const span = {
            _tag: "Span",
            spanId: "1",
            traceId: "1",
            sampled: true,
            status: { _tag: "Started", startTime },
            attributes: new Map<string, unknown>(),
            name,
            parent,
            context,
            links,
            kind,
            end: () => {},
            event: () => {},
            addLinks: () => {},
            attribute: (key: string, value: unknown) => void seen.push([name, key, value])
          } as const
          return span
        },
        context: (f) => f()
      })
      yield* Effect.withTracer(vault.set("key", secret("stored-secret")), tracer)
      expect(yield* textAt(vault, "key")).toBe("stored-secret")
      expect(seen.length).toBeGreaterThan(1)
      expect(inspect(seen, { depth: 20 })).not.toContain("stored-secret")
      expect(JSON.stringify(seen)).not.toContain("stored-secret")
      expect(inspect(seen, { depth: 20 })).toContain("redis.set")
    }))

  it.scopedLive("configuration names the server", () =>
    Effect.gen(function*() {
      const server = yield* Redis.make
      const layer = RedisVault.layerConfig({
        url: Config.redacted("REDIS_URL"),
        timeLimit: Config.duration("REDIS_LIMIT")
      })
      const provider = ConfigProvider.fromMap(
        new Map([["REDIS_URL", server.url], ["REDIS_LIMIT", "1 second"]])
      )
      const stored = Effect.flatMap(
        Vault.Vault,
        (vault) => Effect.zipRight(vault.set("key", secret("v")), textAt(vault, "key"))
      )
      const value = yield* Effect.provide(
        stored,
        Layer.provide(layer, Layer.setConfigProvider(provider))
      )
      expect(value).toBe("v")
    }))
})
