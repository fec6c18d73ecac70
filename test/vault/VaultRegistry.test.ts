import * as NodeContext from "@effect/platform-node/NodeContext"
import { describe, expect, it, vi } from "@effect/vitest"
import * as EncryptedVault from "effect-credentials/vault/EncryptedVault"
import * as EncryptionKey from "effect-credentials/vault/EncryptionKey"
import * as MemoryVault from "effect-credentials/vault/MemoryVault"
import * as Vault from "effect-credentials/vault/Vault"
import * as VaultRegistry from "effect-credentials/vault/VaultRegistry"
import * as VaultSchemes from "effect-credentials/vault/VaultSchemes"
import * as VaultUri from "effect-credentials/vault/VaultUri"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { platform, temporary } from "./temporary.js"

const secret = Redacted.make("value")

const textOf = (vault: Vault.Service, key: string) =>
  Effect.map(vault.get(key), (entry) => Redacted.value(Option.getOrThrow(entry).value))

const everything = Layer.provide(VaultSchemes.layer, NodeContext.layer)

/** Where the vaults of a custom scheme come from. */
class Shelf extends Context.Tag("test/Shelf")<Shelf, { readonly label: string }>() {}

const journal: Array<string> = []

const shelf = {
  schemes: ["shelf"],
  form: { _tag: "Name", nested: true },
  parameters: { pin: "Secret", color: "Plain" },
  example: "shelf://row/box?pin=1234",
  open: (uri: VaultUri.VaultUri) =>
    Effect.gen(function*() {
      const { label } = yield* Shelf
      yield* Effect.acquireRelease(
        Effect.sync(() => journal.push(`open ${label}`)),
        () => Effect.sync(() => journal.push(`close ${label}`))
      )
      const pin = uri.secrets["pin"] === undefined ? "none" : Redacted.value(uri.secrets["pin"])
      return yield* MemoryVault.make({ name: `${label} ${uri.path} ${pin} ${uri.parameters["color"]}` })
    })
} as const

describe("this library's own schemes", () => {
  it.scoped("memory: is an empty vault each time", () =>
    Effect.gen(function*() {
      const [one, other] = [yield* VaultUri.open("memory:"), yield* VaultUri.open("memory:")]
      yield* one.set("k", secret)
      expect(yield* other.get("k")).toEqual(Option.none())
    }).pipe(Effect.provide(everything)))

  it.scoped("file: is the directory", () =>
    Effect.gen(function*() {
      const { directory, vault } = yield* temporary
      const opened = yield* Effect.provide(VaultUri.open(`file://${directory}`), everything)
      yield* opened.set("k", secret)
      expect(yield* textOf(vault, "k")).toBe("value")
      expect(opened.identity).toBe(vault.identity)
    }).pipe(Effect.provide(platform)))

  it.scoped("file: with a drive is refused where there are none", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(VaultUri.open("file:///C:/vault"))
      expect([error._tag, error.message]).toEqual(["Misconfigured", expect.stringContaining("not absolute")])
    }).pipe(Effect.provide(everything)))

  it.scoped("env: is the variables with the prefix", () =>
    Effect.gen(function*() {
      const vault = yield* VaultUri.open("env://APP_")
      expect(yield* textOf(vault, "token")).toBe("of the environment")
    }).pipe(
      Effect.provide(everything),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["APP_TOKEN", "of the environment"]])))
    ))

  it.scopedLive("sqlite: is the file", () =>
    Effect.gen(function*() {
      const { home } = yield* temporary
      const uri = `sqlite://${home}/new/vault.db?prefix=app_`
      const [one, other] = yield* Effect.provide(
        Effect.all([VaultUri.open(uri), VaultUri.open(uri)]),
        everything
      )
      yield* one.set("k", secret)
      expect(yield* textOf(other, "k")).toBe("value")
      expect(readdirSync(`${home}/new`)).toContain("vault.db")
    }).pipe(Effect.provide(platform)))

  it.scopedLive("redis: and postgres: try the server, and no error tells the password", () =>
    Effect.gen(function*() {
      const port = "1"
      const redis = yield* VaultUri.open(`redis://user:pass-word@127.0.0.1:${port}/3?prefix=app:`)
      const errors = [
        yield* Effect.flip(redis.get("k")),
        yield* Effect.flip(VaultUri.open(`postgres://user:pass-word@127.0.0.1:${port}/app?sslmode=disable`))
      ]
      for (const error of errors) {
        expect(error._tag).toBe("Unreachable")
        expect(`${inspect(error, { depth: 10 })} ${error.stack}`).not.toContain("pass-word")
      }
    }).pipe(Effect.provide(everything)))

  it.scoped("keychain: and pass: are what the URI names", () =>
    Effect.gen(function*() {
      const { home } = yield* temporary
      const store = ConfigProvider.fromMap(new Map([["PASSWORD_STORE_DIR", home]]))
      const pass = yield* Effect.withConfigProvider(VaultUri.open("pass://apps/mine"), store)
      expect(pass.identity.name).toBe(`pass:${home}:apps/mine`)
      const keychain = yield* VaultUri.open("keychain://My%20App")
      expect(keychain.identity.name).toBe("keychain:My App")
    }).pipe(Effect.provide([everything, platform])))

  it.scoped("one whose package is missing says which to install, and no more", () =>
    Effect.gen(function*() {
      vi.doMock("effect-credentials/vault/RedisVault", () => {
        throw new Error("Cannot find package 'ioredis' imported from /home/person/secret")
      })
      const error = yield* Effect.flip(VaultUri.open("redis://user:pass-word@cache"))
      vi.doUnmock("effect-credentials/vault/RedisVault")
      expect([error._tag, error.hint]).toEqual(["Misconfigured", "Install ioredis."])
      expect(inspect(error, { depth: 10 })).not.toMatch(/pass-word|person/)
    }).pipe(Effect.provide(everything)))

  it("are those that have a grammar", () => {
    const built = Object.values(VaultSchemes).flatMap((value) => "schemes" in value ? value.schemes : [])
    const declared = VaultUri.grammars.flatMap(({ schemes }) => schemes)
    expect(built.sort()).toEqual(declared.sort())
  })
})

