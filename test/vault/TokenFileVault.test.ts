import * as FileSystem from "@effect/platform/FileSystem"
import { describe, expect, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as TokenFileVault from "effect-credentials/vault/TokenFileVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as VaultKey from "effect-credentials/vault/VaultKey"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { platform } from "./temporary.js"
import { secretsOf, seeded, stored, temporary, value } from "./tokenFiles.js"
import type { Setting } from "./tokenFiles.js"

const inHome = <A, E>(name: string, test: (setting: Setting) => Effect.Effect<A, E>) =>
  it.live(name, () => Effect.scoped(Effect.flatMap(temporary, test)).pipe(Effect.provide(platform)))

const modeOf = ({ fs }: Setting, path: string) => Effect.map(fs.stat(path), ({ mode }) => mode & 0o7777)

describe("what the seed's program wrote", () => {
  inHome(
    "is a login of generation 1, with expires in milliseconds",
    ({ vault, write }) =>
      Effect.gen(function*() {
        yield* write(seeded)
        const record = yield* stored(vault)
        expect(secretsOf(record)).toEqual({ access: "at-seed", refresh: "rt-seed" })
        expect(record.grant.token.expiresAt).toBe(1_900_000_000_000)
        expect(record.grant.extra).toEqual({ resource_url: "portal.example.com" })
        expect([record.generation, record.status._tag, record.binding]).toEqual([1, "Active", undefined])
        expect(yield* vault.list("")).toEqual(["login"])
      })
  )

  const absurd: ReadonlyArray<unknown> = [
    undefined,
    null,
    "1900000000000",
    "soon",
    -1,
    1e300,
    true,
    [],
    {}
  ]
  for (const expires of absurd) {
    inHome(
      `with expires ${JSON.stringify(expires)} it has expired`,
      ({ vault, write }) =>
        Effect.gen(function*() {
          yield* write({ ...seeded, expires })
          expect((yield* stored(vault)).grant.token.expiresAt).toBe(0)
        })
    )
  }

  inHome("with expires beyond all numbers it has expired", ({ file, fs, vault }) =>
    Effect.gen(function*() {
      yield* fs.writeFileString(file, `{"access":"a","refresh":"r","expires":1e999}`)
      expect((yield* stored(vault)).grant.token.expiresAt).toBe(0)
    }))

  inHome(
    "with expires in seconds it has expired long ago: nothing is guessed",
    ({ vault, write }) =>
      Effect.gen(function*() {
        yield* write({ ...seeded, expires: 1_900_000_000.7 })
        expect((yield* stored(vault)).grant.token.expiresAt).toBe(1_900_000_000)
      })
  )

  inHome("may lack one of the tokens, but not both", ({ vault, write }) =>
    Effect.gen(function*() {
      yield* write({ refresh: "rt" })
      expect(secretsOf(yield* stored(vault))).toEqual({ access: "", refresh: "rt" })
      expect(GrantRecord.hasToken(yield* stored(vault))).toBe(false)
      yield* write({ access: "at", refresh: null, expires: 5, resourceUrl: null })
      expect(secretsOf(yield* stored(vault))).toEqual({ access: "at", refresh: undefined })
      for (const empty of [{}, { access: "", refresh: "" }, { expires: 5 }]) {
        yield* write(empty)
        expect(yield* Effect.flip(vault.get("login"))).toMatchObject({ _tag: "Corrupt" })
      }
    }))
})

describe("what is written", () => {
  inHome(
    "can be read by the seed's program: text, text, whole milliseconds, text",
    ({ file, fs, json, vault }) =>
      Effect.gen(function*() {
        const extra = { resource_url: "https://api.example.com/v1", tenant: "7" }
        yield* vault.set(
          "login",
          yield* value("one", { extra }, (record) => ({
            ...record,
            grant: { ...record.grant, token: { ...record.grant.token, expiresAt: 2_000.9 } }
          }))
        )
        const { access, effectCredentials, expires, refresh, resourceUrl, ...others } = yield* json
        expect({ access, expires, refresh, resourceUrl, others }).toEqual({
          access: "at-one",
          expires: 2_000,
          refresh: "rt-one",
          resourceUrl: "https://api.example.com/v1",
          others: {}
        })
        expect(JSON.stringify(effectCredentials)).not.toMatch(/at-one|rt-one/)
        expect((yield* fs.readFileString(file)).split("\n").length).toBeGreaterThan(4)
        expect((yield* stored(vault)).grant.extra).toEqual(extra)
      })
  )

  inHome("comes back whole", ({ vault }) =>
    Effect.gen(function*() {
      const full = yield* GrantRecord.redeeming(
        GrantRecord.make(
          Grant.make({
            token: Token.make({
              value: Redacted.make("at"),
              type: "DPoP",
              issuedAt: 5,
              expiresAt: Infinity,
              scopes: ["a", "b"]
            }),
            refreshToken: Redacted.make("rt"),
            refreshExpiresAt: 77,
            idToken: Redacted.make("id"),
            extra: { resource_url: "x.example", account: "7" }
          }),
          8,
          "a".repeat(64)
        ),
        { since: 3, owner: "me", fence: 2 }
      )
      const text = yield* GrantRecord.encode(
        { ...full, rotates: true, rest: Redacted.make({ later: [1] }) },
        "test"
      )
      const version = yield* vault.set("login", text)
      const entry = Option.getOrThrow(yield* vault.get("login"))
      expect(JSON.parse(Redacted.value(entry.value))).toEqual(JSON.parse(Redacted.value(text)))
      expect(entry.version).toBe(version)
    }))

  inHome(
    "never expires as an instant that the seed's program waits for",
    ({ json, vault }) =>
      Effect.gen(function*() {
        const token = Token.make({ value: Redacted.make("at") })
        yield* vault.set("login", yield* value("one", { token }))
        expect((yield* json)["expires"]).toBe(8_640_000_000_000_000)
        expect((yield* stored(vault)).grant.token.expiresAt).toBe(Infinity)
      })
  )

  inHome(
    "leaves the fields of other programs as they are",
    ({ json, vault, write }) =>
      Effect.gen(function*() {
        const others = { notification_message: "hi", nested: { deep: [1, null, { a: "b" }] }, Access: "mine" }
        yield* write({ ...seeded, ...others })
        yield* vault.set("login", yield* value("one"))
        yield* vault.set("login", yield* value("two"))
        expect(yield* json).toMatchObject({ ...others, access: "at-two" })
        const names = Object.keys(yield* json)
        expect(names.indexOf("Access")).toBeLessThan(names.indexOf("access"))
      })
  )

  inHome(
    "is for its owner only, with the file before as a backup, and nothing else",
    (setting) =>
      Effect.gen(function*() {
        const { file, fs, home, json, names, vault, write } = setting
        yield* write(seeded)
        yield* fs.chmod(file, 0o644)
        yield* fs.chmod(home, 0o755)
        yield* vault.set("login", yield* value("one"))
        expect(yield* names).toEqual(["token.json", "token.json.bak"])
        expect(yield* modeOf(setting, file)).toBe(0o600)
        expect(yield* modeOf(setting, `${file}.bak`)).toBe(0o600)
        expect(yield* modeOf(setting, home)).toBe(0o755)
        expect(JSON.parse(yield* fs.readFileString(`${file}.bak`))).toEqual(seeded)
        expect((yield* json)["access"]).toBe("at-one")
      })
  )

  inHome(
    "makes its directory for its owner only, and reading makes none",
    (setting) =>
      Effect.gen(function*() {
        const { fs, home, path } = setting
        const directory = path.join(home, "a", "b")
        const vault = yield* TokenFileVault.make({ path: path.join(directory, "t.json") })
        expect(yield* vault.get("login")).toEqual(Option.none())
        expect(yield* vault.list("")).toEqual([])
        yield* vault.remove("login")
        expect(yield* fs.readDirectory(home)).toEqual([])
        yield* vault.set("login", yield* value("one"))
        expect(yield* modeOf(setting, directory)).toBe(0o700)
      }).pipe(Effect.provide(platform))
  )

  inHome("has another version after every write", ({ fs, file, vault }) =>
    Effect.gen(function*() {
      const one = yield* value("one")
      const versions = [yield* vault.set("login", one), yield* vault.set("login", one)]
      const text = yield* fs.readFileString(file)
      yield* fs.writeFileString(file, `${text} `)
      versions.push(Option.getOrThrow(yield* vault.get("login")).version)
      expect(new Set(versions).size).toBe(3)
    }))
})

describe("where another program has replaced the tokens", () => {
  const journaled = (record: GrantRecord.GrantRecord) =>
    GrantRecord.redeeming({ ...record, generation: 5 }, { since: 1, owner: "me", fence: 1 })

  const replaced = (fields: Readonly<Record<string, unknown>>) => ({ json, vault, write }: Setting) =>
    Effect.gen(function*() {
      const plain = yield* GrantRecord.decode(yield* value("one", { idToken: Redacted.make("id") }), "test")
      yield* vault.set("login", yield* GrantRecord.encode(yield* journaled(plain), "test"))
      yield* write({ ...(yield* json), ...fields })
      return yield* stored(vault)
    })

  inHome(
    "another refresh token is a new login of the next generation, without a journal",
    (setting) =>
      Effect.gen(function*() {
        const record = yield* replaced({ access: "at-new", refresh: "rt-new", expires: 9_000 })(setting)
        expect(secretsOf(record)).toEqual({ access: "at-new", refresh: "rt-new" })
        expect(record).toMatchObject({ generation: 6, status: { _tag: "Active" }, rotates: undefined })
        expect(record.grant.token).toMatchObject({ generation: 6, scopes: [], expiresAt: 9_000 })
        expect(record.grant.idToken).toBe(undefined)
      })
  )

  inHome(
    "another access token is of the next generation, and the journal still speaks of its refresh token",
    (setting) =>
      Effect.gen(function*() {
        const record = yield* replaced({ access: "at-new", expires: 9_000 })(setting)
        expect(secretsOf(record)).toEqual({ access: "at-new", refresh: "rt-one" })
        expect(record).toMatchObject({ generation: 6, status: { _tag: "Redeeming" } })
        expect(record.grant.token).toMatchObject({ expiresAt: 9_000, issuedAt: 0, scopes: ["read"] })
      })
  )

  inHome("another resourceUrl is believed too", (setting) =>
    Effect.gen(function*() {
      const record = yield* replaced({ resourceUrl: "other.example" })(setting)
      expect(record.grant.extra).toEqual({ resource_url: "other.example" })
      expect(record.generation).toBe(6)
    }))

  inHome("nothing that was changed is all believed", (setting) =>
    Effect.gen(function*() {
      expect(yield* replaced({})(setting)).toMatchObject({ generation: 5, status: { _tag: "Redeeming" } })
    }))

  inHome(
    "it is bound to what the user says, and a record that is bound otherwise says so",
    ({ file, vault, write }) =>
      Effect.gen(function*() {
        const key = yield* VaultKey.make({ prefix: "P_", resource: "", issuer: "https://idp.test" })
        const bound = yield* TokenFileVault.make({ path: file, key })
        yield* write(seeded)
        expect((yield* stored(bound, key.name)).binding).toBe(key.binding)
        expect(yield* bound.get("login")).toEqual(Option.none())
        yield* bound.set(
          key.name,
          yield* value("one", {}, (record) => ({ ...record, binding: "b".repeat(64) }))
        )
        expect((yield* stored(bound, key.name)).binding).toBe("b".repeat(64))
        expect((yield* stored(vault)).binding).toBe("b".repeat(64))
      }).pipe(Effect.provide(platform))
  )
})

describe("damage", () => {
  const deep = `{"access":"at-deep","refresh":"rt","x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`
  const cases: ReadonlyArray<readonly [what: string, content: string]> = [
    ["an empty file", ""],
    ["half a file", `{"access": "at-secret", "refr`],
    ["no object", `["at-secret"]`],
    ["null", "null"],
    ["a number as a token", `{"access":7,"refresh":"rt-secret"}`],
    ["an object as a token", `{"access":"at-secret","refresh":{}}`],
    ["a number as resourceUrl", `{"access":"at-secret","refresh":"r","resourceUrl":7}`],
    ["a resourceUrl that is too long", JSON.stringify({ ...seeded, resourceUrl: "u".repeat(9_000) })],
    ["a token that is too long", JSON.stringify({ ...seeded, access: "a".repeat(300_000) })],
    ["a field __proto__", `{"access":"at-secret","refresh":"r","__proto__":{"a":1}}`],
    ["a field of ours without sense", JSON.stringify({ ...seeded, effectCredentials: "at-secret" })],
    ["a field of ours of a later form", JSON.stringify({ ...seeded, effectCredentials: { version: 2 } })],
    ["JSON that is nested too deeply", deep],
    ["more than a mebibyte", JSON.stringify({ ...seeded, padding: "p".repeat(1_048_576) })]
  ]
  for (const [what, content] of cases) {
    inHome(
      `${what} is Corrupt, is kept, and a login replaces it`,
      ({ file, fs, home, names, path, vault }) =>
        Effect.gen(function*() {
          yield* fs.writeFileString(file, content)
          const one = yield* value("one")
          for (
            const use of [
              vault.get("login"),
              vault.compareAndSet("login", Option.none(), one),
              vault.remove("login", { version: "1" })
            ]
          ) {
            const error = yield* Effect.flip(use)
            expect(error._tag).toBe("Corrupt")
            expect(error.message).not.toMatch(/at-|rt-/)
            expect(error.message).toContain("token.json")
          }
          expect(yield* fs.readFileString(file)).toBe(content)
          yield* vault.set("login", one)
          expect(secretsOf(yield* stored(vault)).access).toBe("at-one")
          const [aside = ""] = (yield* names).filter((name) => name.endsWith(".corrupt"))
          expect(yield* fs.readFileString(path.join(home, aside))).toBe(content)
          yield* vault.remove("login")
          expect(yield* names).toEqual([])
        })
    )
  }

  inHome("bytes that are no UTF-8 are Corrupt", ({ file, fs, vault }) =>
    Effect.gen(function*() {
      yield* fs.writeFile(file, new Uint8Array([123, 34, 97, 255, 34, 58, 49, 125]))
      expect(yield* Effect.flip(vault.get("login"))).toMatchObject({ _tag: "Corrupt" })
    }))

  inHome(
    "a record of ours that was changed is Corrupt, because it may hide that a token is spent",
    ({ json, vault, write }) =>
      Effect.gen(function*() {
        yield* vault.set("login", yield* value("one"))
        const { effectCredentials, ...shared } = yield* json
        const own = effectCredentials as { readonly record: object }
        for (const record of [{}, { ...own.record, status: "?" }, { ...own.record, generation: -1 }]) {
          yield* write({ ...shared, effectCredentials: { ...own, record } })
          expect(yield* Effect.flip(vault.get("login"))).toMatchObject({ _tag: "Corrupt" })
        }
        yield* write(shared)
        expect((yield* stored(vault)).generation).toBe(1)
      })
  )

  inHome(
    "a file that another program is just writing is looked at again",
    ({ file, fs, write }) =>
      Effect.gen(function*() {
        yield* write(seeded)
        let reads = 0
        const torn: FileSystem.FileSystem = {
          ...fs,
          readFile: (path) =>
            Effect.map(
              fs.readFile(path),
              (bytes) => path === file && ++reads < 3 ? bytes.slice(0, 10) : bytes
            )
        }
        const vault = yield* Effect.provideService(
          TokenFileVault.make({ path: file }),
          FileSystem.FileSystem,
          torn
        )
        expect(secretsOf(yield* stored(vault)).access).toBe("at-seed")
        expect(reads).toBe(3)
      }).pipe(Effect.provide(platform))
  )

  inHome(
    "fields that would make the file too large are Unsupported, and the file stays",
    ({ json, vault, write }) =>
      Effect.gen(function*() {
        yield* write({ ...seeded, padding: "p".repeat(1_048_000) })
        expect(
          yield* Effect.flip(
            vault.set("login", yield* value("one", { idToken: Redacted.make("i".repeat(900)) }))
          )
        )
          .toMatchObject({ _tag: "Unsupported" })
        expect((yield* json)["access"]).toBe("at-seed")
      })
  )
})

describe("places", () => {
  const refuses = (vault: Vault.Service) =>
    Effect.gen(function*() {
      const one = yield* value("one")
      for (
        const use of [
          vault.get("login"),
          vault.set("login", one),
          vault.compareAndSet("login", Option.none(), one),
          vault.remove("login"),
          vault.list("")
        ]
      ) {
        expect(yield* Effect.flip(use)).toMatchObject({ _tag: "Denied" })
      }
    })

  inHome(
    "a link in the file's place is refused and left alone",
    ({ file, fs, home, names, path, vault }) =>
      Effect.gen(function*() {
        yield* fs.writeFileString(path.join(home, "real.json"), JSON.stringify(seeded))
        yield* fs.symlink(path.join(home, "real.json"), file)
        yield* refuses(vault)
        yield* fs.remove(path.join(home, "real.json"))
        yield* refuses(vault)
        expect(yield* names).toEqual(["token.json"])
      })
  )

  inHome(
    "a directory in the file's place is refused and left alone",
    ({ file, fs, names, vault }) =>
      Effect.gen(function*() {
        yield* fs.makeDirectory(file)
        yield* refuses(vault)
        expect(yield* names).toEqual(["token.json"])
      })
  )

  inHome("another user's file is refused", ({ file, fs, write }) =>
    Effect.gen(function*() {
      yield* write(seeded)
      const foreign: FileSystem.FileSystem = {
        ...fs,
        stat: (path) =>
          Effect.map(fs.stat(path), (info) =>
            path === file ? { ...info, uid: Option.some(Option.getOrThrow(info.uid) + 1) } : info)
      }
      yield* refuses(
        yield* Effect.provideService(TokenFileVault.make({ path: file }), FileSystem.FileSystem, foreign)
      )
    }).pipe(Effect.provide(platform)))

  inHome(
    "a directory that everybody may change is refused, unless only owners can replace files there",
    (setting) =>
      Effect.gen(function*() {
        const { fs, home, vault, write } = setting
        yield* write(seeded)
        yield* fs.chmod(home, 0o777)
        yield* refuses(vault)
        expect(yield* Effect.flip(Effect.scoped(vault.lease("login", { term: 1_000 })))).toMatchObject({
          _tag: "Denied"
        })
        yield* fs.chmod(home, 0o1777)
        expect(secretsOf(yield* stored(vault)).access).toBe("at-seed")
        expect(yield* modeOf(setting, home)).toBe(0o1777)
      })
  )

  inHome(
    "removing leaves what is not made here",
    ({ file, fs, home, names, path, vault }) =>
      Effect.gen(function*() {
        yield* vault.set("login", yield* value("one"))
        yield* vault.set("login", yield* value("two"))
        const theirs = ["other.json", "other.json.bak", "token.json.mine.tmp", "token.json.old.bak", "x.tmp"]
        for (const name of theirs) {
          yield* fs.writeFileString(path.join(home, name), "theirs")
          yield* fs.utimes(path.join(home, name), 1_000, 1_000)
        }
        yield* fs.writeFileString(`${file}.m1abc-9xyz.tmp`, "left by a writer that died")
        yield* fs.utimes(`${file}.m1abc-9xyz.tmp`, 1_000, 1_000)
        yield* vault.set("login", yield* value("three"))
        expect(yield* names).toEqual([...theirs, "token.json", "token.json.bak"].sort())
        yield* vault.remove("login")
        expect(yield* names).toEqual([...theirs].sort())
      })
  )

  inHome("a path that names no file is Misconfigured", ({ home }) =>
    Effect.gen(function*() {
      for (const path of ["", "  ", "/", `${home}/`]) {
        expect(yield* Effect.flip(TokenFileVault.make({ path }))).toMatchObject({
          _tag: "Misconfigured",
          reason: "InvalidOption"
        })
      }
      expect(yield* Effect.flip(TokenFileVault.make({ path: `${home}/x`, key: "" }))).toMatchObject({
        _tag: "Misconfigured"
      })
    }).pipe(Effect.provide(platform)))

  inHome("layerConfig reads the path from configuration", ({ file, vault }) =>
    Effect.gen(function*() {
      const layer = TokenFileVault.layerConfig({ path: Config.string("FILE"), name: Config.succeed("mine") })
        .pipe(Layer.provide(platform))
      const made = yield* Effect.provide(Vault.Vault, layer).pipe(
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["FILE", file]])))
      )
      yield* made.set("login", yield* value("one"))
      expect([made.name, made.identity === vault.identity]).toEqual(["mine", true])
      expect(secretsOf(yield* stored(vault)).access).toBe("at-one")
    }))
})
