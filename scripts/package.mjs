// After a build: every public module resolves by its public name with its types, and nothing internal does; and
// the index can be bundled, for a browser too, with no package but those that everybody has.
import { build } from "esbuild"
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

/** Leaves out what everybody has, and finds nothing else: the optional packages are installed here. */
const everybodys = /^(effect|@effect\/platform|jose|oauth4webapi|uqr|@noble\/hashes)(\/|$)/
const packages = {
  name: "packages",
  setup: ({ onResolve }) =>
    onResolve({ filter: /^[^.]/ }, ({ kind, path }) => {
      if (kind === "entry-point") return undefined
      return everybodys.test(path) ? { external: true } : { errors: [{ text: `it needs ${path}` }] }
    })
}

const bundled = (await Promise.all(["browser", "node"].map(bundling))).flat()
bundled.forEach((problem) => console.error(problem))

console.log(`package: ${open.length} public modules, ${modules.length - open.length} closed`)
process.exitCode = problems.length + bundled.length > 0 || attw.status !== 0 ? 1 : 0

function resolves(specifier) {
  try {
    import.meta.resolve(specifier)
    return true
  } catch {
    return false
  }
}

/** Why a bundle of the index for this platform needs more than the packages that everybody has. */
async function bundling(platform) {
  const options = { entryPoints: ["dist/index.js"], bundle: true, write: false, format: "esm", platform }
  try {
    await build({ ...options, logLevel: "silent", plugins: [packages] })
    return []
  } catch (error) {
    return error.errors.map(({ location, text }) => `a bundle for ${platform}: ${location?.file}: ${text}`)
  }
}
