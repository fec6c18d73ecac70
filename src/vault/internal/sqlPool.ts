/** Connections to a database server, none of which is used again after a statement on it was given up. */
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Pool from "effect/Pool"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { refuse } from "./sqlErrors.js"

/** Milliseconds. */
export interface ServerLimits {
  readonly lock: number
  readonly statement: number
}

/**
 * The server gives up before we do, so that it never works on what nobody waits for. It waits only briefly
 * for a lock: the statement is tried again, and others get the connection meanwhile.
 */
export const serverLimits = (limit: Duration.Duration): ServerLimits => {
  const part = (share: number) => Math.max(1, Math.floor(Duration.toMillis(limit) * share))
  return { lock: part(0.05), statement: part(0.75) }
}

/**
 * Every statement runs on a connection that nothing else runs on, and nothing waits in line behind it. One
 * that is interrupted closes its connection, as does one that says the connection is broken.
 */
export const make = (
  open: Effect.Effect<Connection, SqlError, Scope.Scope>,
  size: number
): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.map(
    Pool.makeWithTTL({
      acquire: open,
      min: 0,
      max: size,
      timeToLive: "1 minute",
      timeToLiveStrategy: "usage"
    }),
    (pool) => {
      const through: Through = (use) => Effect.retry(onOne(pool, use), { while: isUnsent })
      return {
        execute: (...args) => through((connection) => connection.execute(...args)),
        executeRaw: (...args) => through((connection) => connection.executeRaw(...args)),
        executeValues: (...args) => through((connection) => connection.executeValues(...args)),
        executeUnprepared: (...args) => through((connection) => connection.executeUnprepared(...args)),
        executeStream: () => Stream.die("a vault needs no streams")
      }
    }
  )

type Through = <A>(use: (connection: Connection) => Effect.Effect<A, SqlError>) => Effect.Effect<A, SqlError>

/** The statement is not interrupted itself: the driver would ask for its cancellation on the same line. */
const onOne = <A>(
  pool: Pool.Pool<Connection, SqlError>,
  use: (connection: Connection) => Effect.Effect<A, SqlError>
): Effect.Effect<A, SqlError> =>
  Effect.scoped(Effect.flatMap(Pool.get(pool), (connection) => {
    const discard = Pool.invalidate(pool, connection)
    return Effect.forkDaemon(use(connection)).pipe(
      Effect.flatMap(Fiber.join),
      Effect.tapError((error) => isBroken(error) ? discard : Effect.void),
      Effect.onInterrupt(() => discard)
    )
  }))

const isBroken = (error: SqlError): boolean => refuse("", "get")(error)._tag === "Unreachable"

/** The connection had broken before the statement came, so another one may have it. */
const isUnsent = ({ cause }: SqlError): boolean =>
  cause instanceof Error && cause.message.endsWith(" is not queryable")
