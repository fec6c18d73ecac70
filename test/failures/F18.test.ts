import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { spawn } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import * as Scene from "../fleet/scene.js"

/** The processes that hold a lock of the file system, of whatever kind, by the kernel's own list. */
const lockers = (): ReadonlyArray<number> =>
  readFileSync("/proc/locks", "utf8").split("\n")
    .map((line) => Number(/^\d+: (?:-> )?\w+ +\w+ +\w+ +(\d+)/.exec(line)?.[1]))
    .filter((pid) => pid > 0)

const isLinux = existsSync("/proc/locks")

/**
 * The kernel itself says that no process that redeems or waits holds or awaits a lock: exclusion needs none,
 * so it is there where locks are not kept, on network homes for one.
 */
it.scopedLive.skipIf(!isLinux)(
  "F18 real processes exclude each other without any lock of the file system",
  () =>
    Effect.gen(function*() {
      const { provider, worker } = yield* Scene.make({ latency: 1_500 })
      const workers = yield* Effect.replicateEffect(worker({}), 2)
      const asking = yield* Effect.fork(Effect.forEach(workers, Scene.ask, { concurrency: "unbounded" }))
      const seen: Array<number> = []
      for (let look = 0; look < 50; look++) {
        seen.push(...lockers())
        yield* Effect.sleep("20 millis")
      }
      const pids = workers.map(({ process }) => process.pid)
      expect(seen.filter((pid) => pids.includes(pid))).toEqual([])
      expect((yield* Fiber.join(asking)).map((answer) => answer?.failure)).toEqual([undefined, undefined])
      expect(yield* Scene.tally(provider)).toEqual({ redeemed: 1, repeated: 0, refused: 0 })
    }),
  60_000
)

/** Somebody who holds an exclusive `flock` on each of these, until the scope closes. */
const hold = (paths: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.async<ReadonlyArray<ReturnType<typeof spawn>>>((resume) => {
      let left = paths.length
      const children = paths.map((path) => {
        const child = spawn("flock", ["-x", path, "sh", "-c", "echo held; read _"], {
          stdio: ["pipe", "pipe", "ignore"]
        })
        child.stdout?.once("data", () => --left === 0 && resume(Effect.succeed(children)))
        return child
      })
    }),
    (children) => Effect.sync(() => children.forEach((child) => child.stdin?.end()))
  )

it.scopedLive.skipIf(!isLinux)(
  "F18 a lock that somebody else holds on every file of the vault stops nobody",
  () =>
    Effect.gen(function*() {
      const { directory, provider, worker } = yield* Scene.make({ latency: 200 })
      const workers = yield* Effect.replicateEffect(worker({}), 2)
      yield* hold([directory, ...readdirSync(directory).map((name) => join(directory, name))])
      expect(lockers().length).toBeGreaterThan(0)
      const answers = yield* Effect.forEach(workers, Scene.ask, { concurrency: "unbounded" })
      expect(answers.map((answer) => answer?.failure)).toEqual([undefined, undefined])
      expect(yield* Scene.tally(provider)).toEqual({ redeemed: 1, repeated: 0, refused: 0 })
    }),
  60_000
)
