import * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import { assert, describe, it } from "@effect/vitest"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as Surroundings from "effect-credentials/login/Surroundings"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as Screen from "./screen.js"

const desktop: Surroundings.Facts = {
  system: "Linux",
  terminal: true,
  ci: undefined,
  remote: undefined,
  container: undefined,
  wsl: false,
  display: true,
  browserCommand: false,
  root: false,
  wanted: undefined
}

/** What the build services say of themselves. */
const builds = [
  "GITHUB_ACTIONS",
  "GITLAB_CI",
  "BUILDKITE",
  "CIRCLECI",
  "TF_BUILD",
  "JENKINS_URL",
  "TEAMCITY_VERSION",
  "CODEBUILD_BUILD_ID"
]

describe("decide", () => {
  const yes = undefined
  const cases: ReadonlyArray<
    readonly [string, Partial<Surroundings.Facts>, browser: string | undefined, person: string | undefined]
  > = [
    ["a Linux desktop", {}, yes, yes],
    ["a Linux machine without a display", { display: false }, "there is no display", yes],
    [
      "an unknown system without a display",
      { system: "Unknown", display: false },
      "there is no display",
      yes
    ],
    ["macOS", { system: "MacOS", display: false }, yes, yes],
    ["macOS as root", { system: "MacOS", display: false, root: true }, yes, yes],
    ["Windows", { system: "Windows", display: false }, yes, yes],
    ["Linux on Windows", { wsl: true, display: false }, yes, yes],
    ["Linux as root", { root: true }, "this runs as root, as whom browsers do not run", yes],
    ["SSH", { remote: "SSH_TTY", display: false }, "this is a remote session (SSH_TTY)", yes],
    ["SSH with a forwarded display", { remote: "SSH_TTY" }, "this is a remote session (SSH_TTY)", yes],
    ["SSH to macOS", { system: "MacOS", remote: "SSH_TTY" }, "this is a remote session (SSH_TTY)", yes],
    ["SSH to Linux on Windows", { wsl: true, remote: "SSH_TTY" }, "this is a remote session (SSH_TTY)", yes],
    ["a container", { container: "/.dockerenv" }, "this is a container (/.dockerenv)", yes],
    [
      "a container on Windows",
      { container: "/.dockerenv", wsl: true, display: false },
      "this is a container (/.dockerenv)",
      yes
    ],
    ["a development container", { container: "/.dockerenv", browserCommand: true, display: false }, yes, yes],
    ["a codespace", { remote: "CODESPACES", browserCommand: true, display: false }, yes, yes],
    [
      "a build machine",
      { ci: "CI", terminal: false },
      "this is a build machine (CI)",
      yes
    ],
    [
      "a build machine with all that a desktop has",
      { ci: "CI", browserCommand: true },
      "this is a build machine (CI)",
      yes
    ],
    ["no terminal", { terminal: false }, yes, yes],
    [
      "neither a terminal nor a display",
      { terminal: false, display: false },
      "there is no display",
      "there is no terminal, and no browser can open"
    ]
  ]
  for (const [name, facts, browser, person] of cases) {
    it(name, () => {
      const place = Surroundings.decide({ ...desktop, ...facts })
      assert.strictEqual(Option.getOrUndefined(place.noBrowser), browser)
      assert.strictEqual(Option.getOrUndefined(place.noPerson), person)
      assert.isTrue(Option.isNone(place.wanted))
    })
  }

  it("what the person wants changes no fact", () => {
    const place = Surroundings.decide({ ...desktop, display: false, wanted: "browser" })
    assert.deepStrictEqual(place, {
      noBrowser: Option.some("there is no display"),
      noPerson: Option.none(),
      wanted: Option.some("browser" as const)
    })
  })
})

/** A file system with these files, or one that does something of its own with every path. */
const files = (there: Record<string, string>, instead?: Effect.Effect<never>) =>
  FileSystem.layerNoop({
    exists: (path) => instead ?? Effect.succeed(path in there),
    readFileString: (path) =>
      instead ?? Effect.suspend(() => {
        const text = there[path]
        return text === undefined ? Effect.fail(notFound(path)) : Effect.succeed(text)
      })
  })

const notFound = (path: string) =>
  new PlatformError.SystemError({
    reason: "NotFound",
    module: "FileSystem",
    method: "readFile",
    pathOrDescriptor: path
  })

const linux = { "/proc/sys/kernel/osrelease": "6.1.0-18-amd64\n" }

const factsOf = (
  env: Record<string, string>,
  there: Record<string, string> = linux,
  isTTY = true
): Effect.Effect<Surroundings.Facts> =>
  Surroundings.facts.pipe(
    Effect.provide([files(there), Screen.make({ isTTY }).layer]),
    Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(env))))
  )

