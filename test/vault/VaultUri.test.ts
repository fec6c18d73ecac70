import { describe, expect, it } from "@effect/vitest"
import * as VaultUri from "effect-credentials/vault/VaultUri"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Redacted from "effect/Redacted"
import { inspect } from "node:util"

const parse = (text: string) => Either.getOrThrow(VaultUri.parse(text))

const secretOf = (secret: Redacted.Redacted<string> | undefined) =>
  secret === undefined ? undefined : Redacted.value(secret)

/** Everything that a URI or an error could show somewhere. */
const shownBy = (value: VaultUri.VaultUri | Error): string =>
  [
    String(value),
    `${value}`,
    JSON.stringify(value),
    inspect(value, { depth: 10, showHidden: true }),
    inspect({ ...value }, { depth: 10 }),
    value instanceof Error ? `${value.message} ${value.stack}` : Redacted.make(value).toString()
  ].join("\n")

describe("what is understood", () => {
  for (
    const [name, text, parts] of [
      ["memory", "memory:", { scheme: "memory", path: "" }],
      ["a scheme in capitals", "MEMORY:", { scheme: "memory" }],
      ["blanks around it", " \n memory:\n", { scheme: "memory" }],
      ["a directory", "file:///var/lib/app", { scheme: "file", path: "/var/lib/app", host: undefined }],
      ["a slash at the end", "file:///var/lib/app/", { path: "/var/lib/app" }],
      ["percent-encoding", "file:///home/jos%C3%A9/my%20vault%25", { path: "/home/jos\u00e9/my vault%" }],
      ["an @ and a colon in a path", "file:///srv/a@b:c", { path: "/srv/a@b:c" }],
      ["three dots", "file:///a/.../.b", { path: "/a/.../.b" }],
      ["a drive of Windows", "file:///C:/Users/me", { path: "C:/Users/me" }],
      ["variables", "env://APP_SECRET_", { scheme: "env", path: "APP_SECRET_" }],
      ["a keychain", "keychain://com.example.App", { path: "com.example.App" }],
      ["a keychain with a blank", "keychain://My%20App", { path: "My App" }],
      ["a keychain with an encoded colon", "keychain://a%3Ab", { path: "a:b" }],
      ["a folder of pass", "pass://apps", { path: "apps" }],
      ["a nested folder of pass", "pass://apps/my%20app/tokens/", { path: "apps/my app/tokens" }],
      ["a database file", "sqlite:///var/lib/app/vault.db", { path: "/var/lib/app/vault.db" }],
      ["redis with a host only", "redis://cache", {
        host: "cache",
        port: undefined,
        path: "",
        user: undefined
      }],
      ["redis with all", "redis://u:p@cache:6379/3?prefix=app%3A", {
        scheme: "redis",
        user: "u",
        password: "p",
        host: "cache",
        port: 6379,
        path: "3",
        parameters: { prefix: "app:" }
      }],
      ["redis with a slash and no database", "redis://cache/", { host: "cache", path: "" }],
      ["redis over TLS", "rediss://cache", { scheme: "rediss" }],
      ["a password and no user", "redis://:p@cache", { user: undefined, password: "p" }],
      ["a user and no password", "redis://u@cache", { user: "u", password: undefined }],
      ["a password with everything in it", "redis://u:%40%3A%2F%3F%23%25%20%C3%A9@cache", {
        password: "@:/?#% \u00e9"
      }],
      ["a password with a colon", "redis://u:a:b@cache", { password: "a:b" }],
      ["an IPv6 host", "redis://[::1]:6379/0", { host: "[::1]", port: 6379 }],
      ["a host in capitals", "redis://Cache.Example", { host: "cache.example" }],
      ["the last port", "redis://cache:65535", { port: 65_535 }],
      ["postgres", "postgres://u:p@db:5432/app", { scheme: "postgres", path: "app", port: 5432 }],
      ["postgresql", "postgresql://db/app", { scheme: "postgresql", path: "app" }],
      ["postgres with parameters", "postgres://db/app?sslmode=verify-full&prefix=app_", {
        parameters: { sslmode: "verify-full", prefix: "app_" }
      }],
      ["a question mark and nothing behind it", "redis://cache?", { parameters: {} }],
      ["an empty parameter", "redis://cache?prefix=", { parameters: { prefix: "" } }],
      ["a plus in a parameter", "redis://cache?prefix=a+b=c", { parameters: { prefix: "a+b=c" } }]
    ] as const
  ) {
    it(name, () => {
      const uri = parse(text)
      expect({ ...uri, user: secretOf(uri.user), password: secretOf(uri.password) }).toMatchObject(parts)
    })
  }

  it("a Redacted text", () => {
    expect(Either.getOrThrow(VaultUri.parse(Redacted.make("memory:"))).scheme).toBe("memory")
  })
})

