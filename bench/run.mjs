// The benchmark: `node bench/run.mjs` runs all measures, `node bench/run.mjs P1 P3` runs these.
//
// Installs the peers and builds the library when that is needed, runs each measure in a process of its own, prints one
// line a measure (and its table below), and fails when one falls short.
import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, statSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { runChild } from "./support/child.mjs"
import { dist } from "./support/dist.mjs"
import { render } from "./support/report.mjs"

/** The measures that there are, and the seconds that each may take at the very most. */
const measures = { P1: 120, P2: 120, P3: 120, P4: 120, P5: 120, P6: 240, P7: 180, P10: 420 }

const here = new URL("./", import.meta.url)
const root = new URL("../", here)

const npm = (args, cwd) => {
  const { status } = spawnSync("npm", args, {
    cwd: fileURLToPath(cwd),
    stdio: ["ignore", "ignore", "inherit"]
  })
  if (status === 0) return
  console.error(`npm ${args.join(" ")} failed in ${fileURLToPath(cwd)}`)
  process.exit(2)
}

const filesBelow = (directory) =>
  readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(`${entry.parentPath ?? entry.path}/${entry.name}`).mtimeMs)

const isStale = () => {
  if (!existsSync(new URL("TokenCache.js", dist))) return true
  return Math.max(...filesBelow(new URL("src/", root))) > Math.min(...filesBelow(dist))
}

const named = process.argv.slice(2).map((name) => name.toUpperCase())
const unknown = named.filter((name) => !Object.hasOwn(measures, name))
if (unknown.length > 0) {
  console.error(`No such measure: ${unknown.join(", ")}. There are ${Object.keys(measures).join(", ")}.`)
  process.exit(2)
}

if (!existsSync(new URL("node_modules/", root))) npm(["ci"], root)
if (!existsSync(new URL("node_modules/", here))) npm(["ci"], here)
if (process.env.BENCH_DIST === undefined && isStale()) npm(["run", "build"], root)

let short = 0
for (const name of named.length > 0 ? named : Object.keys(measures)) {
  const seconds = measures[name]
  const result = await runChild(new URL(`measures/${name}.mjs`, here), [], { seconds })
  if (result === undefined) console.log(`${name} gave no result (time limit ${seconds} s) FALLS SHORT`)
  else console.log(render(result).join("\n"))
  if (result === undefined || !result.figures.every((one) => one.ok)) short++
}
process.exit(short > 0 ? 1 : 0)
