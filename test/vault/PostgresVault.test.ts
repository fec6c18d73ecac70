import * as PgClient from "@effect/sql-pg/PgClient"
import * as SqlClient from "@effect/sql/SqlClient"
import { describe, expect, it } from "@effect/vitest"
import * as PostgresVault from "effect-credentials/vault/PostgresVault"
import * as SqlVault from "effect-credentials/vault/SqlVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Postgres from "../support/Postgres.js"
import { sharedPostgres } from "../support/sharedPostgres.js"
import { program, secret, shown, stallingProxy, valueOf } from "./sql.js"

/** What is heard under a key, from the moment when the stream listens. */
const hearing = (vault: Vault.Service, key: string) =>
  Effect.gen(function*() {
    const heard = yield* Queue.unbounded<void>()
    const fiber = yield* Effect.forkScoped(
      Stream.runForEach(vault.changes(key), () => Queue.offer(heard, undefined))
    )
    yield* Effect.raceFirst(Queue.take(heard), Fiber.join(fiber))
    const next = Effect.timeoutFail(Queue.take(heard), {
      duration: "12 seconds",
      onTimeout: () => "nothing heard"
    })
    return { next, size: Queue.size(heard), fiber }
  })

const eventually = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.retry(self, Schedule.spaced("50 millis").pipe(Schedule.upTo("10 seconds")))

