import { describe, expect, it } from "@effect/vitest"
import * as VaultConformance from "effect-credentials/testing/VaultConformance"
import * as Leasing from "effect-credentials/vault/internal/leasing"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import { Locked } from "effect-credentials/vault/VaultError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

type Break = (vault: Vault.Service) => Partial<Vault.Service>
type Broken = readonly [what: string, noticed: string, break_: Break]

const fences = "the fence grows from owner to owner, and the time does not go back"
const announced = "changes tells that it listens, and then of every kind of write"
const takenOver = "a lease of an owner without signs of life is taken over after its term"
const keptAlive = "a lease lives on for many terms while its owner does"

const hostileKeys = "hostile keys are different keys"
const hostileValues = "hostile values come back unchanged"
const emptyKey = "an empty key is Unsupported"
const longKey = "a key of 513 characters is Unsupported"
const largest = "a value of the declared length comes back whole"
const listed = "list gives exactly the keys with the prefix"
const goesOn = "changes goes on telling"
const shownNowhere = "no error shows a value"

/** What UTF-8 makes of a text: lone surrogates are replaced. */
const wellFormed = (text: string) => new TextDecoder().decode(new TextEncoder().encode(text))
const texts = (change: (text: string) => string): Break => (vault) => ({
  set: (key, value) => vault.set(key, Redacted.make(change(Redacted.value(value))))
})
const onceSaid = <A>(error: (shown: string) => A) => (vault: Vault.Service): Partial<Vault.Service> => ({
  set: (key, value) =>
    Effect.mapError(vault.set(key, value), (wrong) => Object.assign(wrong, error(Redacted.value(value))))
})
/** A pattern as `LIKE` and a shell have them. */
const matches = (pattern: RegExp, by: string) => (vault: Vault.Service): Partial<Vault.Service> => ({
  list: (prefix) =>
    Effect.map(vault.list(""), (keys) => {
      const literal = prefix.replace(/[\\^$*+?.()|[\]{}%]/g, (one) => pattern.test(one) ? by : `\\${one}`)
      return keys.filter((key) => new RegExp(`^${literal}`, "s").test(key))
    })
})
/** A method that does not look at the key. */
const careless = (method: "set" | "remove" | "compareAndSet" | "lease"): Break => (vault) => {
  const key = (text: string) => text.length > 0 && text.length <= 512 ? text : "instead"
  switch (method) {
    case "set":
      return { set: (text, value) => vault.set(key(text), value) }
    case "remove":
      return { remove: (text, options) => vault.remove(key(text), options) }
    case "compareAndSet":
      return { compareAndSet: (text, expected, value) => vault.compareAndSet(key(text), expected, value) }
    case "lease":
      return { lease: (text, options) => vault.lease(key(text), options) }
  }
}

const failsAfter = (end: number) =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    now < end
      ? Effect.void
      : Effect.fail(new Locked({ vault: "memory", action: "lease", detail: "lost", hint: "Try again." })))

/** `changes` tells nothing from this write on until the next `set`. */
const silent = (vault: Vault.Service, method: "compareAndSet" | "remove"): Partial<Vault.Service> => {
  let isSilent = false
  const saying = <A, E>(is: boolean, self: Effect.Effect<A, E>) =>
    Effect.suspend(() => {
      isSilent = is
      return self
    })
  return {
    set: (key, value) => saying(false, vault.set(key, value)),
    changes: (key) =>
      Stream.concat(Stream.void, Stream.filter(Stream.drop(vault.changes(key), 1), () => !isSilent)),
    ...(method === "remove"
      ? { remove: (key, options) => saying(true, vault.remove(key, options)) }
      : { compareAndSet: (key, expected, value) => saying(true, vault.compareAndSet(key, expected, value)) })
  }
}

/** Leases with terms, in memory. */
const operations = (): Leasing.Operations => {
  const held = new Map<string, { readonly owner: string; readonly until: number }>()
  let fence = 0
  const isHeld = (key: string, now: number) => (held.get(key)?.until ?? 0) > now
  return {
    take: (key, owner, term) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if (isHeld(key, now)) return Option.none()
        held.set(key, { owner, until: now + term })
        return Option.some({ fence: ++fence, at: now })
      }),
    extend: (key, owner, term) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        if (held.get(key)?.owner !== owner || !isHeld(key, now)) return false
        held.set(key, { owner, until: now + term })
        return true
      }),
    release: (key, owner) =>
      Effect.sync(() => {
        if (held.get(key)?.owner === owner) held.delete(key)
      })
  }
}

