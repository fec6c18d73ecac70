// Completes package-lock.json (of the folder given, or this one). npm leaves out the entries of other
// platforms' binaries when it can't see them, and then `npm ci` of npm 11 refuses the file on every platform.
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"

const file = join(process.argv[2] ?? ".", "package-lock.json")
const lock = JSON.parse(readFileSync(file, "utf8"))
const packages = Object.entries(lock.packages)
const present = new Set(packages.map(([path]) => path.replace(/^.*node_modules\//, "")))

const added = packages.flatMap(([path, { dev, optionalDependencies = {} }]) =>
  Object.entries(optionalDependencies)
    .filter(([name]) => path !== "" && !present.has(name))
    .map(([name, version]) => [`node_modules/${name}`, entryOf(name, version, dev)])
)
lock.packages = Object.fromEntries(
  [...packages, ...added].sort(([a], [b]) => a.localeCompare(b, "en"))
)

writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${file}: ${added.length} entries added`)

/** What npm would write, but for the checksum; the platform is read off the name, as in `@dprint/linux-x64-musl`. */
function entryOf(name, version, dev) {
  const platform =
    /(android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32)-([a-z0-9]+)(?:-(\w+))?$/
      .exec(name)
  if (platform === null || /[^\d.]/.test(version)) {
    throw new Error(`${name}@${version} is missing for another reason`)
  }
  const [, os, cpu, abi = ""] = platform
  const libc = abi.startsWith("musl") ? ["musl"] : /^g(nu|libc)/.test(abi) ? ["glibc"] : undefined
  return {
    version,
    cpu: [cpu],
    ...(dev && { dev }),
    ...(os === "linux" && libc && { libc }),
    optional: true,
    os: [os]
  }
}
