import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import { describe, expect, it } from "@effect/vitest"
import * as SleepyClock from "effect-credentials/testing/SleepyClock"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as Effect from "effect/Effect"
import { platform, temporary } from "./temporary.js"

const term = 200
const soon = { term, wait: "5 seconds" } as const
const now = { term, wait: 0 } as const
const others = JSON.stringify({ owner: "other", term: 60_000 })

/** A vault, and what happens just before one of its files is removed, renamed or replaced. */
const interposed = Effect.gen(function*() {
  const { directory, file, fs } = yield* temporary
  yield* fs.makeDirectory(directory, { mode: 0o700 })
  const lease = file("k.lease")
  const hook = { on: lease, happens: Effect.void as Effect.Effect<unknown> }
  const before = (...paths: ReadonlyArray<string>) =>
    Effect.suspend(() => {
      if (!paths.includes(hook.on)) return Effect.void
      const { happens } = hook
      hook.happens = Effect.void
      return happens
    })
  const slow: FileSystem.FileSystem = {
    ...fs,
    rename: (from, to) => Effect.zipRight(before(from, to), fs.rename(from, to)),
    remove: (path, options) => Effect.zipRight(before(path), fs.remove(path, options))
  }
  const vault = yield* Effect.provideService(FileVault.make({ directory }), FileSystem.FileSystem, slow)
  /** Another owner takes the lease meanwhile. */
  const changesHands = Effect.orDie(
    Effect.zipRight(
      fs.writeFileString(file("other"), others),
      fs.rename(file("other"), lease)
    )
  )
  const names = Effect.map(fs.readDirectory(directory), (names) => [...names].sort())
  return { fs, file, hook, lease, vault, changesHands, names }
})

describe("what stands in the place of a lease", () => {
  const put: ReadonlyArray<
    readonly [string, (fs: FileSystem.FileSystem, path: string) => Effect.Effect<void, PlatformError>]
  > = [
    ["a link that leads nowhere", (fs, path) => fs.symlink("/nowhere/at-all", path)],
    ["a link to itself", (fs, path) => fs.symlink(path, path)],
    ["a directory", (fs, path) => fs.makeDirectory(path)],
    ["an empty file", (fs, path) => fs.writeFileString(path, "")]
  ]
  for (const [what, make] of put) {
    it.scopedLive(`${what} locks for a term and no longer`, () =>
      Effect.gen(function*() {
        const { fs, lease, vault } = yield* interposed
        yield* make(fs, lease)
        expect(yield* Effect.flip(Effect.scoped(vault.lease("k", now)))).toMatchObject({ _tag: "Locked" })
        yield* Effect.scoped(
          Effect.flatMap(vault.lease("k", soon), (held) => Effect.zipRight(Effect.sleep(term), held.check))
        )
        yield* Effect.scoped(vault.lease("k", now))
      }).pipe(Effect.provide(platform)))
  }
})

it.scopedLive("a term of more than an hour is a lease like any other", () =>
  Effect.gen(function*() {
    const { names, vault } = yield* interposed
    yield* Effect.scoped(vault.lease("k", { term: "2 hours", wait: 0 }))
    expect(yield* names).toEqual(["k.fence"])
    yield* Effect.scoped(vault.lease("k", now))
  }).pipe(Effect.provide(platform)))

it.scopedLive("a wall clock that is set ahead makes nobody dead", () =>
  Effect.gen(function*() {
    const { vault } = yield* interposed
    yield* vault.lease("k", { term: "1 minutes" })
    const clock = yield* SleepyClock.make
    const ask = Effect.flip(Effect.scoped(vault.lease("k", now)))
    yield* Effect.gen(function*() {
      yield* ask
      yield* clock.correct(60 * 60 * 1000)
      expect(yield* ask).toMatchObject({ _tag: "Locked" })
    }).pipe(Effect.withClock(clock))
  }).pipe(Effect.provide(platform)))

describe("a process that stops between a look and what it does then", () => {
  it.scopedLive("gives back no lease of another", () =>
    Effect.gen(function*() {
      const { changesHands, fs, hook, lease, names, vault } = yield* interposed
      yield* Effect.scoped(Effect.tap(vault.lease("k", soon), () => {
        hook.happens = changesHands
      }))
      expect(yield* fs.readFileString(lease)).toBe(others)
      expect(yield* names).toEqual(["k.fence", "k.lease"])
    }).pipe(Effect.provide(platform)))

  it.scopedLive("takes over no lease that was just taken over", () =>
    Effect.gen(function*() {
      const { changesHands, fs, hook, lease, names, vault } = yield* interposed
      yield* fs.writeFileString(lease, JSON.stringify({ owner: "dead", term }))
      hook.happens = changesHands
      const failed = yield* Effect.flip(Effect.scoped(vault.lease("k", { term, wait: 4 * term })))
      expect(failed).toMatchObject({ _tag: "Locked" })
      expect(yield* fs.readFileString(lease)).toBe(others)
      expect(yield* names).toEqual(["k.lease"])
    }).pipe(Effect.provide(platform)))

  it.scopedLive("gives back no turn of another to take over", () =>
    Effect.gen(function*() {
      const { file, fs, hook, lease, vault } = yield* interposed
      yield* fs.writeFileString(lease, JSON.stringify({ owner: "dead", term }))
      hook.on = file("k.takeover")
      hook.happens = Effect.orDie(
        Effect.zipRight(fs.writeFileString(file("o"), others), fs.rename(file("o"), hook.on))
      )
      yield* Effect.scoped(vault.lease("k", soon))
      expect(yield* fs.readFileString(hook.on)).toBe(others)
    }).pipe(Effect.provide(platform)))

  it.scopedLive("has no lease that it lost while it was taking it", () =>
    Effect.gen(function*() {
      const { changesHands, file, fs, hook, lease, vault } = yield* interposed
      hook.on = file("k.fence")
      hook.happens = changesHands
      expect(yield* Effect.flip(Effect.scoped(vault.lease("k", now)))).toMatchObject({ _tag: "Locked" })
      expect(yield* fs.readFileString(lease)).toBe(others)
    }).pipe(Effect.provide(platform)))

  it.scopedLive("leaves a lease alone that its owner has touched meanwhile", () =>
    Effect.gen(function*() {
      const { fs, hook, lease, names, vault } = yield* interposed
      const text = JSON.stringify({ owner: "slow", term })
      yield* fs.writeFileString(lease, text)
      hook.happens = Effect.orDie(fs.utimes(lease, 2_000_000_000, 2_000_000_000))
      const failed = yield* Effect.flip(Effect.scoped(vault.lease("k", { term, wait: term * 1.7 })))
      expect(failed).toMatchObject({ _tag: "Locked" })
      expect(yield* fs.readFileString(lease)).toBe(text)
      expect(yield* names).toEqual(["k.lease"])
    }).pipe(Effect.provide(platform)))
})
