// After a build: every public module resolves by its public name with its types, and nothing internal does.
import { spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"

const name = "effect-credentials"
const closed = /(^|\/)internal\/|^cli\//

const modules = readdirSync("dist", { recursive: true })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".js"))
  .map((path) => path.replace(/\.js$/, ""))
const open = modules.filter((module) => !closed.test(module))

const problems = modules.flatMap((module) => {
  const specifier = module === "index" ? name : `${name}/${module}`
  if (resolves(specifier) === open.includes(module)) return []
  return [
    `${specifier} ${open.includes(module) ? "can't be imported" : "can be imported, but is not public"}`
  ]
})
problems.forEach((problem) => console.error(problem))

const attw = spawnSync(
  process.execPath,
  // dprint-ignore
  [
    "node_modules/@arethetypeswrong/cli/dist/index.js",
    "--pack", ".", "--profile", "esm-only", "--format", "ascii",
    "--entrypoints", ...open.map((module) => module === "index" ? "." : module)
  ],
  { encoding: "utf8" }
)
if (attw.status !== 0) console.error(attw.stdout, attw.stderr)

console.log(`package: ${open.length} public modules, ${modules.length - open.length} closed`)
process.exitCode = problems.length > 0 || attw.status !== 0 ? 1 : 0

function resolves(specifier) {
  try {
    import.meta.resolve(specifier)
    return true
  } catch {
    return false
  }
}
