// Who may import whom in src. A room is a folder of src; "core" is the modules at its root.
import madge from "madge"

/** What each room may import besides itself: rooms, or single modules. */
const walls = {
  core: [],
  oauth: ["core"],
  login: ["core", "oauth"],
  vault: ["core"],
  http: ["core", "oauth/Dpop"],
  pool: ["core", "http"],
  identity: ["core", "oauth"],
  provider: ["core", "oauth"],
  manager: ["core", "oauth", "login", "vault", "http", "pool", "identity", "provider"],
  testing: [
    "core",
    "oauth",
    "vault/Vault",
    "vault/CrashPoint",
    "login/BrowserLauncher",
    "login/CallbackListener"
  ],
  cli: ["core", "oauth", "login", "vault", "http", "pool", "identity", "provider", "manager", "testing"]
}

const graph = await madge("src", {
  fileExtensions: ["ts"],
  tsConfig: "tsconfig.json",
  detectiveOptions: { ts: { skipTypeImports: false } }
})

const problems = [
  ...graph.circular().map((circle) => `circle: ${[...circle, circle[0]].join(" -> ")}`),
  ...graph.warnings().skipped.filter(isOwn).map((path) => `not found: ${path}`),
  ...Object.entries(graph.obj()).flatMap(([from, targets]) =>
    targets.flatMap((to) => {
      const why = refusal(from, to)
      return why === undefined ? [] : [`${from} -> ${to}: ${why}`]
    })
  )
]

problems.forEach((problem) => console.error(problem))
console.log(`imports: ${Object.keys(graph.obj()).length} modules, ${problems.length} problems`)
process.exitCode = problems.length > 0 ? 1 : 0

/** Why `from` may not import `to`; undefined where it may. */
function refusal(from, to) {
  if (to.startsWith("..")) return "outside src"
  const inside = internalOf(to)
  if (inside !== undefined && roomOf(from) !== inside) return `internal to ${inside}`
  if (from === "index.ts" || roomOf(from) === roomOf(to)) return undefined
  const allowed = walls[roomOf(from)]
  if (allowed === undefined) return `room ${roomOf(from)} has no line in scripts/imports.mjs`
  return allowed.includes(roomOf(to)) || allowed.includes(to.replace(/\.ts$/, ""))
    ? undefined
    : `${roomOf(from)} may not import ${roomOf(to)}`
}

function roomOf(path) {
  const room = path.includes("/") ? path.slice(0, path.indexOf("/")) : "core"
  return room === "internal" ? "core" : room
}

/** The room that owns an internal module; undefined for a public one. */
function internalOf(path) {
  return path.split("/").includes("internal") ? roomOf(path) : undefined
}

/** Relative paths and the package's own name; everything else is another package. */
function isOwn(path) {
  return path.startsWith(".") || path.startsWith("effect-credentials")
}