describe.skipIf(!Postgres.available)("PostgresVault", () => {
  const server = sharedPostgres()
  const database = Effect.flatMap(server, ({ database }) => database)
  const nameOf = (url: Redacted.Redacted<string>): string => new URL(Redacted.value(url)).pathname.slice(1)
  const psql = (url: Redacted.Redacted<string>, statements: string) =>
    Effect.flatMap(server, ({ psql }) => psql(statements, nameOf(url)))

  describe("several vaults on one database", () => {
    it.scopedLive("a conflicting write is a Conflict for the other", () =>
      Effect.gen(function*() {
        const url = yield* database
        const [a, b] = [yield* PostgresVault.make({ url }), yield* PostgresVault.make({ url })]
        const version = yield* a.set("k", secret("one"))
        yield* b.compareAndSet("k", Option.some(version), secret("two"))
        expect((yield* Effect.flip(a.compareAndSet("k", Option.some(version), secret("three"))))._tag).toBe(
          "Conflict"
        )
        expect((yield* Effect.flip(a.remove("k", { version })))._tag).toBe("Conflict")
        expect(yield* valueOf(a, "k")).toBe("two")
      }))

    it.scopedLive("one lease excludes the other, and fences grow across both", () =>
      Effect.gen(function*() {
        const url = yield* database
        const [a, b] = [yield* PostgresVault.make({ url }), yield* PostgresVault.make({ url })]
        const fences = yield* Effect.scoped(Effect.gen(function*() {
          const held = yield* a.lease("k", { term: "1 second" })
          const error = yield* Effect.flip(
            Effect.scoped(b.lease("k", { term: "1 second", wait: "1500 millis" }))
          )
          expect(error._tag).toBe("Locked")
          yield* held.check
          return [held.fence]
        }))
        const next = yield* Effect.scoped(b.lease("k", { term: "1 second", wait: 0 }))
        expect([...fences, next.fence]).toEqual([1, 2])
      }))

    it.scopedLive("a write is told to those who listen to its key, and to no one else", () =>
      Effect.gen(function*() {
        const url = yield* database
        const [a, b] = [yield* PostgresVault.make({ url }), yield* PostgresVault.make({ url })]
        const [k, other] = [yield* hearing(b, "k\0\ud83d"), yield* hearing(b, "K\0\ud83d")]
        const version = yield* a.set("k\0\ud83d", secret("one"))
        yield* k.next
        yield* Effect.flip(a.compareAndSet("k\0\ud83d", Option.none(), secret("not written")))
        yield* a.compareAndSet("k\0\ud83d", Option.some(version), secret("two"))
        yield* k.next
        yield* a.remove("k\0\ud83d")
        yield* k.next
        yield* a.remove("k\0\ud83d")
        yield* Effect.sleep("200 millis")
        expect([yield* k.size, yield* other.size]).toEqual([0, 0])
      }))

    it.scopedLive("a vault over any client tells those who listen", () =>
      Effect.gen(function*() {
        const url = yield* database
        const vault = yield* PostgresVault.make({ url })
        const client = Context.get(yield* Layer.build(PgClient.layer({ url })), SqlClient.SqlClient)
        const plain = yield* Effect.provideService(SqlVault.make(), SqlClient.SqlClient, client)
        const heard = yield* hearing(vault, "k")
        yield* plain.set("k", secret("v"))
        yield* heard.next
        expect(plain.capabilities.announce).toBe("none")
      }))

    it.scopedLive("what is announced holds neither key nor value", () =>
      Effect.gen(function*() {
        const url = yield* database
        const vault = yield* PostgresVault.make({ url })
        const { listen } = Context.get(yield* Layer.build(PgClient.layer({ url })), PgClient.PgClient)
        const said = yield* Effect.fork(Stream.runHead(listen("effect_credentials_changes")))
        yield* Effect.sleep("300 millis")
        yield* vault.set("key-to-hide", secret("value-to-hide"))
        expect(Option.getOrThrow(yield* Fiber.join(said))).toMatch(/^[0-9a-f]{64}$/)
      }))

    it.scopedLive("the connection that listens goes with the last who wants it", () =>
      Effect.gen(function*() {
        const url = yield* database
        const vault = yield* PostgresVault.make({ url })
        const listeners = psql(url, "select count(*) from pg_stat_activity where query ilike 'listen%'")
        const both = Effect.zipRight(hearing(vault, "a"), hearing(vault, "b"))
        yield* Effect.scoped(Effect.zipRight(both, Effect.sync(() => undefined)))
        const ended = Effect.filterOrFail(
          listeners,
          (count) => count === "0",
          (count) => `${count} still listen`
        )
        yield* eventually(ended)
        yield* hearing(vault, "a")
      }))

    it.scopedLive("the longest keys and values of the worst characters are kept", () =>
      Effect.gen(function*() {
        const vault = yield* PostgresVault.make({ url: yield* database })
        const worst = (units: number, from: number) =>
          Array.from({ length: units }, (_, index) => String.fromCharCode(from + (index * 7919) % 20_000))
            .join("")
        const [key, value] = [worst(512, 0x4e00), worst(349_000, 0x4e00)]
        yield* vault.set(key, secret(value))
        expect(yield* valueOf(vault, key)).toBe(value)
        expect(yield* vault.list(key.slice(0, 511))).toEqual([key])
      }))
  })

  describe("identity", () => {
    it.scopedLive("is of the server, the database, the schema and the prefix, and knows no password", () =>
      Effect.gen(function*() {
        const { port, urlOf } = yield* server
        const url = yield* database
        const vault = yield* PostgresVault.make({ url })
        const name = `postgresql:127.0.0.1:${port}/${nameOf(url)}`
        expect(vault.identity.name).toBe(`${name}/public.effect_credentials_`)
        expect((yield* PostgresVault.make({ url })).identity).toBe(vault.identity)
        expect((yield* PostgresVault.make({ url, prefix: "other_" })).identity).not.toBe(vault.identity)
        yield* psql(url, "create schema tenant")
        const tenant = Redacted.make(
          `${Redacted.value(urlOf({ database: nameOf(url) }))}?options=-c%20search_path%3Dtenant`
        )
        const other = yield* PostgresVault.make({ url: tenant })
        expect(other.identity.name).toBe(`${name}/tenant.effect_credentials_`)
        yield* vault.set("k", secret("v"))
        expect(yield* valueOf(other, "k")).toBe(undefined)
      }))
  })

  describe("a set-up that is wrong", () => {
    it.scopedLive("a wrong password is Denied, and shows nowhere", () =>
      Effect.gen(function*() {
        const { urlOf } = yield* server
        const error = yield* Effect.flip(PostgresVault.make({ url: urlOf({ password: "pass-to-hide" }) }))
        expect(error).toMatchObject({ _tag: "Denied", detail: "the database refuses the log-in" })
        expect(shown(error)).not.toContain("to-hide")
      }))

    it.scopedLive("a database that is not there is Denied", () =>
      Effect.gen(function*() {
        const { urlOf } = yield* server
        const error = yield* Effect.flip(PostgresVault.make({ url: urlOf({ database: "nowhere" }) }))
        expect(error).toMatchObject({ _tag: "Denied", hint: "Create it, or correct its name." })
      }))

    it.scopedLive.each([
      "",
      "vault",
      "https://u:pass-to-hide@host/db",
      "postgresql://u:pass-to-hide@host:port/db"
    ])(
      "the URL %j is Misconfigured, and shows nowhere",
      (url) =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(PostgresVault.make({ url: Redacted.make(url) }))
          expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidOption" })
          expect(shown(error)).not.toContain("to-hide")
        })
    )

    it.scopedLive("a port where nobody listens is Unreachable", () =>
      Effect.gen(function*() {
        const url = Redacted.make("postgresql://u:pass-to-hide@127.0.0.1:1/db")
        const error = yield* Effect.flip(PostgresVault.make({ url }))
        expect(error).toMatchObject({
          _tag: "Unreachable",
          detail: "the database did not answer (ECONNREFUSED)"
        })
        expect(shown(error)).not.toContain("to-hide")
      }))

    it.scopedLive("a user without rights is Denied, at the start and later", () =>
      Effect.gen(function*() {
        const { urlOf } = yield* server
        const url = yield* database
        yield* psql(url, "create role guest login password 'guest'")
        const guest = urlOf({ user: "guest", password: "guest", database: nameOf(url) })
        expect(yield* Effect.flip(PostgresVault.make({ url: guest }))).toMatchObject({
          _tag: "Denied",
          detail: "the database refuses this user"
        })
        yield* Effect.scoped(PostgresVault.make({ url }))
        yield* psql(url, "grant select on all tables in schema public to guest")
        const vault = yield* PostgresVault.make({ url: guest })
        expect(yield* valueOf(vault, "k")).toBe(undefined)
        expect((yield* Effect.flip(vault.set("k", secret("v"))))._tag).toBe("Denied")
      }))

    it.scopedLive("a read-only database can be read, and Denied says what to do", () =>
      Effect.gen(function*() {
        const url = yield* database
        yield* Effect.flatMap(PostgresVault.make({ url }), (vault) => vault.set("k", secret("v"))).pipe(
          Effect.scoped
        )
        yield* psql(url, `alter database ${nameOf(url)} set default_transaction_read_only = on`)
        const vault = yield* PostgresVault.make({ url })
        expect(yield* valueOf(vault, "k")).toBe("v")
        const errors = yield* Effect.all([
          Effect.flip(vault.set("k", secret("w"))),
          Effect.flip(vault.remove("k")),
          Effect.flip(Effect.scoped(vault.lease("k", { term: "1 second" }))),
          Effect.flip(PostgresVault.make({ url, prefix: "new_" }))
        ])
        for (const error of errors) {
          expect(error).toMatchObject({ _tag: "Denied", detail: "the database is read-only" })
        }
      }))

    it.scopedLive("options come from configuration", () =>
      Effect.gen(function*() {
        const url = yield* database
        const layer = PostgresVault.layerConfig({ url: Config.redacted("DATABASE_URL") })
        const vault = yield* Vault.Vault.pipe(
          Effect.provide(layer),
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DATABASE_URL", Redacted.value(url)]])))
        )
        expect(vault.capabilities.announce).toBe("shared")
      }))
  })

  describe("tables", () => {
    it.scopedLive(
      "vaults and programs that start at once on an empty database all come up",
      () =>
        Effect.gen(function*() {
          const url = yield* database
          const [programs] = yield* Effect.all([
            Effect.all(Effect.replicate(program(Redacted.value(url), 10), 2), { concurrency: "unbounded" }),
            Effect.all(Effect.replicate(PostgresVault.make({ url, connections: 1 }), 10), {
              concurrency: "unbounded"
            })
          ], { concurrency: "unbounded" })
          expect(programs).toEqual(["done", "done"])
          expect(yield* valueOf(yield* PostgresVault.make({ url }), "count")).toBe("20")
          expect(yield* psql(url, "select id, name from effect_credentials_migrations order by id"))
            .toBe("1|records\n2|leases")
        }),
      60_000
    )

    it.scopedLive("ten vaults that make them at the same moment all come up", () =>
      Effect.gen(function*() {
        const url = yield* database
        const vaults = yield* Effect.all(
          Effect.replicate(PostgresVault.make({ url, connections: 1 }), 10),
          { concurrency: "unbounded" }
        )
        yield* Effect.forEach(vaults, (vault, index) => vault.set(`k${index}`, secret("v")))
        const counts = yield* Effect.forEach(vaults, (vault) =>
          Effect.map(vault.list("k"), ({ length }) => length))
        expect(new Set(counts)).toEqual(new Set([10]))
      }))

    it.scopedLive("those of an older release are brought up to date, and keep their records", () =>
      Effect.gen(function*() {
        const url = yield* database
        yield* psql(
          url,
          `create table effect_credentials_migrations (id integer not null primary key, name text not null);
          create table effect_credentials_records
            (key text collate "C" not null primary key, value text not null, version text not null);
          insert into effect_credentials_migrations values (1, 'records');
          insert into effect_credentials_records values ('old', 'kept', 'v1')`
        )
        const vault = yield* PostgresVault.make({ url })
        expect(yield* valueOf(vault, "old")).toBe("kept")
        yield* Effect.scoped(vault.lease("old", { term: "1 second" }))
      }))

    it.scopedLive("those of a newer release are refused, and left as they are", () =>
      Effect.gen(function*() {
        const url = yield* database
        yield* Effect.scoped(PostgresVault.make({ url }))
        yield* psql(
          url,
          `insert into effect_credentials_migrations values (99, 'of the future');
          drop table effect_credentials_leases`
        )
        const error = yield* Effect.flip(PostgresVault.make({ url }))
        expect(error._tag).toBe("Unsupported")
        expect(error.message).toContain("newer release")
        expect(yield* psql(url, "select to_regclass('effect_credentials_leases') is null")).toBe("t")
      }))

    it.scopedLive("a start that fails half-way leaves nothing", () =>
      Effect.gen(function*() {
        const url = yield* database
        yield* psql(
          url,
          `create function refuse() returns event_trigger language plpgsql as
            $$ begin
              if exists (select 1 from pg_event_trigger_ddl_commands() where object_identity like '%leases%')
              then raise exception 'driver message'; end if;
            end $$;
          create event trigger refuse on ddl_command_end execute function refuse()`
        )
        const error = yield* Effect.flip(PostgresVault.make({ url }))
        expect(shown(error)).not.toContain("driver message")
        expect(yield* psql(url, "select count(*) from pg_tables where tablename like 'effect%'")).toBe("0")
        yield* psql(url, "drop event trigger refuse")
        yield* PostgresVault.make({ url })
      }))

    it.scopedLive("a corrupt row is Corrupt, and no row of it is shown", () =>
      Effect.gen(function*() {
        const url = yield* database
        const vault = yield* PostgresVault.make({ url })
        yield* vault.set("k", secret("v"))
        yield* psql(url, "update effect_credentials_records set value = 'caf\u00e9-to-hide'")
        const error = yield* Effect.flip(vault.get("k"))
        expect(error._tag).toBe("Corrupt")
        expect(shown(error)).not.toContain("to-hide")
        yield* psql(
          url,
          "alter table effect_credentials_records add constraint odd check (value <> 'odd-to-hide')"
        )
        const refused = yield* Effect.flip(vault.set("k", secret("odd-to-hide")))
        expect(refused._tag).toBe("Corrupt")
        expect(shown(refused)).not.toContain("to-hide")
      }))
  })

  describe("transactions", () => {
    it.scopedLive("a write outlives the caller's transaction", () =>
      Effect.gen(function*() {
        const url = yield* database
        const client = Context.get(yield* Layer.build(PgClient.layer({ url })), SqlClient.SqlClient)
        const vault = yield* Effect.provideService(SqlVault.make(), SqlClient.SqlClient, client)
        yield* vault.set("k", secret("rotated")).pipe(
          Effect.zipRight(Effect.fail("rolled back")),
          client.withTransaction,
          Effect.flip
        )
        expect(yield* valueOf(vault, "k")).toBe("rotated")
      }))

    it.scopedLive("a stricter isolation loses no update", () =>
      Effect.gen(function*() {
        const url = yield* database
        yield* psql(url, `alter database ${nameOf(url)} set default_transaction_isolation = serializable`)
        const vault = yield* PostgresVault.make({ url })
        const increment = Effect.gen(function*() {
          const entry = yield* vault.get("n")
          const count = Option.match(entry, {
            onNone: () => 0,
            onSome: ({ value }) => Number(Redacted.value(value))
          })
          yield* vault.compareAndSet(
            "n",
            Option.map(entry, ({ version }) => version),
            secret(String(count + 1))
          )
        }).pipe(Effect.retry({ while: ({ _tag }) => _tag === "Conflict" }))
        yield* Effect.all(Effect.replicate(increment, 20), { concurrency: "unbounded" })
        expect(yield* valueOf(vault, "n")).toBe("20")
      }))

    it.scopedLive("connections that are cut during writes leave whole records", () =>
      Effect.gen(function*() {
        const url = yield* database
        const vault = yield* PostgresVault.make({ url })
        const valueAt = (index: number) => String(index % 3).repeat(300_000)
        const values = [0, 1, 2].map(valueAt)
        yield* vault.set("k", secret(valueAt(0)))
        const cut = psql(
          url,
          `select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()`
        )
        const cutting = yield* Effect.fork(Effect.repeat(cut, Schedule.recurs(20)))
        const outcomes: Array<string> = []
        while ((yield* Fiber.poll(cutting))._tag === "None") {
          const value = valueAt(outcomes.length)
          outcomes.push(
            yield* Effect.match(vault.set("k", secret(value)), {
              onFailure: (error) => error._tag,
              onSuccess: () => "done"
            })
          )
          const found = yield* Effect.option(valueOf(vault, "k"))
          if (found._tag === "Some") expect(values).toContain(found.value)
        }
        expect(new Set(outcomes)).toEqual(new Set(["done", "Unreachable"]))
        yield* eventually(vault.set("k", secret("whole")))
        expect(yield* valueOf(vault, "k")).toBe("whole")
      }))
  })

  describe("a write that was given up", () => {
    /** Holds the row of this key, until it is released. */
    const hold = (url: Redacted.Redacted<string>, key: string) =>
      Effect.gen(function*() {
        const client = Context.get(yield* Layer.build(PgClient.layer({ url })), SqlClient.SqlClient)
        const [held, released] = [yield* Effect.makeLatch(), yield* Effect.makeLatch()]
        const fiber = yield* Effect.forkScoped(
          client`select 1 from effect_credentials_records where key = ${key} for update`.pipe(
            Effect.zipRight(held.open),
            Effect.zipRight(released.await),
            client.withTransaction
          )
        )
        yield* held.await
        return Effect.zipRight(released.open, Fiber.join(fiber))
      })

    it.scopedLive("for a locked row is not sent later, and other keys go on meanwhile", () =>
      Effect.gen(function*() {
        const url = yield* database
        const a = yield* PostgresVault.make({ url, timeLimit: "1 second", connections: 3 })
        const b = yield* PostgresVault.make({ url })
        yield* a.set("x", secret("first"))
        const release = yield* hold(url, "x")
        const stuck = yield* Effect.fork(
          Effect.all(Effect.replicate(Effect.flip(a.set("x", secret("old"))), 9), {
            concurrency: "unbounded"
          })
        )
        yield* Effect.sleep("100 millis")
        yield* a.set("k", secret("old"))
        for (const error of yield* Fiber.join(stuck)) {
          expect(["Locked", "Unreachable"]).toContain(error._tag)
        }
        yield* b.set("k", secret("NEW"))
        yield* release
        yield* Effect.sleep("500 millis")
        expect([yield* valueOf(b, "k"), yield* valueOf(b, "x")]).toEqual(["NEW", "first"])
      }))

    it.scopedLive("leaves no statement at the server, and no connection that is used again", () =>
      Effect.gen(function*() {
        const url = yield* database
        const vault = yield* PostgresVault.make({ url, timeLimit: "600 millis", connections: 1 })
        yield* vault.set("x", secret("first"))
        yield* psql(
          url,
          `create function slow() returns trigger language plpgsql as
            $$ begin perform pg_sleep(5); return new; end $$;
          create trigger slow before update on effect_credentials_records
            for each row when (new.key = 'x') execute function slow()`
        )
        yield* Effect.flip(vault.set("x", secret("old")))
        expect(yield* psql(url, "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"))
          .toBe("0")
        yield* vault.set("k", secret("v"))
        expect(yield* valueOf(vault, "x")).toBe("first")
      }))

    it.scopedLive.each(["set", "remove"] as const)(
      "a %s that is held up on its way loses to a newer write",
      (how) =>
        Effect.gen(function*() {
          const url = yield* database
          const { port } = yield* server
          const proxy = yield* stallingProxy(port)
          const detour = Redacted.make(Redacted.value(url).replace(`:${port}/`, `:${proxy.port}/`))
          const slow = yield* PostgresVault.make({ url: detour, timeLimit: "500 millis", connections: 1 })
          const vault = yield* PostgresVault.make({ url })
          yield* vault.set("key", secret("first"))
          for (const passing of [0, 1]) {
            yield* slow.get("key")
            proxy.stallAfter(passing)
            const late = Effect.asVoid(how === "set" ? slow.set("key", secret("old")) : slow.remove("key"))
            expect((yield* Effect.flip(late))._tag).toBe("Unreachable")
            yield* vault.set("key", secret("NEW"))
            proxy.release()
            yield* Effect.sleep("500 millis")
            expect(yield* valueOf(vault, "key")).toBe("NEW")
          }
        })
    )

    it.scopedLive("connections that were cut while nobody used them cost no call", () =>
      Effect.gen(function*() {
        const url = yield* database
        const vault = yield* PostgresVault.make({ url })
        yield* Effect.all(Effect.replicate(vault.get("k"), 10), { concurrency: "unbounded" })
        yield* psql(
          url,
          `select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and pid <> pg_backend_pid()`
        )
        yield* Effect.sleep("200 millis")
        yield* vault.set("k", secret("v"))
        expect(yield* valueOf(vault, "k")).toBe("v")
      }))
  })

  describe("clocks", () => {
    const ahead = (millis: number) =>
      Effect.map(Effect.clock, (clock): Clock.Clock => ({
        ...clock,
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis),
        currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + BigInt(millis) * 1_000_000n),
        unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + millis,
        unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + BigInt(millis) * 1_000_000n,
        sleep: (duration) => clock.sleep(duration)
      }))

    it.scopedLive.each([3_600_000, -3_600_000])(
      "a program whose clock is %i ms off takes no lease from a living owner, and loses none",
      (millis) =>
        Effect.gen(function*() {
          const url = yield* database
          const vault = yield* PostgresVault.make({ url })
          const skewed = yield* ahead(millis)
          const now = yield* Clock.currentTimeMillis
          const owner = yield* vault.lease("k", { term: "1 second" })
          const taking = Effect.scoped(vault.lease("k", { term: "1 second", wait: "2 seconds" }))
          expect((yield* Effect.flip(Effect.withClock(taking, skewed)))._tag).toBe("Locked")
          yield* owner.check
          const other = yield* Effect.withClock(vault.lease("other", { term: "1 second" }), skewed)
          expect(Math.abs(other.acquiredAt - now)).toBeLessThan(60_000)
          expect(
            (yield* Effect.flip(Effect.scoped(vault.lease("other", { term: "1 second", wait: "2 seconds" }))))
              ._tag
          ).toBe("Locked")
        })
    )
  })

  describe("an outage", () => {
    // Each on a server of its own, since it goes.
    it.scopedLive.each(["fast", "kill"] as const)(
      "a server that is gone (%s) is Unreachable, and then it works again",
      (how) =>
        Effect.gen(function*() {
          const { start, stop, url } = yield* Postgres.make
          const vault = yield* PostgresVault.make({ url })
          yield* vault.set("k", secret("v"))
          const heard = yield* hearing(vault, "k")
          yield* stop(how)
          const errors = [
            yield* Effect.flip(vault.get("k")),
            yield* Effect.flip(vault.set("k", secret("lost")))
          ]
          for (const error of errors) expect(error._tag).toBe("Unreachable")
          expect((yield* Effect.flip(Effect.scoped(vault.lease("k", { term: "1 second" }))))._tag).toBe(
            "Unreachable"
          )
          expect((yield* Effect.flip(PostgresVault.make({ url })))._tag).toBe("Unreachable")
          yield* start
          yield* eventually(vault.get("k"))
          expect(yield* valueOf(vault, "k")).toBe("v")
          // There may have been a write meanwhile, so all who listen are told to look.
          yield* heard.next
          yield* vault.set("k", secret("w"))
          yield* heard.next
          expect(yield* Fiber.poll(heard.fiber)).toEqual(Option.none())
        }),
      60_000
    )

    it.scopedLive(
      "a server that takes connections and never answers is Unreachable in time, and then it works again",
      () =>
        Effect.gen(function*() {
          const { freeze, thaw, url } = yield* Postgres.make
          const options = { url, timeLimit: "500 millis" } as const
          const vault = yield* PostgresVault.make(options)
          yield* vault.set("k", secret("v"))
          const heard = yield* hearing(vault, "k")
          yield* Effect.acquireRelease(freeze, () => thaw)
          const get = Effect.asVoid(vault.get("k"))
          const set = Effect.asVoid(vault.set("k", secret("w")))
          const list = Effect.asVoid(vault.list(""))
          const work = [get, set, list, Effect.asVoid(PostgresVault.make(options)), get, get]
          for (const effect of work) {
            const [took, error] = yield* Effect.timed(Effect.flip(effect))
            expect(error._tag).toBe("Unreachable")
            expect(Duration.toMillis(took)).toBeLessThan(1500)
          }
          const [left] = yield* Effect.timed(Effect.flatMap(Effect.fork(vault.get("k")), Fiber.interrupt))
          expect(Duration.toMillis(left)).toBeLessThan(200)
          yield* thaw
          yield* eventually(vault.set("k", secret("x")))
          expect(yield* valueOf(vault, "k")).toBe("x")
          yield* heard.next
        }),
      60_000
    )

    it.scopedLive(
      "a listener whose connection is cut hears again, and is told to look",
      () =>
        Effect.gen(function*() {
          const url = yield* database
          const vault = yield* PostgresVault.make({ url })
          const heard = yield* hearing(vault, "k")
          yield* psql(
            url,
            "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'"
          )
          yield* heard.next
          yield* vault.set("k", secret("v"))
          yield* heard.next
        }),
      60_000
    )
  })
})