describe("what is refused, and why", () => {
  const long = `file:///${"x".repeat(4096)}`
  for (
    const [name, text, why] of [
      ["empty text", "", "it is empty"],
      ["blank text", " \n", "it is empty"],
      ["too long a text", long, "more than 4096 characters"],
      ["a path", "/var/lib/app", "does not start with a scheme"],
      ["a relative path", "./vault", "does not start with a scheme"],
      ["no colon", "memory", "does not start with a scheme"],
      ["no scheme", "://cache", "does not start with a scheme"],
      ["an odd scheme", "re_dis://cache", "does not start with a scheme"],
      [
        "an unknown scheme",
        "ftp://cache",
        "unknown scheme; the schemes here are memory, file, env, keychain"
      ],
      ["a drive instead of a scheme", "C:/vault", "unknown scheme"],
      ["a Windows path", "C:\\vault", "a backslash"],
      ["vault", "vault://host/secret", "vault is not built into this release"],
      ["openbao", "openbao://host/secret", "openbao is not built into this release"],
      ["op", "op://vault/item", "op is not built into this release"],
      ["bw", "bw://folder", "bw is not built into this release"],
      ["aws-sm", "aws-sm://region/name", "aws-sm is not built into this release"],
      ["azure-kv", "azure-kv://name", "azure-kv is not built into this release"],
      ["gcp-sm", "gcp-sm://project", "gcp-sm is not built into this release"],
      ["a blank inside", "file:///my vault", "percent-encoded"],
      ["a line break inside", "file:///my\nvault", "percent-encoded"],
      ["a letter beyond ASCII", "file:///jos\u00e9", "percent-encoded"],
      ["a raw NUL", "file:///a\0b", "percent-encoded"],
      ["a backslash", "file:///a\\b", "backslash"],
      ["a fragment", "file:///a#b", "`#`"],
      ["memory with slashes", "memory://", "nothing may stand"],
      ["memory with a name", "memory:name", "nothing may stand"],
      ["a query where none may be", "memory:?x=1", "no query parameters"],
      ["a file without slashes", "file:dir", "three slashes"],
      ["a file with one slash", "file:/dir", "three slashes"],
      ["a file with two slashes", "file://dir", "names a host"],
      ["a file on a host", "file://host/dir", "names a host"],
      ["a file on this host", "file://localhost/dir", "names a host"],
      ["a file with a user", "file://user:secret@/dir", "names a host"],
      ["four slashes", "file:////host/dir", "empty, `.` or `..`"],
      ["no path", "file://", "a part of it is missing"],
      ["the root", "file:///", "a part of it is missing"],
      ["an empty part", "file:///a//b", "empty, `.` or `..`"],
      ["two slashes at the end", "file:///a//", "empty, `.` or `..`"],
      ["dots", "file:///a/../b", "empty, `.` or `..`"],
      ["one dot", "file:///a/./b", "empty, `.` or `..`"],
      ["encoded dots", "file:///a/%2e%2E/b", "empty, `.` or `..`"],
      ["half encoded dots", "file:///a/.%2e", "empty, `.` or `..`"],
      ["an encoded slash", "file:///a%2Fb", "has a slash"],
      ["an encoded backslash", "file:///a%5cb", "has a slash"],
      ["an encoded NUL", "file:///a%00b", "control character"],
      ["an encoded line break", "file:///a%0Ab", "control character"],
      ["an encoded C1 control", "file:///a%C2%85b", "control character"],
      ["half an encoding", "file:///a%2", "percent-encoding is broken"],
      ["no encoding", "file:///a%zz", "percent-encoding is broken"],
      ["bytes that are no text", "file:///a%ff", "percent-encoding is broken"],
      ["an encoded surrogate", "file:///a%ED%A0%80", "percent-encoding is broken"],
      ["a drive alone", "file:///C:", "a drive and no absolute path"],
      ["a relative path on a drive", "file:///C:dir/a", "a drive and no absolute path"],
      ["a parameter of files", "file:///a?mode=0600", "no query parameters"],
      ["no variables", "env://", "a part of it is missing"],
      ["variables without slashes", "env:APP_", "two slashes"],
      ["variables with a path", "env://APP_/X", "no path may stand"],
      ["a keychain with a path", "keychain://service/account", "no path may stand"],
      ["a keychain with a password", "keychain://user:secret@service", "neither user nor password"],
      ["a keychain with a name and a colon", "keychain://u:secret", "neither user nor password"],
      ["variables with a name and a colon", "env://u:secret", "neither user nor password"],
      ["a folder with a name and a colon", "pass://u:secret/apps", "neither user nor password"],
      ["a keychain that climbs", "keychain://..", "empty, `.` or `..`"],
      ["pass with dots", "pass://apps/../other", "empty, `.` or `..`"],
      ["pass with encoded dots", "pass://%2e%2e/other", "empty, `.` or `..`"],
      ["pass with an empty part", "pass:///apps", "empty, `.` or `..`"],
      ["a relative database file", "sqlite://vault.db", "names a host"],
      ["a database in memory", "sqlite::memory:", "three slashes"],
      ["redis without a host", "redis://", "no host"],
      ["redis without slashes", "redis:cache", "no host"],
      ["redis with a user and no host", "redis://user:secret@", "no host"],
      ["redis with a port and no host", "redis://:6379", "no host"],
      ["a host with odd characters", "redis://ca%20che", "odd characters"],
      ["a host in two halves", "redis://cache,other", "odd characters"],
      ["a port that is none", "redis://cache:redis", "odd characters"],
      ["an empty port", "redis://cache:", "odd characters"],
      ["port 0", "redis://cache:0", "between 1 and 65535"],
      ["port 65536", "redis://cache:65536", "between 1 and 65535"],
      ["an IPv6 host without brackets", "redis://::1/0", "odd characters"],
      ["too long a host", `redis://${"x".repeat(254)}`, "odd characters"],
      ["a database that is no number", "redis://cache/one", "not a number"],
      ["a negative database", "redis://cache/-1", "not a number"],
      ["two databases", "redis://cache/0/1", "not a number"],
      ["an unknown parameter", "redis://cache?timeout=5", "other than `prefix=`"],
      ["a parameter of all objects", "redis://cache?constructor=5", "other than `prefix=`"],
      ["a parameter without a value", "redis://cache?prefix", "other than `prefix=`"],
      [
        "a parameter with a value of its own",
        "postgres://db/app?sslmode=secret",
        "`sslmode` is none of disable"
      ],
      ["a parameter twice", "redis://cache?prefix=a&prefix=b", "`prefix` twice"],
      ["a control character in a parameter", "redis://cache?prefix=a%00", "control character"],
      ["a password as a parameter", "redis://cache?password=secret", "other than `prefix=`"],
      ["an empty user", "redis://@cache", "no user before"],
      ["an empty password", "redis://user:@cache", "the password is empty"],
      ["a blank password", "redis://:%20@cache", "the password is empty"],
      ["a raw @ in a password", "redis://user:se@cret@cache", "not percent-encoded"],
      ["a raw slash in a password", "redis://user:1/secret@cache", "not percent-encoded"],
      ["a raw question mark in a password", "redis://user:1?prefix=secret@cache", "not percent-encoded"],
      ["a raw # in a password", "redis://user:1#secret@cache", "`#`"],
      ["postgres without a database", "postgres://db", "a part of it is missing"],
      ["postgres with two", "postgres://db/a/b", "more than a database"],
      ["postgres with an encoded slash", "postgres://db/a%2fb", "has a slash"]
    ] as const
  ) {
    it(name, () => {
      const error = Either.getOrThrow(Either.flip(VaultUri.parse(text)))
      expect([error._tag, error.reason]).toEqual(["Misconfigured", "InvalidOption"])
      expect(error.message).toContain(why)
      expect(shownBy(error)).not.toMatch(/\bsecret\b|xxxx/)
      expect(error.message.length).toBeLessThan(500)
    })
  }
})

