/** What there is to be seen of the place that the program runs in: variables, files and the terminal. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Terminal from "@effect/platform/Terminal"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** What was found, as it is. Texts are empty where there is nothing. */
export interface Found {
  readonly terminal: boolean
  /** A variable; those that are named below. */
  readonly variable: (name: string) => string
  /** What the kernel calls itself, on Linux. */
  readonly kernel: string
  readonly mac: boolean
  /** The file that only containers have. */
  readonly container: string
}

/** What says that this is a build machine, unless it is off. */
export const ci: ReadonlyArray<string> = [
  "CI",
  "GITHUB_ACTIONS",
  "GITLAB_CI",
  "BUILDKITE",
  "CIRCLECI",
  "TF_BUILD",
  "JENKINS_URL",
  "TEAMCITY_VERSION",
  "CODEBUILD_BUILD_ID"
]

/** An SSH session, and the development machines that are used from elsewhere. */
export const remote: ReadonlyArray<string> = [
  "SSH_CONNECTION",
  "SSH_TTY",
  "SSH_CLIENT",
  "CODESPACES",
  "GITPOD_WORKSPACE_ID",
  "REMOTE_CONTAINERS",
  "CLOUD_SHELL"
]

const names = [
  ...ci,
  ...remote,
  "BROWSER",
  "DISPLAY",
  "EFFECT_CREDENTIALS_LOGIN",
  "HOME",
  "KUBERNETES_SERVICE_HOST",
  "OS",
  "SUDO_UID",
  "USER",
  "WAYLAND_DISPLAY",
  "WSL_DISTRO_NAME",
  "container"
]

/** Empty where it is not set, blank, or can't be read. */
export const read = (name: string): Effect.Effect<string> =>
  soon(Effect.map(Config.string(name), (text) => text.trim().slice(0, 4096)), "")

/** What is there within a second. */
const soon = <A, E>(self: Effect.Effect<A, E>, otherwise: A): Effect.Effect<A> =>
  Effect.disconnect(Effect.interruptible(self)).pipe(
    Effect.timeout("1 second"),
    Effect.catchAllCause(() => Effect.succeed(otherwise))
  )

const files: Effect.Effect<Pick<Found, "container" | "kernel" | "mac">> = Effect.flatMap(
  Effect.serviceOption(FileSystem.FileSystem),
  Option.match({
    onNone: () => Effect.succeed({ kernel: "", mac: false, container: "" }),
    onSome: (fileSystem) => {
      const there = (path: string) => soon(fileSystem.exists(path), false)
      return Effect.map(
        Effect.all({
          kernel: soon(fileSystem.readFileString("/proc/sys/kernel/osrelease"), ""),
          mac: there("/System/Library/CoreServices/SystemVersion.plist"),
          docker: there("/.dockerenv"),
          podman: there("/run/.containerenv")
        }, { concurrency: "unbounded" }),
        ({ docker, kernel, mac, podman }) => ({
          kernel: kernel.slice(0, 200),
          mac,
          container: docker ? "/.dockerenv" : podman ? "/run/.containerenv" : ""
        })
      )
    }
  })
)

/** Never fails: what can't be read, or not within a second, is not there. */
export const look: Effect.Effect<Found, never, Terminal.Terminal> = Effect.flatMap(
  Terminal.Terminal,
  (terminal) =>
    Effect.map(
      Effect.all({
        terminal: soon(terminal.isTTY, false),
        texts: Effect.forEach(names, read, { concurrency: "unbounded" }),
        files
      }, { concurrency: "unbounded" }),
      ({ files, terminal, texts }) => {
        const found = new Map(names.map((name, index) => [name, texts[index] ?? ""]))
        return { ...files, terminal, variable: (name: string) => found.get(name) ?? "" }
      }
    )
)
