import { expect, it } from "@effect/vitest"
import type * as Grant from "effect-credentials/Grant"
import { TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as CrashPoint from "effect-credentials/vault/CrashPoint"
import * as Persisted from "effect-credentials/vault/Persisted"
import * as Vault from "effect-credentials/vault/Vault"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as Scene from "../fleet/scene.js"
import { accessOf, grant, hour, key, makeStore, refreshOf, rejected } from "../vault/issuer.js"
import { platform, temporary } from "../vault/temporary.js"

const lost = new TransientFailure({
  source: "issuer",
  reason: "ReplyLost",
  detail: "the connection ended",
  hint: "Try again.",
  retryAt: undefined
})

/** An issuer that gives the same answer again inside of its grace window, and loses the first answers. */
const makeIssuer = (
  options: { readonly window: number; readonly losses: number; readonly rotates: boolean }
) => {
  const answers = new Map<string, { readonly at: number; readonly grant: Grant.Grant }>()
  const issuer = {
    sent: [] as Array<string>,
    losses: options.losses,
    redeem: (held: Grant.Grant): Effect.Effect<Grant.Grant, TokenError> =>
      Effect.gen(function*() {
        const refresh = held.refreshToken === undefined ? "" : Redacted.value(held.refreshToken)
        issuer.sent.push(refresh)
        const now = yield* Effect.map(Effect.clock, (clock) => clock.unsafeCurrentTimeMillis())
        const known = options.rotates ? answers.get(refresh) : undefined
        if (known !== undefined && now - known.at >= options.window) return yield* rejected
        const number = options.rotates ? answers.size + 1 : issuer.sent.length
        const renewed = known?.grant ??
          (yield* grant(number, options.rotates ? undefined : { refreshToken: undefined }))
        if (known === undefined) answers.set(refresh, { at: now, grant: renewed })
        return issuer.losses-- > 0 ? yield* lost : renewed
      })
  }
  return issuer
}

const setting = (options: Partial<Parameters<typeof makeIssuer>[0]>, graceWindow: number) =>
  Effect.gen(function*() {
    const store = yield* makeStore
    const issuer = makeIssuer({ window: 20_000, losses: 0, rotates: true, ...options })
    yield* store.put(yield* grant(0))
    yield* TestClock.adjust(hour)
    const process = Effect.suspend(() =>
      Effect.provideService(
        Persisted.make({ key, redeem: issuer.redeem, graceWindow }),
        Vault.Vault,
        store.open()
      )
    )
    return { store, issuer, process }
  })

it.effect("F5 a lost answer is asked for again with the same refresh token inside the grace window", () =>
  Effect.gen(function*() {
    const { issuer, process, store } = yield* setting({ losses: 2 }, 20_000)
    const asking = yield* Effect.fork((yield* process).get)
    yield* TestClock.adjust("2 seconds")
    expect(accessOf(yield* Fiber.join(asking))).toBe("A1")
    expect(issuer.sent).toEqual(["R0", "R0", "R0"])
    expect(refreshOf(yield* store.record)).toBe("R1")
  }))

it.effect("F5 nothing is sent again after the grace window, and the grant is kept as ambiguous", () =>
  Effect.gen(function*() {
    const { issuer, process, store } = yield* setting({ losses: 4 }, 20_000)
    const source = yield* process
    const asking = yield* Effect.fork(Effect.flip(source.get))
    yield* TestClock.adjust("10 seconds")
    expect(yield* Fiber.join(asking)).toMatchObject({ _tag: "TransientFailure", reason: "ReplyLost" })
    yield* TestClock.adjust("10 seconds")
    const sent = issuer.sent.length
    for (const one of [source, source, yield* process]) {
      expect(yield* Effect.flip(one.get)).toMatchObject({ _tag: "ReauthRequired", reason: "Ambiguous" })
      yield* TestClock.adjust("1 hour")
    }
    expect(issuer.sent.length).toBe(sent)
    expect(yield* source.status).toMatchObject({ health: "Ambiguous" })
    expect(yield* store.record).toMatchObject({ status: { _tag: "Ambiguous" } })
    expect(refreshOf(yield* store.record)).toBe("R0")
  }))

it.effect("F5 a repeat that would come after the end of the window is not sent", () =>
  Effect.gen(function*() {
    const { issuer, process } = yield* setting({ losses: 9, window: 600 }, 600)
    const asking = yield* Effect.fork(Effect.flip((yield* process).get))
    yield* TestClock.adjust("10 seconds")
    expect(yield* Fiber.join(asking)).toMatchObject({ _tag: "ReauthRequired", reason: "Ambiguous" })
    // At 0 and after 250 ms; the next one would come after 750.
    expect(issuer.sent).toEqual(["R0", "R0"])
  }))

it.effect("F5 without a grace window an answer that is lost is ambiguous at once", () =>
  Effect.gen(function*() {
    const { issuer, process } = yield* setting({ losses: 1 }, 0)
    const error = yield* Effect.flip((yield* process).get)
    expect(error).toMatchObject({ _tag: "ReauthRequired", reason: "Ambiguous" })
    yield* Effect.flip((yield* process).get)
    expect(issuer.sent).toEqual(["R0"])
  }))

it.effect("F5 a login ends the ambiguity", () =>
  Effect.gen(function*() {
    const { process, store } = yield* setting({ losses: 1 }, 0)
    const source = yield* process
    yield* Effect.flip(source.get)
    yield* Effect.provideService(
      Effect.flatMap(grant(5), (login) => Persisted.save(key, login)),
      Vault.Vault,
      store.open()
    )
    expect(accessOf(yield* source.get)).toBe("A5")
  }))

it.effect("F5 an issuer that is seen not to rotate is simply asked again, whenever", () =>
  Effect.gen(function*() {
    const { issuer, process } = yield* setting({ rotates: false }, 0)
    const source = yield* process
    yield* source.get
    yield* TestClock.adjust(hour)
    issuer.losses = 4
    const asking = yield* Effect.fork(Effect.flip(source.get))
    yield* TestClock.adjust("10 seconds")
    expect(yield* Fiber.join(asking)).toMatchObject({ _tag: "TransientFailure", reason: "ReplyLost" })
    yield* TestClock.adjust(hour)
    expect(accessOf(yield* source.get)).toBe("A6")
    expect(new Set(issuer.sent)).toEqual(new Set(["R0"]))
  }))

/** A process that dies at this moment: nothing of it happens any more, not even its signs of life. */
const mortal = (moment: CrashPoint.Moment, died: Deferred.Deferred<void>) => {
  let isDead = false
  return CrashPoint.withCrashPoint((now) =>
    Effect.suspend(() => {
      if (now !== moment && !isDead) return Effect.void
      isDead = true
      return Effect.zipRight(Deferred.succeed(died, undefined), Effect.never)
    })
  )
}

/** One process dies at this moment, then another one asks; over files, where leases outlive their owners. */
const inherit = (moment: CrashPoint.Moment, graceWindow: number) =>
  Effect.gen(function*() {
    const { vault } = yield* temporary
    const issuer = makeIssuer({ window: 60_000, losses: 0, rotates: true })
    yield* Effect.provideService(
      Effect.flatMap(grant(0, { expiresIn: 0 }), (expired) => Persisted.save(key, expired)),
      Vault.Vault,
      vault
    )
    const process = (name: string) =>
      Effect.provideService(
        Persisted.make({ key, redeem: issuer.redeem, graceWindow, leaseTerm: 300 }),
        Vault.Vault,
        { ...vault, identity: { name } }
      )
    const died = yield* Deferred.make<void>()
    yield* Effect.forkDaemon(mortal(moment, died)((yield* process("the first")).get))
    yield* Deferred.await(died)
    const answer = yield* Effect.either((yield* process("the next")).get)
    const record = yield* Effect.provideService(Persisted.load(key), Vault.Vault, vault)
    return { answer, sent: new Set(issuer.sent), record: Option.getOrUndefined(record) }
  }).pipe(Effect.scoped, Effect.provide(platform))

const moments = ["redeem.read", "redeem.journaled", "redeem.answered", "redeem.stored"] as const

it.live.each(moments)(
  "F5 the next process inside the window gets what one that died at %s was to get",
  (moment) =>
    Effect.gen(function*() {
      const { answer, record, sent } = yield* inherit(moment, 60_000)
      expect(Either.map(answer, accessOf)).toEqual(Either.right("A1"))
      expect(sent).toEqual(new Set(["R0"]))
      expect(refreshOf(record)).toBe("R1")
    })
)

const uncertain = ["redeem.journaled", "redeem.answered"] as const

it.live.each(uncertain)(
  "F5 without a window nothing is sent that one that died at %s may have sent",
  (moment) =>
    Effect.gen(function*() {
      const { answer, record, sent } = yield* inherit(moment, 0)
      expect(answer).toMatchObject({ left: { _tag: "ReauthRequired", reason: "Ambiguous" } })
      expect(sent.size).toBe(moment === "redeem.answered" ? 1 : 0)
      expect(refreshOf(record)).toBe("R0")
    })
)

it.scopedLive(
  "F5 a real process takes up what a real one that was killed had sent",
  () =>
    Effect.gen(function*() {
      const { provider, worker } = yield* Scene.make({ graceWindow: 60_000 })
      const mortal = yield* worker({ crash: { "redeem.answered": 1 } })
      expect(yield* Scene.ask(mortal)).toBe(undefined)
      expect(yield* mortal.process.ended).toBe("SIGKILL")
      const next = yield* worker({})
      expect(yield* Scene.ask(next)).toMatchObject({ wait: expect.any(Number) })
      expect(yield* Scene.check(next)).toBe(200)
      expect(yield* Scene.tally(provider)).toEqual({ redeemed: 1, repeated: 1, refused: 0 })
    }),
  60_000
)

it.scopedLive("F5 a real process gets the answer that was dropped on the way", () =>
  Effect.gen(function*() {
    const { provider, worker } = yield* Scene.make({ graceWindow: 60_000 })
    yield* provider.next(["dropReply", "dropReply"])
    const one = yield* worker({})
    yield* Scene.ask(one)
    expect(yield* Scene.check(one)).toBe(200)
    expect(yield* Scene.tally(provider)).toEqual({ redeemed: 1, repeated: 2, refused: 0 })
  }), 60_000)