describe("a registry", () => {
  const custom = Layer.provide(
    VaultRegistry.layer(shelf, VaultSchemes.memory),
    Layer.succeed(Shelf, { label: "A" })
  )

  it.scoped("opens custom schemes with what they needed when it was made", () =>
    Effect.gen(function*() {
      const vault = yield* VaultUri.open("shelf://row/box?pin=12%2034&color=red")
      expect(vault.name).toBe("A row/box 12 34 red")
      expect((yield* VaultUri.open(Redacted.make("memory:"))).name).toBe("memory")
    }).pipe(Effect.provide(custom)))

  it.effect("keeps a vault open as long as its scope", () =>
    Effect.gen(function*() {
      journal.length = 0
      const use = Effect.zipRight(Vault.Vault, Effect.sync(() => journal.push("use")))
      yield* Effect.provide(use, Layer.provide(VaultUri.layer("shelf://row"), custom))
      expect(journal).toEqual(["open A", "use", "close A"])
    }))

  it.scoped("holds custom URIs to their grammar", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(VaultUri.open("shelf://row?pin=4321&size=1"))
      expect([error._tag, error.message]).toEqual([
        "Misconfigured",
        expect.stringContaining("shelf: it has a query parameter other than `pin=`, `color=`")
      ])
      expect(error.message).not.toMatch(/4321|size/)
      expect(error.hint).toContain(shelf.example)
    }).pipe(Effect.provide(custom)))

  it.scoped("knows no scheme that it was not given", () =>
    Effect.gen(function*() {
      for (const uri of ["file:///var/lib", yield* VaultUri.parse("file:///var/lib")]) {
        const error = yield* Effect.flip(VaultUri.open(uri))
        expect([error._tag, error.message]).toEqual([
          "Misconfigured",
          expect.stringContaining("file is not registered here; the schemes here are shelf, memory")
        ])
      }
    }).pipe(Effect.provide(custom)))

  it.scoped("opens what was parsed before", () =>
    Effect.gen(function*() {
      const uri = yield* VaultUri.parse("shelf://row?pin=1", { grammars: [shelf] })
      expect((yield* VaultUri.open(uri)).name).toBe("A row 1 undefined")
    }).pipe(Effect.provide(custom)))

  const others: ReadonlyArray<readonly [string, Partial<VaultUri.Grammar>, string]> = [
    ["another form", { form: { _tag: "Path" } }, "shelf:///row"],
    ["an optional number", { form: { _tag: "Server", database: "OptionalNumber" } }, "shelf://u:4321@row"],
    ["no name", { form: { _tag: "Nothing" } }, "shelf:"],
    ["another parameter", { parameters: { size: "Plain" } }, "shelf://row?size=4321"],
    ["another secret", { parameters: { key: "Secret" } }, "shelf://row?key=4321"],
    ["a secret that is none here", { parameters: { color: "Secret" } }, "shelf://row?color=4321"]
  ]
  for (const [what, grammar, text] of others) {
    it.scoped(`refuses what was parsed by a grammar with ${what}`, () =>
      Effect.gen(function*() {
        const uri = yield* VaultUri.parse(text, { grammars: [{ ...shelf, ...grammar }] })
        const error = yield* Effect.flip(VaultUri.open(uri))
        expect([error._tag, error.hint]).toEqual(["Misconfigured", expect.stringContaining(shelf.example)])
        expect(inspect(error, { depth: 10 })).not.toContain("4321")
      }).pipe(Effect.provide(custom)))
  }

  it.scoped("takes for a secret what is one here, whatever it was parsed by", () =>
    Effect.gen(function*() {
      const uri = yield* VaultUri.parse("shelf://row?pin=%204", {
        grammars: [{ ...shelf, parameters: { pin: "Plain" } }]
      })
      expect((yield* VaultUri.open(uri)).name).toBe("A row  4 undefined")
    }).pipe(Effect.provide(custom)))

  it.scoped("takes what was parsed, however long it is when all of it is encoded", () =>
    Effect.gen(function*() {
      const uri = yield* VaultUri.parse(`shelf://row/${"$".repeat(4000)}`, { grammars: [shelf] })
      expect((yield* VaultUri.open(uri)).name).toContain("$".repeat(4000))
    }).pipe(Effect.provide(custom)))

  it.scoped("takes further schemes", () =>
    Effect.gen(function*() {
      expect((yield* VaultUri.open("shelf://row")).name).toBe("B row none undefined")
      expect((yield* VaultUri.open("memory:")).name).toBe("memory")
    }).pipe(Effect.provide(
      VaultRegistry.layerAdd(shelf).pipe(
        Layer.provide([VaultRegistry.layer(VaultSchemes.memory), Layer.succeed(Shelf, { label: "B" })])
      )
    )))

  it.effect("refuses a scheme that is there twice, or is no scheme", () =>
    Effect.gen(function*() {
      const { memory } = VaultSchemes
      const named = (...schemes: readonly [string, ...ReadonlyArray<string>]) => ({ ...memory, schemes })
      for (
        const layer of [
          VaultRegistry.layer(memory, named("other", "memory")),
          VaultRegistry.layer(named("a", "a")),
          VaultRegistry.layer(named("Memory")),
          VaultRegistry.layer(named("a b")),
          VaultRegistry.layer(named("")),
          VaultRegistry.layer(named("1a")),
          VaultRegistry.layerAdd(named("memory")).pipe(Layer.provide(VaultRegistry.layer(memory)))
        ]
      ) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        expect([error._tag, error.source]).toEqual(["Misconfigured", "vault registry"])
      }
    }))
})