/** A vault of which leases have terms, with these operations in the place of its own. */
const leased = (break_: (sound: Leasing.Operations) => Partial<Leasing.Operations>): Break => (vault) => {
  const sound = operations()
  return {
    capabilities: { ...vault.capabilities, lease: "shared" },
    lease: Leasing.make("memory", { ...sound, ...break_(sound) })
  }
}

/** Backends that break one promise each, and a case that must notice. */
const broken: ReadonlyArray<Broken> = [
  ["compareAndSet ignores the version", "concurrent compareAndSet loses no update", (vault) => ({
    compareAndSet: (key, _, value) => vault.set(key, value)
  })],
  ["compareAndSet creates twice", "compareAndSet on nothing creates once", (vault) => ({
    compareAndSet: (key, expected, value) =>
      Option.isNone(expected) ? vault.set(key, value) : vault.compareAndSet(key, expected, value)
  })],
  [
    "compareAndSet looks first and writes later",
    "of many who compare and set at one version, one wins",
    (vault) => ({
      compareAndSet: (key, expected, value) =>
        Effect.filterOrElse(
          Effect.zipLeft(vault.get(key), Effect.yieldNow()),
          (found) => Option.getOrUndefined(found)?.version === Option.getOrUndefined(expected),
          () => vault.compareAndSet(key, expected, value)
        ).pipe(Effect.zipRight(vault.set(key, value)))
    })
  ],
  ["remove ignores the version", "remove by version removes that version only", (vault) => ({
    remove: (key) => vault.remove(key)
  })],
  ["keys lose their case", "hostile keys are different keys", (vault) => ({
    get: (key) => vault.get(key.toLowerCase()),
    set: (key, value) => vault.set(key.toLowerCase(), value)
  })],
  ["values are trimmed", "hostile values come back unchanged", (vault) => ({
    set: (key, value) => vault.set(key, Redacted.make(Redacted.value(value).trim()))
  })],
  ["the version is the value's", "every write makes a new version", (vault) => ({
    set: (key, value) => Effect.as(vault.set(key, value), "1"),
    get: (key) => Effect.map(vault.get(key), Option.map((entry) => ({ ...entry, version: "1" })))
  })],
  [
    "list ignores the prefix",
    "list gives exactly the keys with the prefix",
    (vault) => ({ list: () => vault.list("") })
  ],
  ["a set is two writes", "an interrupted set has happened in whole or not at all", (vault) => ({
    set: (key, value) =>
      vault.set(key, Redacted.make(Redacted.value(value).slice(0, 2))).pipe(
        Effect.zipLeft(Effect.replicateEffect(Effect.yieldNow(), 5)),
        Effect.zipRight(vault.set(key, value))
      )
  })],
  [
    "a set is two writes, with time between",
    "a write that is interrupted at any moment leaves the old value or the new",
    (vault) => ({
      set: (key, value) =>
        vault.set(key, Redacted.make(Redacted.value(value).slice(0, 20))).pipe(
          Effect.zipLeft(Effect.sleep("1 millis")),
          Effect.zipRight(vault.set(key, value))
        )
    })
  ],
  ["a set removes first", "a reader sees a whole value during every write", (vault) => ({
    set: (key, value) =>
      vault.remove(key).pipe(
        Effect.zipLeft(Effect.replicateEffect(Effect.yieldNow(), 3)),
        Effect.zipRight(vault.set(key, value))
      )
  })],
  ["a set shows what it has so far", "a reader sees a whole value during every write", (vault) => ({
    set: (key, value) =>
      vault.set(key, Redacted.make(Redacted.value(value).slice(0, 50))).pipe(
        Effect.zipLeft(Effect.replicateEffect(Effect.yieldNow(), 3)),
        Effect.zipRight(vault.set(key, value))
      )
  })],
  ["a lease excludes nobody", "a lease excludes all others", () => ({
    lease: (key) => Effect.succeed({ key, fence: 1, acquiredAt: 0, check: Effect.void })
  })],
  ["a lease is never given back", "closing the scope gives the lease back", (vault) => ({
    lease: (key, options) =>
      Effect.flatMap(Scope.make(), (forever) => Scope.extend(vault.lease(key, options), forever))
  })],
  ["all owners have one fence", fences, (vault) => ({
    lease: (key, options) => Effect.map(vault.lease(key, options), (lease) => ({ ...lease, fence: 7 }))
  })],
  ["the time goes back", fences, (vault) => ({
    lease: (key, options) =>
      Effect.map(vault.lease(key, options), (lease) => ({ ...lease, acquiredAt: -lease.acquiredAt }))
  })],
  ["a check fails too early", "a lease that is held passes its check", (vault) => ({
    lease: (key, options) =>
      Effect.zipWith(
        vault.lease(key, options),
        Clock.currentTimeMillis,
        (lease, start) => ({ ...lease, check: failsAfter(start + 100) })
      )
  })],
  ["nobody waits for long", "everybody who waits for a lease is served", (vault) => ({
    lease: (key, options) => vault.lease(key, { ...options, wait: "10 millis" })
  })],
  [
    "a lease is taken over too early",
    takenOver,
    leased(({ take }) => ({
      take: (key, owner, term) => take(key, owner, term / 2)
    }))
  ],
  [
    "the lease of a dead owner stands for ever",
    takenOver,
    leased(({ take }) => ({
      take: (key, owner) => take(key, owner, 1_000_000)
    }))
  ],
  [
    "a dead owner never learns that it lost its lease",
    takenOver,
    leased(() => ({
      extend: () => Effect.succeed(true)
    }))
  ],
  ["signs of life change nothing", keptAlive, leased(() => ({ extend: () => Effect.succeed(true) }))],
  ["signs of life are refused", keptAlive, leased(() => ({ extend: () => Effect.succeed(false) }))],
  ["any key is taken", emptyKey, () => ({ get: () => Effect.succeedNone })],
  ...(["set", "remove", "compareAndSet", "lease"] as const).flatMap((method): ReadonlyArray<Broken> => [
    [`${method} takes an empty key`, emptyKey, careless(method)],
    [`${method} takes too long a key`, longKey, careless(method)]
  ]),
  ["changes takes an empty key", emptyKey, (vault) => ({ changes: () => vault.changes("any") })],
  ["keys lose halves of pairs", hostileKeys, (vault) => ({
    get: (key) => vault.get(wellFormed(key)),
    set: (key, value) => vault.set(wellFormed(key), value)
  })],
  ["values lose halves of pairs", hostileValues, texts(wellFormed)],
  ["large values are cut", largest, texts((text) => text.slice(0, 300_000))],
  ["large values are cut by a byte", largest, texts((text) => text.slice(0, 1024 * 1024 - 1))],
  ["large values are dropped", largest, (vault) => ({
    set: (key, value) => Redacted.value(value).length > 400_000 ? Effect.succeed("1") : vault.set(key, value)
  })],
  ["list is cut", listed, (vault) => ({
    list: (prefix) => Effect.map(vault.list(prefix), (keys) => keys.slice(0, 25))
  })],
  ["list gives a key twice", listed, (vault) => ({
    list: (prefix) => Effect.map(vault.list(prefix), (keys) => [...keys, ...keys.slice(0, 1)])
  })],
  ["list drops keys beyond ASCII", listed, (vault) => ({
    list: (prefix) => Effect.map(vault.list(prefix), (keys) => keys.filter((key) => /^[ -~]*$/.test(key)))
  })],
  ["list takes * for a pattern", listed, matches(/\*/, ".*")],
  ["list takes ? for a pattern", listed, matches(/\?/, ".")],
  ["list takes % for a pattern", listed, matches(/%/, ".*")],
  ["list takes . for a pattern", listed, matches(/\./, ".")],
  ["list takes _ for a pattern", listed, (vault) => ({
    list: (prefix) =>
      Effect.map(
        vault.list(""),
        (keys) => keys.filter((key) => [...prefix].every((one, index) => one === "_" || key[index] === one))
      )
  })],
  ["an error has the value in its detail", shownNowhere, onceSaid((detail) => ({ detail }))],
  ["an error has the value in a cause", shownNowhere, onceSaid((text) => ({ cause: new Error(text) }))],
  ["an error has the value in a field", shownNowhere, onceSaid((text) => ({ asked: { with: [text] } }))],
  ["changes goes deaf after some elements", goesOn, (vault) => ({
    changes: (key) => Stream.concat(Stream.take(vault.changes(key), 9), Stream.never)
  })],
  ["changes waits for a write", announced, (vault) => ({
    changes: (key) => Stream.drop(vault.changes(key), 1)
  })],
  ["changes tells nothing after the first", announced, () => ({
    changes: () => Stream.concat(Stream.void, Stream.never)
  })],
  ["changes tells of no compareAndSet", announced, (vault) => silent(vault, "compareAndSet")],
  ["changes tells of no removal", announced, (vault) => silent(vault, "remove")],
  ["changes works although it is said not to", "without announcements, changes is Unsupported", (vault) => ({
    capabilities: { ...vault.capabilities, announce: "none" }
  })]
]

