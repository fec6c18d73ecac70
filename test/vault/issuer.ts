import * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import { ReauthRequired, TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import type * as Vault from "effect-credentials/vault/Vault"
import { Unreachable } from "effect-credentials/vault/VaultError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

export const key = "login"
export const hour = 60 * 60 * 1000

/** The n-th grant of a family: access token `A<n>`, refresh token `R<n>`, valid for an hour. */
export const grant = (n: number, options?: Partial<Grant.Options> & { readonly expiresIn?: number }) =>
  Effect.map(Clock.currentTimeMillis, (now) =>
    Grant.make({
      refreshToken: Redacted.make(`R${n}`),
      ...options,
      token: Token.make({
        value: Redacted.make(`A${n}`),
        issuedAt: now,
        expiresAt: now + (options?.expiresIn ?? hour)
      })
    }))

export const rejected = new ReauthRequired({
  source: "issuer",
  reason: "GrantRejected",
  detail: "invalid_grant",
  hint: "Log in again."
})

export const down = new TransientFailure({
  source: "issuer",
  reason: "ServerError",
  detail: "503",
  hint: "Wait.",
  retryAt: undefined
})

/** An issuer that rotates: each refresh token works once, and using one again revokes the family. */
export const makeIssuer = (first = 0) => {
  const issuer = {
    calls: 0,
    next: first,
    revoked: false,
    /** Runs before the issuer decides, and after it has decided. */
    before: Effect.void as Effect.Effect<void, TokenError>,
    after: Effect.void as Effect.Effect<void, TokenError>,
    redeem: (held: Grant.Grant): Effect.Effect<Grant.Grant, TokenError> =>
      Effect.suspend(() => {
        issuer.calls++
        return issuer.before
      }).pipe(
        Effect.zipRight(Effect.suspend(() => {
          const sent = held.refreshToken === undefined ? "" : Redacted.value(held.refreshToken)
          if (issuer.revoked || sent !== `R${issuer.next}`) {
            issuer.revoked = true
            return Effect.fail(rejected)
          }
          issuer.next++
          return grant(issuer.next)
        })),
        Effect.zipLeft(Effect.suspend(() => issuer.after))
      )
  }
  return issuer
}

/** A vault in memory whose methods can be slowed down and broken, and which counts its writes. */
export const makeStore = Effect.map(MemoryVault.make(), (inner) => {
  const store = {
    writes: 0,
    /** Runs before and after each method. */
    pause: Effect.void as Effect.Effect<void>,
    /** Fails each write before it happens. */
    broken: false,
    /** Fails each write after it happened. */
    forgetful: false,
    unreadable: false,
    inner,
    /** The vault as one more process sees it: the same records, nothing else shared. */
    open: (): Vault.Service => {
      const write = <A>(self: Effect.Effect<A, never> | Effect.Effect<A, Vault.VaultError>) =>
        Effect.suspend((): Effect.Effect<A, Vault.VaultError> => {
          if (store.broken) return Effect.zipRight(store.pause, Effect.fail(lost))
          const done: Effect.Effect<A, Vault.VaultError> = Effect.tap(self, () => {
            store.writes++
            return store.pause
          })
          return Effect.zipRight(
            store.pause,
            Effect.flatMap(done, (value) => store.forgetful ? Effect.fail(lost) : Effect.succeed(value))
          )
        })
      return {
        ...inner,
        identity: { name: "another process" },
        get: (name) =>
          Effect.suspend(() =>
            store.pause.pipe(
              Effect.zipRight(store.unreadable ? Effect.fail(lost) : inner.get(name)),
              Effect.zipLeft(store.pause)
            )
          ),
        set: (name, value) => write(inner.set(name, value)),
        compareAndSet: (name, expected, value) => write(inner.compareAndSet(name, expected, value)),
        remove: (name, options) => write(inner.remove(name, options))
      }
    },
    /** Stores the grant as a login would. */
    put: (held: Grant.Grant) =>
      Effect.flatMap(GrantRecord.encode(GrantRecord.make(held, 0), "test"), (text) => inner.set(key, text)),
    /** What is stored, past all faults. */
    record: Effect.flatMap(
      inner.get(key),
      Option.match({
        onNone: () => Effect.succeedNone,
        onSome: ({ value }) => Effect.asSome(GrantRecord.decode(value, "test"))
      })
    ).pipe(Effect.map(Option.getOrUndefined))
  }
  return store
})

const lost = new Unreachable({ vault: "memory", action: "set", detail: "no answer", hint: "Wait." })

export const accessOf = (token: Token.Token): string => Redacted.value(token.value)
export const refreshOf = (record: GrantRecord.GrantRecord | undefined): string | undefined =>
  record?.grant.refreshToken === undefined ? undefined : Redacted.value(record.grant.refreshToken)