describe("layerConfig", () => {
  const inConfig = (uri: string) =>
    VaultUri.layerConfig(Config.redacted("VAULT_URI")).pipe(
      Layer.provide(everything),
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map([["VAULT_URI", uri]]))))
    )

  it.effect("is the vault that configuration names, also below an encrypting one", () =>
    Effect.gen(function*() {
      const vault = yield* Vault.Vault
      yield* vault.set("k", secret)
      expect(yield* textOf(vault, "k")).toBe("value")
      expect(vault.name).toBe("encrypted memory")
    }).pipe(Effect.provide(
      EncryptedVault.layer({ keys: Effect.map(EncryptionKey.generate, (key) => [key] as const) }).pipe(
        Layer.provide(inConfig(" memory:\n"))
      )
    )))

  it.effect("fails with a typed error and without the secret", () =>
    Effect.gen(function*() {
      for (
        const [uri, tag] of [["redis://u:hidden@", "Misconfigured"], ["hidden", "Misconfigured"]] as const
      ) {
        const error = yield* Effect.flip(Effect.scoped(Layer.build(inConfig(uri))))
        expect([uri, "_tag" in error ? error._tag : error]).toEqual([uri, tag])
        expect(inspect(error, { depth: 10 })).not.toContain("hidden")
      }
    }))
})

/** What the module and all that it imports at once import from elsewhere. */
const packagesOf = (module: string): ReadonlyArray<string> => {
  const src = fileURLToPath(new URL("../../src/", import.meta.url))
  const [seen, packages] = [new Set<string>(), new Set<string>()]
  const visit = (file: string): void => {
    if (seen.has(file) || !existsSync(file)) return
    seen.add(file)
    const imports = readFileSync(file, "utf8").matchAll(/^(?:import|export) (?!type )[^"]*?from "([^"]+)"/gm)
    for (const [, target = ""] of imports) {
      if (target.startsWith(".")) {
        visit(fileURLToPath(new URL(target.replace(/\.js$/, ".ts"), `file://${file}`)))
      } else packages.add(target.replace(/^effect\/.*/, "effect"))
    }
  }
  visit(`${src}vault/${module}.ts`)
  return Array.from(packages).sort()
}

describe("what is loaded at once", () => {
  for (const module of ["EncryptedVault", "EncryptionKey", "VaultUri", "VaultRegistry"]) {
    it(`${module} needs effect alone, and nothing of Node`, () => {
      expect(packagesOf(module)).toEqual(["effect"])
    })
  }

  it("PassphraseKey alone needs Node", () => {
    expect(packagesOf("PassphraseKey")).toEqual(["effect", "node:crypto"])
  })

  it("VaultSchemes needs no package of any vault", () => {
    expect(packagesOf("VaultSchemes")).toEqual(["@effect/platform/Path", "effect"])
    expect(packagesOf("RedisVault")).toContain("ioredis")
  })
})