describe("facts", () => {
  const plain = { ...desktop, display: false }
  const cases: ReadonlyArray<
    readonly [string, Effect.Effect<Surroundings.Facts>, Partial<Surroundings.Facts>]
  > = [
    ["nothing at all", factsOf({}), {}],
    ["X", factsOf({ DISPLAY: ":0" }), { display: true }],
    ["Wayland", factsOf({ WAYLAND_DISPLAY: "wayland-0" }), { display: true }],
    ["a blank display", factsOf({ DISPLAY: " " }), {}],
    ["SSH_CONNECTION", factsOf({ SSH_CONNECTION: "10.0.0.1 5 10.0.0.2 22" }), { remote: "SSH_CONNECTION" }],
    ["SSH_TTY", factsOf({ SSH_TTY: "/dev/pts/0" }), { remote: "SSH_TTY" }],
    ["SSH_CLIENT", factsOf({ SSH_CLIENT: "10.0.0.1 5 22" }), { remote: "SSH_CLIENT" }],
    ["GITPOD_WORKSPACE_ID", factsOf({ GITPOD_WORKSPACE_ID: "x" }), { remote: "GITPOD_WORKSPACE_ID" }],
    ["a codespace", factsOf({ CODESPACES: "true", BROWSER: "/vscode/bin/helpers/browser.sh" }), {
      remote: "CODESPACES",
      browserCommand: true
    }],
    ["CI", factsOf({ CI: "true" }), { ci: "CI" }],
    ...builds.map((name) => [name, factsOf({ [name]: "https://ci.test/" }), { ci: name }] as const),
    ["CI=false", factsOf({ CI: "false" }), {}],
    ["CI=0", factsOf({ CI: "0" }), {}],
    ["Docker", factsOf({}, { ...linux, "/.dockerenv": "" }), { container: "/.dockerenv" }],
    ["Podman", factsOf({}, { ...linux, "/run/.containerenv": "" }), { container: "/run/.containerenv" }],
    ["Kubernetes", factsOf({ KUBERNETES_SERVICE_HOST: "10.0.0.1" }), {
      container: "KUBERNETES_SERVICE_HOST"
    }],
    ["systemd-nspawn and others", factsOf({ container: "podman" }), { container: "container" }],
    [
      "WSL by its kernel",
      factsOf({}, { "/proc/sys/kernel/osrelease": "5.15.153.1-microsoft-standard-WSL2" }),
      {
        wsl: true
      }
    ],
    ["WSL by its variable", factsOf({ WSL_DISTRO_NAME: "Debian" }), { wsl: true }],
    ["macOS", factsOf({}, { "/System/Library/CoreServices/SystemVersion.plist": "" }), { system: "MacOS" }],
    ["Windows", factsOf({ OS: "Windows_NT" }, {}), { system: "Windows" }],
    ["another system", factsOf({}, {}), { system: "Unknown" }],
    ["root", factsOf({ HOME: "/root" }), { root: true }],
    ["sudo", factsOf({ SUDO_UID: "1000" }), { root: true }],
    ["no terminal", factsOf({}, linux, false), { terminal: false }],
    ["wanted", factsOf({ EFFECT_CREDENTIALS_LOGIN: "device" }), { wanted: "device" }],
    ["wanted in capitals", factsOf({ EFFECT_CREDENTIALS_LOGIN: " Browser " }), { wanted: "browser" }],
    ["wanted, but no way that there is", factsOf({ EFFECT_CREDENTIALS_LOGIN: "carrier pigeon" }), {
      wanted: "misspelt"
    }],
    ["wanted, the name of a property of all objects", factsOf({ EFFECT_CREDENTIALS_LOGIN: "constructor" }), {
      wanted: "misspelt"
    }],
    ["wanted, at great length", factsOf({ EFFECT_CREDENTIALS_LOGIN: "browser".repeat(10_000) }), {
      wanted: "misspelt"
    }],
    ["wanted, but blank", factsOf({ EFFECT_CREDENTIALS_LOGIN: " \t" }), {}]
  ]
  for (const [name, facts, expected] of cases) {
    it.effect(name, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* facts, { ...plain, ...expected })
      }))
  }

  const browsers: ReadonlyArray<readonly [string, boolean]> = [
    ["firefox", true],
    ["/usr/bin/google-chrome %s", true],
    ["/vscode/bin/linux-x64/abc/bin/helpers/browser.sh", true],
    ["w3m", false],
    ["/usr/bin/lynx", false],
    ["links2", false],
    ["elinks", false],
    ["www-browser:links", false],
    ["echo", false],
    ["none", false],
    ["  ", false]
  ]
  for (const [command, expected] of browsers) {
    it.effect(`BROWSER=${command}`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* factsOf({ BROWSER: command })).browserCommand, expected)
      }))
  }

  it.effect("do without a file system", () =>
    Effect.gen(function*() {
      const facts = yield* Surroundings.facts.pipe(
        Effect.provide(Screen.make().layer),
        Effect.withConfigProvider(ConfigProvider.fromMap(new Map([["DISPLAY", ":0"]])))
      )
      assert.deepStrictEqual(facts, { ...desktop, system: "Unknown" })
    }))

  for (
    const [name, breaks] of [
      ["hangs", Effect.never],
      ["hangs and can't be interrupted", Effect.uninterruptible(Effect.never)],
      ["dies", Effect.die("broken")]
    ] as const
  ) {
    it.effect(`are not known where the system ${name}, and nobody waits for more than a second`, () =>
      Effect.gen(function*() {
        const screen = Screen.make().terminal
        const terminal = { ...screen, isTTY: breaks }
        const fiber = yield* Surroundings.facts.pipe(
          Effect.provide([files({}, breaks), Screen.layerOf(terminal)]),
          Effect.withConfigProvider(
            ConfigProvider.make({
              flattened: {} as never,
              load: () => name === "dies" ? Effect.fail(ConfigError.Unsupported([], "broken")) : breaks
            })
          ),
          Effect.fork
        )
        yield* TestClock.adjust("1 second")
        assert.isNotNull(fiber.unsafePoll())
        assert.deepStrictEqual(yield* Fiber.join(fiber), {
          ...plain,
          system: "Unknown",
          terminal: false
        })
      }))
  }

  it.effect("are texts of names, and show nothing of what a variable holds", () =>
    Effect.gen(function*() {
      const secret = "\u001b[2Jsecret"
      const env = Object.fromEntries(
        ["CI", "SSH_TTY", "container", "BROWSER", "DISPLAY", "EFFECT_CREDENTIALS_LOGIN"].map((
          name
        ) => [name, secret])
      )
      const facts = yield* factsOf(env)
      assert.notInclude(JSON.stringify([facts, Surroundings.decide(facts)]), "secret")
    }))
})

