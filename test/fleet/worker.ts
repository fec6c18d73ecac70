/**
 * One process of a fleet: stored grants over a shared vault with a cache on top, used again and again. Its
 * settings come as JSON in `FLEET_WORKER`, commands through the channel to its parent; reports go out on
 * file descriptor 4, in one write each. It dies, or stands still, by its own hand at the crash points that
 * it is told.
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as FetchHttpClient from "@effect/platform/FetchHttpClient"
import type * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as RefreshToken from "effect-credentials/oauth/RefreshToken"
import * as RefreshPolicy from "effect-credentials/RefreshPolicy"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import type * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import type { TokenError } from "effect-credentials/TokenError"
import type * as TokenSource from "effect-credentials/TokenSource"
import * as CrashPoint from "effect-credentials/vault/CrashPoint"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import { createHash } from "node:crypto"
import { writeSync } from "node:fs"
import { open } from "./open.js"
import type { Command, Report, WorkerSettings } from "./protocol.js"

const settings = JSON.parse(process.env["FLEET_WORKER"] ?? "{}") as WorkerSettings

const report = (what: Report): Effect.Effect<void> =>
  Effect.sync(() => {
    writeSync(4, `${JSON.stringify(what)}\n`)
  })

const own = { clockOffset: settings.clockOffset, isCalm: false }

/** A clock that is wrong about the time of day, and can jump. */
const skewed: Clock.Clock = (() => {
  const right = Clock.make()
  const millis = () => right.unsafeCurrentTimeMillis() + own.clockOffset
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: () => right.unsafeCurrentTimeNanos(),
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: right.currentTimeNanos,
    sleep: (duration) => right.sleep(duration)
  }
})()

const dice = Random.make(settings.seed)

/** Kills or stops this process here and now, as likely as it was told for this moment. */
const mayEnd = (moment: CrashPoint.Moment): Effect.Effect<void> =>
  Effect.flatMap(dice.next, (number) => {
    if (own.isCalm) return Effect.void
    const { [moment]: dies = 0 } = settings.crash
    const { [moment]: stands = 0 } = settings.stand
    if (number < dies) return signalSelf("SIGKILL", { _tag: "Died", moment })
    return number < dies + stands ? signalSelf("SIGSTOP", { _tag: "Stands", moment }) : Effect.void
  })

const signalSelf = (signal: NodeJS.Signals, last: Report): Effect.Effect<void> =>
  Effect.zipRight(report(last), Effect.sync(() => process.kill(process.pid, signal)))

/** The vault, telling of each lease when it is given and before it is given back. */
const watched = (vault: Vault.Service): Vault.Service => ({
  ...vault,
  lease: (key, options) =>
    Effect.tap(vault.lease(key, options), ({ fence }) =>
      Effect.zipRight(
        report({ _tag: "Leased", key, fence }),
        Effect.addFinalizer(() => report({ _tag: "Releasing", key, fence }))
      ))
})

const hashOf = (grant: Grant.Grant): string =>
  createHash("sha256").update(grant.refreshToken === undefined ? "" : Redacted.value(grant.refreshToken))
    .digest("hex")

interface Tool {
  readonly key: string
  readonly source: TokenSource.TokenSource
  /** What was used last, and how often this process has redeemed. */
  generation: number
  redeemed: boolean
}

const makeTool = (redeem: RefreshToken.Redeem) =>
  Effect.fnUntraced(function*(key: string) {
    const tool: { redeemed: boolean } = { redeemed: false }
    const told = (grant: Grant.Grant) =>
      report({ _tag: "Sending", key, hash: hashOf(grant) }).pipe(
        Effect.zipRight(redeem(grant)),
        Effect.tap(() => {
          tool.redeemed = true
          return report({ _tag: "Answered", key, hash: hashOf(grant) })
        })
      )
    const source = yield* Persisted.make({
      key,
      name: `login ${key}`,
      redeem: told,
      graceWindow: Duration.millis(settings.graceWindow),
      leaseTerm: Duration.millis(settings.leaseTerm),
      deadline: Duration.millis(settings.deadline)
    }).pipe(TokenCache.cached({ policy }))
    return Object.assign(tool, { key, source, generation: 0 }) satisfies Tool
  })

const policy = RefreshPolicy.make({ backoff: { base: 200, cap: 1_000 } })

/** Whether the issuer takes the token now. */
const show = (token: Token.Token): Effect.Effect<number> =>
  Effect.promise((signal) =>
    fetch(`${settings.issuer}/me`, {
      headers: { authorization: `Bearer ${Redacted.value(token.value)}` },
      signal
    })
      .then(async (response) => {
        await response.arrayBuffer()
        return response.status
      }, () => 0)
  ).pipe(Effect.timeoutTo({ duration: "3 seconds", onSuccess: (status) => status, onTimeout: () => 0 }))

/** A token, shown to the issuer now and then; one that it refuses is replaced. */
const use = (tool: Tool, shown: boolean): Effect.Effect<number, TokenError> =>
  Effect.gen(function*() {
    const token = yield* tool.source.get
    const adopted = token.generation !== tool.generation && !tool.redeemed
    tool.generation = token.generation
    tool.redeemed = false
    const status = shown ? yield* show(token) : 200
    if (status === 401) yield* tool.source.invalidate(token)
    yield* report({ _tag: "Used", key: tool.key, adopted, refused: status === 401 })
    return status
  })