const run = (name: string, break_: Break) =>
  Effect.gen(function*() {
    const found = VaultConformance.cases.find((one) => one.name === name)
    const vault = Effect.map(MemoryVault.make(), (vault) => ({ ...vault, ...break_(vault) }))
    return yield* Effect.either(
      Effect.provide(found?.run ?? Effect.die(`no case ${name}`), Layer.effect(Vault.Vault, vault))
    )
  })

describe.concurrent("the suite notices a vault in which", () => {
  for (const [what, noticed, break_] of broken) {
    it.live(
      what,
      () => Effect.map(run(noticed, break_), (result) => expect(result._tag).toBe("Left")),
      30_000
    )
  }
})

describe("the suite is content with a sound vault whose leases have terms", () => {
  for (const { name } of VaultConformance.cases.filter(({ name }) => /lease/.test(name))) {
    it.live(
      name,
      () => Effect.map(run(name, leased(() => ({}))), (result) => expect(result._tag).toBe("Right"))
    )
  }
})

/** Two vaults of which the second is not sound, and a case that must notice. */
const apart: ReadonlyArray<readonly [what: string, noticed: string, break_: Break]> = [
  ["sees nothing of the other", "what one vault writes, the other reads", () => ({
    get: () => Effect.succeedNone
  })],
  ["lists nothing of the other", "what one vault writes, the other reads", () => ({
    list: () => Effect.succeed([])
  })],
  ["has versions of its own", "what one vault writes, the other reads", (vault) => ({
    get: (key) =>
      Effect.map(vault.get(key), Option.map((entry) => ({ ...entry, version: `my ${entry.version}` })))
  })],
  ["looks first and writes later", "compareAndSet of two vaults loses no update", (vault) => ({
    compareAndSet: (key, _, value) => Effect.zipRight(Effect.yieldNow(), vault.set(key, value))
  })],
  ["has leases of its own", "a lease of one vault excludes the other", (vault) => ({
    lease: (key, options) => vault.lease(`my ${key}`, options)
  })],
  ["has fences of its own", "a lease of one vault excludes the other", (vault) => ({
    lease: (key, options) => Effect.map(vault.lease(key, options), (lease) => ({ ...lease, fence: 1 }))
  })],
  ["hears nothing of the other", "changes of one vault tells of writes of the other", () => ({
    changes: () => Stream.concat(Stream.void, Stream.never)
  })]
]

