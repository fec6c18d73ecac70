/**
 * A Secret Service of its own: a session bus and a keyring in a directory that goes away with the scope.
 *
 * The binding remembers the address of the first bus that it sees, so all buses of a process have one address,
 * of which at most one is open at a time.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

export interface SecretService {
  readonly address: string
  /** Locks the keyring; nobody is there to unlock it. */
  readonly lock: Effect.Effect<void>
  /** The service stops to answer until it is resumed. */
  readonly suspend: Effect.Effect<void>
  readonly resume: Effect.Effect<void>
  /** What the keyring calls the items of a service. */
  readonly items: (service: string) => Effect.Effect<ReadonlyArray<string>>
}

export interface Options {
  /** What is not there. Default nothing. */
  readonly without?: "bus" | "service" | "permission" | undefined
}

const has = (command: string): boolean => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0

export const available: boolean = process.env["REQUIRE_SERVERS"] === "1" ||
  ["dbus-daemon", "gnome-keyring-daemon", "gdbus"].every((command) =>
    command === "gdbus"
      ? existsSync("/usr/bin/gdbus") || spawnSync("gdbus").error === undefined
      : has(command)
  )

/** One directory a process, with the one address. */
const directory = (): string => {
  const known = process.env["EFFECT_CREDENTIALS_TEST_BUS"]
  if (known !== undefined) return known
  const made = mkdtempSync(join(tmpdir(), "secret-service-"))
  process.env["EFFECT_CREDENTIALS_TEST_BUS"] = made
  process.env["DBUS_SESSION_BUS_ADDRESS"] = `unix:path=${join(made, "bus")}`
  return made
}

/** A keyring that is unlocked, unless told otherwise. */
export const make = (options: Options = {}): Effect.Effect<SecretService, never, Scope.Scope> =>
  Effect.gen(function*() {
    const base = directory()
    const socket = join(base, "bus")
    const address = `unix:path=${socket}`
    const home = yield* Effect.acquireRelease(
      Effect.sync(() => {
        mkdirSync(base, { recursive: true, mode: 0o700 })
        return mkdtempSync(join(base, "home-"))
      }),
      () => Effect.sync(() => rmSync(base, { recursive: true, force: true }))
    )
    const runtime = join(home, "run")
    mkdirSync(runtime, { mode: 0o700 })
    const env = {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      XDG_RUNTIME_DIR: runtime,
      XDG_DATA_HOME: join(home, "data"),
      DBUS_SESSION_BUS_ADDRESS: address
    }
    const call = (...args: ReadonlyArray<string>) =>
      Effect.sync(() =>
        spawnSync("gdbus", ["call", "--session", ...args], { env, encoding: "utf8", timeout: 5_000 })
      )
    if (options.without !== "bus") {
      const config = join(home, "bus.conf")
      writeFileSync(config, busConfig(socket, options.without === "permission"))
      yield* running("dbus-daemon", [`--config-file=${config}`, "--nofork"], env)
      yield* until(() => existsSync(socket))
    }
    let keyring: ChildProcess | undefined
    if (options.without === undefined || options.without === "permission") {
      keyring = yield* running(
        "gnome-keyring-daemon",
        ["--unlock", "--components=secrets", "--foreground"],
        env,
        "password"
      )
      const ask = call(
        "--dest",
        "org.freedesktop.DBus",
        "--object-path",
        "/org/freedesktop/DBus",
        "--method",
        "org.freedesktop.DBus.NameHasOwner",
        "org.freedesktop.secrets"
      )
      yield* ask.pipe(
        Effect.delay("20 millis"),
        Effect.repeat({ until: ({ stdout }) => stdout.includes("true"), times: 200 })
      )
    }
    const secrets = [
      "--dest",
      "org.freedesktop.secrets",
      "--object-path",
      "/org/freedesktop/secrets",
      "--method"
    ]
    return {
      address,
      lock: Effect.asVoid(
        call(
          ...secrets,
          "org.freedesktop.Secret.Service.Lock",
          "['/org/freedesktop/secrets/collection/login']"
        )
      ),
      suspend: Effect.sync(() => void keyring?.kill("SIGSTOP")),
      resume: Effect.sync(() => void keyring?.kill("SIGCONT")),
      items: (service) =>
        Effect.map(
          call(...secrets, "org.freedesktop.Secret.Service.SearchItems", `{'service': '${service}'}`),
          ({ stdout }) => stdout.match(/\/org\/freedesktop\/secrets\/collection\/\w+\/\w+/g) ?? []
        )
    }
  })

/** No service is started on demand, and without permission nobody may send to the Secret Service. */
const busConfig = (socket: string, isForbidden: boolean): string =>
  `<busconfig><type>session</type><listen>unix:path=${socket}</listen><policy context="default">
  <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  ${isForbidden ? `<deny send_destination="org.freedesktop.secrets"/>` : ""}</policy>
  <limit name="max_connections_per_user">100000</limit></busconfig>`

const running = (
  command: string,
  args: ReadonlyArray<string>,
  env: Record<string, string>,
  stdin?: string
): Effect.Effect<ChildProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(command, args, {
        env,
        stdio: [stdin === undefined ? "ignore" : "pipe", "ignore", "ignore"]
      })
      child.stdin?.end(stdin)
      return child
    }),
    (child) =>
      Effect.async<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )

const until = (holds: () => boolean): Effect.Effect<void> =>
  Effect.asVoid(
    Effect.repeat(Effect.delay(Effect.sync(holds), "10 millis"), { until: (held) => held, times: 500 })
  )