const failed = (tool: Tool) => (error: TokenError) =>
  Effect.zipRight(
    report({ _tag: "Failed", key: tool.key, error: error._tag, reason: error.reason }),
    Effect.logWarning(`${tool.key}: ${error.message}`, error)
  )

const work = (tool: Tool): Effect.Effect<never> =>
  Random.next.pipe(
    Effect.flatMap((number) => use(tool, number < 0.3)),
    Effect.catchAll(failed(tool)),
    Effect.zipRight(Effect.flatMap(Random.nextRange(20, 250), (ms) => Effect.sleep(Duration.millis(ms)))),
    Effect.forever
  )

/** Until the issuer takes the token; what went wrong last where that takes too long. */
const settle = (tool: Tool, seconds: number): Effect.Effect<string | undefined> => {
  const last = { problem: "nothing was answered" as string | undefined }
  return use(tool, true).pipe(
    Effect.tapError(failed(tool)),
    Effect.match({
      onSuccess: (status) => status === 200 ? undefined : `the issuer answered ${status}`,
      onFailure: (error) => error.message
    }),
    Effect.tap((problem) => Effect.sync(() => void (last.problem = problem))),
    Effect.repeat({ until: (problem) => problem === undefined, schedule: Schedule.spaced("200 millis") }),
    Effect.timeoutTo({
      duration: Duration.seconds(seconds),
      onSuccess: () => undefined,
      onTimeout: () => `${tool.key}: ${last.problem}`
    })
  )
}

/** Asks at that instant by the machine's own clock. */
const ask = Effect.fnUntraced(function*(tool: Tool, at: number) {
  yield* Effect.sleep(Duration.millis(at - Date.now()))
  const start = performance.now()
  const before = process.cpuUsage()
  const late = Date.now() - at
  const answer = yield* Effect.either(tool.source.get)
  const failure = answer._tag === "Left" ? answer.left.message : undefined
  const wait = performance.now() - start
  const { system, user } = process.cpuUsage(before)
  yield* report({ _tag: "Asked", wait, late, cpu: (user + system) / 1000, failure })
})

const commands = Effect.map(Queue.unbounded<Command>(), (queue) => {
  process.on("message", (command: Command) => void queue.unsafeOffer(command))
  process.once("disconnect", () => process.exit(1))
  return queue
})

const program = Effect.gen(function*() {
  const queue = yield* commands
  const vault = yield* Effect.retry(open(settings.place), Schedule.spaced("200 millis"))
  const server = yield* AuthorizationServer.make({
    issuer: settings.issuer,
    tokenEndpoint: `${settings.issuer}/token`
  })
  const redeem = yield* RefreshToken.make({ server, client: { id: "device" }, requestTimeLimit: "3 seconds" })
  const make = (key: string) => Effect.provideService(makeTool(redeem)(key), Vault.Vault, watched(vault))
  const tools = new Map<string, Tool>()
  const toolOf = (key: string) =>
    Effect.suspend(() => {
      const known = tools.get(key)
      return known === undefined
        ? Effect.tap(make(key), (tool) => Effect.sync(() => tools.set(key, tool)))
        : Effect.succeed(known)
    })
  const workers: Array<Fiber.RuntimeFiber<never>> = []
  const obey = Effect.fnUntraced(function*(command: Command) {
    switch (command._tag) {
      case "Work":
        for (const key of command.keys) workers.push(yield* Effect.forkScoped(work(yield* toolOf(key))))
        return
      case "Skew":
        own.clockOffset = command.clockOffset
        return
      case "Calm":
        own.isCalm = true
        return
      case "Settle": {
        yield* Fiber.interruptAll(workers)
        const problems = yield* Effect.forEach(
          command.keys,
          (key) => Effect.flatMap(toolOf(key), (tool) => settle(tool, command.seconds)),
          { concurrency: "unbounded" }
        )
        return yield* report({ _tag: "Settled", failures: problems.filter((one) => one !== undefined) })
      }
      case "Ask":
        return yield* ask(yield* toolOf(command.key), command.at)
      case "Check": {
        const token = yield* Effect.option((yield* toolOf(command.key)).source.get)
        return yield* report({
          _tag: "Checked",
          status: token._tag === "Some" ? yield* show(token.value) : 0
        })
      }
      case "Stop":
        return yield* Deferred.succeed(ended, undefined)
    }
  })
  const ended = yield* Deferred.make<void>()
  yield* report({ _tag: "Ready" })
  yield* Effect.forkScoped(
    Effect.forever(Effect.flatMap(Queue.take(queue), (command) => Effect.forkScoped(obey(command))))
  )
  yield* Deferred.await(ended)
})

/** Everything runs on the wrong clock, whatever starts first. */
const layers = Layer.provideMerge(
  Layer.mergeAll(
    FetchHttpClient.layer,
    NodeFileSystem.layer,
    NodePath.layer,
    RefreshScheduler.layer,
    Logger.minimumLogLevel(LogLevel.Debug),
    Layer.succeed(CrashPoint.CrashPoint, mayEnd)
  ),
  Layer.setClock(skewed)
)

const exit = await program.pipe(Effect.scoped, Effect.provide(layers), Effect.runPromiseExit)
if (exit._tag === "Failure") console.error(exit.cause)
process.exit(exit._tag === "Success" ? 0 : 1)