it.effect("the layer looks anew each time", () =>
  Effect.gen(function*() {
    const env = new Map<string, string>()
    const { place } = yield* Effect.provide(
      Surroundings.Surroundings,
      Layer.provide(Surroundings.layer, [files(linux), Screen.make().layer])
    )
    const look = Effect.withConfigProvider(place, ConfigProvider.fromMap(env))
    assert.deepStrictEqual((yield* look).noBrowser, Option.some("there is no display"))
    env.set("DISPLAY", ":0")
    assert.deepStrictEqual((yield* look).noBrowser, Option.none())
  }))

describe("the launcher", () => {
  const opening = (
    facts: Partial<Surroundings.Facts>,
    launcher?: Layer.Layer<BrowserLauncher.BrowserLauncher>
  ) => {
    const opened: Array<string> = []
    const real = BrowserLauncher.layerTest((url) => Effect.sync(() => void opened.push(url)))
    return Surroundings.launcher.pipe(
      Effect.provide([Surroundings.layerOf(facts), launcher ?? real]),
      Effect.flatMap((made) => Effect.zip(made.available, Effect.either(made.open("https://idp.test/")))),
      Effect.map(([none, result]) => ({ none: Option.getOrUndefined(none), result, opened }))
    )
  }

  it.effect("opens no browser where none can open", () =>
    Effect.gen(function*() {
      const { none, opened, result } = yield* opening({ remote: "SSH_TTY" })
      assert.strictEqual(none, "this is a remote session (SSH_TTY)")
      assert.deepStrictEqual(opened, [])
      assert.strictEqual(result._tag === "Left" ? result.left.reason : undefined, "NotAvailable")
    }))

  it.effect("opens one where one can", () =>
    Effect.gen(function*() {
      const { none, opened } = yield* opening({})
      assert.deepStrictEqual([none, opened], [undefined, ["https://idp.test/"]])
    }))

  it.effect("opens one where the person wants it", () =>
    Effect.gen(function*() {
      const { none, opened } = yield* opening({ remote: "SSH_TTY", wanted: "browser" })
      assert.deepStrictEqual([none, opened], [undefined, ["https://idp.test/"]])
    }))

  it.effect("opens none where nobody can tell what the person wants", () =>
    Effect.gen(function*() {
      const { none, opened } = yield* opening({ remote: "SSH_TTY", wanted: "misspelt" })
      assert.deepStrictEqual([none, opened], ["this is a remote session (SSH_TTY)", []])
    }))

  it.effect("knows what the launcher below can't do", () =>
    Effect.gen(function*() {
      const { none } = yield* opening({}, BrowserLauncher.layerNone("nothing is installed"))
      assert.strictEqual(none, "nothing is installed")
    }))
})