describe("what is shown", () => {
  for (
    const [text, shown] of [
      ["memory:", "memory:"],
      ["FILE:///home/jos%c3%a9/", "file:///home/jos%C3%A9"],
      ["file:///C:/my%20vault", "file:///C:/my%20vault"],
      ["env://APP_", "env://APP_"],
      ["pass://apps/a%3fb", "pass://apps/a%3Fb"],
      ["redis://Cache:6379/3?prefix=app%3A", "redis://cache:6379/3?prefix=app%3A"],
      ["redis://user:secret@cache", "redis://<redacted>@cache"],
      ["redis://secret@cache", "redis://<redacted>@cache"],
      ["rediss://:secret@[::1]:1/2", "rediss://<redacted>@[::1]:1/2"],
      ["postgres://user:secret@db/app", "postgres://<redacted>@db/app"]
    ] as const
  ) {
    it(text, () => {
      expect(String(parse(text))).toBe(shown)
      expect(shownBy(parse(text))).not.toMatch(/\bsecret\b/)
    })
  }

  it("secret parameters by name only", () => {
    const grammar: VaultUri.Grammar = {
      schemes: ["custom"],
      form: { _tag: "Name", nested: false },
      parameters: { token: "Secret", region: "Plain" },
      example: "custom://name?token=…"
    }
    const uri = Either.getOrThrow(
      VaultUri.parse("custom://name?token=se%20cret&region=eu", { grammars: [grammar] })
    )
    expect(secretOf(uri.secrets["token"])).toBe("se cret")
    expect(String(uri)).toBe("custom://name?region=eu&token=<redacted>")
    expect(shownBy(uri)).not.toMatch(/se(%20| )cret/)
  })

  it("parameters that all objects have, where a grammar has them", () => {
    const grammar: VaultUri.Grammar = {
      schemes: ["custom"],
      form: { _tag: "Nothing" },
      parameters: Object.fromEntries<VaultUri.Parameter>([["constructor", "Plain"], ["toString", "Secret"]]),
      example: "custom:?constructor=a"
    }
    const read = (text: string) => VaultUri.parse(text, { grammars: [grammar] })
    const uri = Either.getOrThrow(read("custom:?constructor=a&toString=b"))
    expect([uri.parameters["constructor"], secretOf(uri.secrets["toString"])]).toEqual(["a", "b"])
    const twice = Either.getOrThrow(Either.flip(read("custom:?constructor=a&constructor=b")))
    expect(twice.message).toContain("`constructor` twice")
  })

  it("the URL of a driver is whole, but for this library's parameters", () => {
    const url = Redacted.value(parse("redis://us%20er:p%40ss%2F@cache:6379/3?prefix=app").toUrl())
    expect(url).toBe("redis://us%20er:p%40ss%2F@cache:6379/3")
    const { hostname, password, pathname, username } = new URL(url)
    expect([hostname, username, password, pathname]).toEqual(["cache", "us%20er", "p%40ss%2F", "/3"])
    const postgres = parse("postgres://db/app?prefix=a_&sslmode=require")
    expect(Redacted.value(postgres.toUrl("sslmode", "toString"))).toBe("postgres://db/app?sslmode=require")
    expect(Redacted.value(parse("redis://:p@cache").toUrl())).toBe("redis://:p@cache")
    expect(Redacted.value(parse("postgres://u@db/app").toUrl())).toBe("postgres://u@db/app")
  })
})