const together = (name: string, break_: Break) =>
  Effect.gen(function*() {
    const memory = yield* MemoryVault.make()
    const all = { compareAndSet: "shared", lease: "shared", announce: "shared" } as const
    const sound: Vault.Service = { ...memory, capabilities: { ...memory.capabilities, ...all } }
    let opened = 0
    const open = Effect.sync(() => ++opened === 2 ? { ...sound, ...break_(sound) } : sound)
    const found = VaultConformance.sharedCases.find((one) => one.name === name)
    return yield* Effect.either(found?.run(open) ?? Effect.die(`no case ${name}`))
  })

describe.concurrent("the suite notices two vaults of which one", () => {
  for (const [what, noticed, break_] of apart) {
    it.live(
      what,
      () => Effect.map(together(noticed, break_), (result) => expect(result._tag).toBe("Left")),
      30_000
    )
  }
})

describe.concurrent("the suite is content with two sound vaults, so far as", () => {
  for (const { name } of VaultConformance.sharedCases) {
    it.live(name, () => Effect.map(together(name, () => ({})), (result) => expect(result._tag).toBe("Right")))
  }
})

it("the cases that need CrashPoint are known", () => {
  const named = VaultConformance.cases.filter(({ simulatesDeath }) => simulatesDeath)
  expect(named.map(({ name }) => name)).toEqual([takenOver])
})
