/** What announcements promise. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Vault from "../../vault/Vault.js"
import type { VaultError } from "../../vault/Vault.js"
import {
  announcing,
  comparing,
  ConformanceFailure,
  define,
  expectError,
  notAnnouncing,
  onKey,
  secret,
  versionOf
} from "./vaultCase.js"
import type { Case } from "./vaultCase.js"

/** More than any buffer that a stream may have. */
const rounds = 20

/** Waits for an element, and then until no more come: several writes may be told as one, and one as several. */
export const told = (
  heard: Queue.Dequeue<void>,
  of: string,
  quiet = 50
): Effect.Effect<void, ConformanceFailure> =>
  Queue.take(heard).pipe(
    Effect.timeoutFail({
      duration: "5 seconds",
      onTimeout: () => new ConformanceFailure({ detail: `changes must give an element ${of}` })
    }),
    Effect.zipRight(Effect.sleep(quiet)),
    Effect.zipRight(Queue.takeAll(heard)),
    Effect.asVoid
  )

/** What `changes` tells from now on. */
export const listen = (
  vault: Vault.Service,
  key: string
): Effect.Effect<Queue.Dequeue<void>, never, Scope.Scope> =>
  Effect.tap(
    Queue.unbounded<void>(),
    (heard) => Effect.forkScoped(Stream.runForEach(vault.changes(key), () => Queue.offer(heard, undefined)))
  )

export const announcingCases: ReadonlyArray<Case> = [
  onKey(
    "changes tells that it listens, and then of every kind of write",
    announcing,
    (vault, key) =>
      Effect.scoped(Effect.gen(function*() {
        const heard = yield* listen(vault, key)
        yield* told(heard, "as soon as it listens")
        yield* vault.set(key, secret("one"))
        yield* told(heard, "after a set")
        if (comparing(vault.capabilities)) {
          const version = yield* versionOf(vault, key)
          yield* vault.compareAndSet(key, Option.some(version), secret("two"))
          yield* told(heard, "after a compareAndSet")
        }
        yield* vault.remove(key)
        yield* told(heard, "after a remove")
      }))
  ),
  onKey(
    "changes goes on telling",
    announcing,
    (vault, key) =>
      Effect.scoped(Effect.gen(function*() {
        const heard = yield* listen(vault, key)
        yield* told(heard, "as soon as it listens")
        for (let round = 0; round < rounds; round++) {
          yield* vault.set(key, secret(String(round)))
          yield* told(heard, "after each of many writes", 20)
        }
      }))
  ),
  define("without announcements, changes is Unsupported", notAnnouncing, (vault) => {
    const first: Effect.Effect<unknown, VaultError> = Stream.runHead(vault.changes("conformance"))
    return expectError(first, "Unsupported", "changes")
  })
]