/** Texts that nothing else in a URI or an error has. */
const half = FastCheck.stringMatching(/^[A-Z]{2}[0-9]{3}[A-Z]{3}$/)
const anything = FastCheck.string({ unit: "binary", maxLength: 20 })

describe("properties", () => {
  it.prop(
    "an encoded password comes back whole and shows nowhere",
    { user: half, password: FastCheck.tuple(half, FastCheck.fullUnicodeString(), half) },
    ({ password, user }) => {
      const text = password.join("").replace(/\p{Cc}/gu, "")
      const uri = parse(`redis://${user}:${encodeURIComponent(text)}@cache/0`)
      expect([secretOf(uri.user), secretOf(uri.password)]).toEqual([user, text])
      for (const part of [user, password[0], password[2]]) expect(shownBy(uri)).not.toContain(part)
      expect(Redacted.value(uri.toUrl())).toContain(encodeURIComponent(text))
    }
  )

  it.prop(
    "a password that is not encoded shows nowhere either, whatever it makes of the URI",
    {
      one: half,
      special: FastCheck.oneof(
        FastCheck.string(),
        FastCheck.constantFrom("@", ":", "/", "?", "#", "%", "&", "\\", ":1/", ":1?")
      ),
      other: half,
      form: FastCheck.constantFrom(
        (secret: string) => `redis://user:${secret}@cache:1/0?prefix=a`,
        (secret: string) => `redis://${secret}@cache`,
        (secret: string) => `postgres://user:${secret}@db/app`,
        (secret: string) => `postgres://user:12/${secret}@db/app`,
        (secret: string) => `redis//user:${secret}@cache`,
        (secret: string) => `${secret}:${secret}`,
        (secret: string) => `${secret}://user@cache`,
        (secret: string) => `redis://cache?${secret}=${secret}`,
        (secret: string) => `redis://cache?password=${secret}`,
        (secret: string) => `keychain://user:${secret}@service`,
        (secret: string) => `keychain://user:${secret}`,
        (secret: string) => `file://user:${secret}@host/dir`
      )
    },
    ({ form, one, other, special }) => {
      const shown = shownBy(Either.merge(VaultUri.parse(form(one + special + other))))
      for (const part of [one, other]) expect(shown.toUpperCase()).not.toContain(part)
    }
  )

  it.prop("what is shown of a URI without secrets is the same URI", { path: half, prefix: half }, (names) => {
    for (const text of [`file:///${names.path}/a%20b`, `redis://cache:1/2?prefix=${names.prefix}`]) {
      expect(String(parse(String(parse(text))))).toBe(text)
    }
  })

  it.prop("any text is a URI or a typed error", { text: anything }, ({ text }) => {
    for (
      const uri of [text, `file:///${text}`, `redis://${text}`, `pass://${text}`, `postgres://db/${text}`]
    ) {
      const parsed = VaultUri.parse(uri)
      if (Either.isLeft(parsed)) expect(parsed.left._tag).toBe("Misconfigured")
      else expect(parsed.right.path.split("/")).not.toContain("..")
    }
  })
})
