/** Each example runs in a process of its own, and tells what it promises. */
import { afterAll, beforeAll, describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

interface Example {
  /** What its standard output has to show, in this order. */
  readonly tells: ReadonlyArray<string | RegExp>
  /** What neither of its outputs may show, beside what no example may. */
  readonly secrets: ReadonlyArray<string>
}

/** The slowest first: a device login takes the five seconds between two polls. */
const examples: Readonly<Record<string, Example>> = {
  "device-login": {
    tells: [
      "=== first start",
      /enter the code [A-Z]{4}-[A-Z]{4}/,
      /api login: Healthy, generation 1/,
      "=== second start",
      /api login: Healthy, generation 1/,
      "=== 1 login, 0 renewals"
    ],
    secrets: []
  },
  "two-programs-one-vault": {
    tells: [
      "one program:   generation 2, secret",
      "the other one: generation 2, secret",
      "=== 1 login, 1 renewal, 0 refused"
    ],
    secrets: []
  },
  "cli-login": {
    tells: [
      "at a desk\n  a browser opens\n  I am alice",
      "over SSH\n  by a code: this is a remote session (SSH_CONNECTION)\n  I am alice",
      "as a service\n  app: a login is needed and nobody can be asked: there is no terminal, and no browser can open."
    ],
    secrets: []
  },
  "user-info": {
    tells: [
      "the ID token:  alice, logged in to demo-app",
      "a forged one:  ID token: the signature of the ID token does not hold.",
      "the person:    alice of the demo",
      /somebody else: .*: the answer is about somebody else\./,
      /after logout: {2}.*: the server rejected the token\./,
      "the browser:   its session is ended as well"
    ],
    secrets: ["id_token_hint"]
  },
  "sign-in": {
    tells: [
      "token:   demo: nobody is logged in",
      "login:   Healthy",
      "access <redacted>",
      "refresh: generation 2",
      "logout:  the issuer is told",
      "the file: none",
      "=== 1 login, 1 renewal"
    ],
    secrets: []
  },
  "status-and-changes": {
    tells: [
      "09:00  Idle, no token",
      "09:05  Healthy, token 1",
      /09:5\d {2}Degraded, token 1/,
      /api: Degraded, generation 1, expires 2030-01-01T10:05:00.000Z, tries again 2030-01-01T10:0/,
      "10:05  Degraded, no token",
      "10:15  a caller gets TransientFailure",
      /10:1\d {2}Healthy, token 2/,
      /api: Healthy, generation 2, expires 2030-01-01T11:1/
    ],
    secrets: ["service-secret"]
  },
  "cached-fetch": {
    tells: [
      "before the first use: 0 logins",
      "1000 callers at once: 1 login\n",
      /gets token ([2-9]|\d\d):/
    ],
    secrets: ["secret-session"]
  },
  "testing-a-login": {
    tells: [
      /a day: 1 login, 2\d renewals, 48 calls/,
      "then a call: refresh at idp.test: the authorization server refused with invalid_grant.",
      "then a start: browser login at idp.test: the authorization server refused with access_denied.",
      "browsers opened: 2"
    ],
    secrets: []
  },
  "testing-on-a-mocked-clock": {
    tells: [/no call of 41 failed; [789] tokens/],
    secrets: ["service-secret"]
  },
  "typed-api": {
    tells: ["buy milk, call home", "the API does not take this token", "Set NOTES_TOKEN to use it."],
    secrets: ["a-signing-key", "made-up-token"]
  },
  "many-sources": {
    tells: [
      "invoice for acme: their token 1, our token 1",
      "invoice for globex: their token 1, our token 1",
      "invoice for acme: their token 1, our token 1",
      "github: Healthy",
      "billing: Healthy, generation 1",
      "initech: the authorization server refused with invalid_client.",
      "tokens were fetched for acme, billing, globex"
    ],
    secrets: ["key-of-github", "secret-of-"]
  },
  "client-credentials": {
    tells: [
      "three calls: 200,200,200, tokens: 1",
      "after the token was revoked: 200, tokens: 2",
      "the authorization server refused with invalid_client."
    ],
    secrets: ["service-secret", "not-the-secret"]
  },
  "static-key": {
    tells: [
      "without the key: 401",
      "with the key:    200 sunny",
      "the key in a log: <redacted>",
      "a blank key: weather key: the secret is empty or blank."
    ],
    secrets: ["key-of-the-example"]
  },
  "encrypted-vault": {
    tells: [
      "on the disk: ciphertext",
      "file: get: this is not the passphrase that was given first.",
      "rotated: 2 records, 0 failed",
      "rotated again: 0 records, 2 were current",
      "with the new key alone: the value is there",
      "with the old key alone: Denied"
    ],
    secrets: ["passphrase-of-the-example", "a-guess", "secret-of-"]
  },
  "vault-from-uri": {
    tells: [
      "memory: stored <redacted>",
      "opened scratch desk",
      "vault URI: redis: the database is not a number.",
      "vault URI: file: it names a host, or has two slashes instead of three.",
      "op is not built into this release; the schemes here are memory, file, env,",
      "in a log: rediss://<redacted>@cache.example:6380/2?prefix=app%3A"
    ],
    secrets: ["hidden-word", "stored-secret"]
  },
  "jwt-bearer": {
    tells: ["three calls: 200, 200, 200; tokens: 1", "refused with invalid_grant"],
    secrets: []
  },
  "token-exchange": {
    tells: ["1 exchange: good for 10, 10, 10 minutes", "token may have ended"],
    secrets: ["service-secret"]
  },
  "mtls": { tells: [/stolen token: +401/, "invalid_client"], secrets: ["bound-token-"] },
  "mcp-client": {
    tells: [
      "=== first start",
      "connected to demo",
      "=== second start",
      "=== 1 registration, 2 logins"
    ],
    secrets: []
  },
  "dpop-api": {
    tells: [
      "three calls: 200 notes of service, 200 notes of service, 200 notes of service",
      "demands for a nonce: 1",
      "in a log: DPoP <redacted>, its key <redacted>",
      "copied, with another key: 401",
      "copied, without a key: thief:",
      "by hand: 200",
      "the same proof again: 401"
    ],
    secrets: ["secret-of-the-service"]
  },
  ...Object.fromEntries(
    ["anthropic", "entra", "github", "google", "minimax", "openai", "qwen"].map((name) => [
      `providers/${name}`,
      {
        tells: ["is a record of", "log in.", /logged in/, /renewed/, "does not know: 0"],
        secrets: ["access_token-", "refresh_token-", "secret-of-the-caller"]
      }
    ])
  ),
  "environment": {
    tells: [
      "model key: no tier has a token.",
      "1. own key: OPENAI_API_KEY is not set, AZURE_API_KEY is not set. Set OPENAI_API_KEY or AZURE_API_KEY",
      "2. key of the team: TEAM_API_KEY is not set.",
      "OPENAI_API_KEY is blank, AZURE_API_KEY is not set.",
      "[Answered] key of the team: Available",
      "[Answered] own key: Available",
      "[Shadowed] key of the team: Available"
    ],
    secrets: ["secret-of-"]
  }
}

/** A signed token, and the tokens and codes of the virtual identity provider. */
const anySecret = /\beyJ[\w-]{10,}|\b(?:at|rt|dc)_[0-9a-v]{24}\b/

interface Outcome {
  readonly exit: unknown
  readonly stdout: string
  readonly stderr: string
}

const root = fileURLToPath(new URL("..", import.meta.url))

/** What is run for an example of this name. */
type Command = (name: string) => ReadonlyArray<string>

/** As its reader does. */
const asWritten: Command = (name) => ["--import", "tsx", `examples/${name}.ts`]

/** All of them as plain JavaScript, since to compile each on the fly takes longer than to run it. */
const compiled = async (directory: string): Promise<Command> => {
  await build({
    absWorkingDir: root,
    entryPoints: Object.keys(examples).map((name) => `examples/${name}.ts`),
    outdir: directory,
    outbase: "examples",
    bundle: true,
    splitting: true,
    packages: "external",
    format: "esm",
    platform: "node",
    target: "node20",
    logLevel: "error"
  })
  writeFileSync(path.join(directory, "package.json"), "{\"type\":\"module\"}")
  symlinkSync(path.join(root, "node_modules"), path.join(directory, "node_modules"), "dir")
  // What a module reads from beside itself.
  symlinkSync(path.join(root, "test/provider/contracts"), path.join(directory, "contracts"), "dir")
  return (name) => [path.join(directory, `${name}.js`)]
}

const run = (name: string, command: Command): Effect.Effect<Outcome> =>
  Effect.async((resume) => {
    execFile(
      process.execPath,
      command(name),
      {
        cwd: root,
        timeout: 30_000,
        killSignal: "SIGKILL",
        env: { PATH: process.env["PATH"], NO_COLOR: "1" }
      },
      (error, stdout, stderr) => {
        const exit = error === null ? 0 : error.killed === true ? "killed after 30 s" : error.code
        resume(Effect.succeed({ exit, stdout, stderr }))
      }
    )
  })

/** Where each of the texts begins, each looked for behind the one before; -1 where one is missing. */
const positions = (text: string, tells: Example["tells"]): ReadonlyArray<number> => {
  let from = 0
  return tells.map((told) => {
    const rest = text.slice(from)
    const at = typeof told === "string" ? rest.indexOf(told) : rest.search(told)
    if (at < 0) return -1
    from += at + 1
    return from - 1
  })
}

describe("examples", () => {
  const outcomes = new Map<string, Outcome>()

  const directory = mkdtempSync(path.join(tmpdir(), "examples-"))

  beforeAll(async () => {
    const command = await compiled(directory)
    await Effect.runPromise(Effect.forEach(
      Object.keys(examples),
      (name) => Effect.map(run(name, command), (outcome) => outcomes.set(name, outcome)),
      { concurrency: 3, discard: true }
    ))
  }, 120_000)

  afterAll(() => rmSync(directory, { recursive: true }))

  it("run as they are, too", async () => {
    const { exit, stdout } = await Effect.runPromise(run("environment", asWritten))
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: outcomes.get("environment")?.stdout })
  })

  it("are all listed here", () => {
    const files = ["", "providers/"]
      .flatMap((folder) => readdirSync(`${root}/examples/${folder}`).map((name) => folder + name))
      .filter((name) => name.endsWith(".ts") && name !== "providers/account.ts")
    expect(files.sort()).toEqual(Object.keys(examples).map((name) => `${name}.ts`).sort())
  })

  describe.each(Object.entries(examples))("%s", (name, { secrets, tells }) => {
    const outcome = (): Outcome => outcomes.get(name) ?? { exit: "not run", stdout: "", stderr: "" }

    it("ends by itself, with success", () => {
      expect(outcome()).toMatchObject({ exit: 0 })
    })

    it("tells what happened", () => {
      const { stdout } = outcome()
      const missing = tells.filter((_, index) => positions(stdout, tells)[index] === -1)
      expect(missing, stdout).toEqual([])
    })

    it("shows no secret", () => {
      const { stderr, stdout } = outcome()
      const shown = stdout + stderr
      expect(shown).not.toMatch(anySecret)
      expect(secrets.filter((secret) => shown.includes(secret))).toEqual([])
    })
  })
})
