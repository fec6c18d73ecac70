// P7: what importing the core costs at start-up, against importing the Effect modules that any program on Effect has.
// (The start-up of the command line comes with the command line.)
import { spawnSync } from "node:child_process"
import { dist } from "../support/dist.mjs"
import { loadedUrls } from "../support/loadedUrls.mjs"
import { check, figure, report } from "../support/report.mjs"
import { interleave, median } from "../support/rounds.mjs"

const rounds = 25
const reach = 1.1

const parts = ["TokenSource", "TokenCache", "RefreshPolicy", "Token", "TokenError"]
const core = parts.map((name) => new URL(`${name}.js`, dist).href)
/** What any program on Effect that holds a secret imports; a fixed list, whatever the core comes to import. */
const needed = [
  "Effect",
  "Layer",
  "Schedule",
  "Context",
  "Scope",
  "Clock",
  "Duration",
  "Option",
  "Config",
  "Redacted"
]

const ours = "ours, the core"
const base = "effect/Effect, Layer, Schedule …"
const bare = "nothing"
const contestants = [
  { name: bare, modules: [] },
  { name: base, modules: needed.map((name) => `effect/${name}`) },
  { name: ours, modules: core },
  { name: "effect/Schema", modules: ["effect/Schema"] },
  { name: "effect (the barrel)", modules: ["effect"] },
  { name: "openid-client", modules: ["openid-client"] },
  { name: "google-auth-library", modules: ["google-auth-library"] },
  { name: "@azure/msal-node", modules: ["@azure/msal-node"] },
  { name: "@azure/identity", modules: ["@azure/identity"] }
]

const importing = (modules) => modules.map((module) => `import ${JSON.stringify(module)}`).join("\n")

const cpus = new Map(contestants.map(({ name }) => [name, []]))

/** Milliseconds from the start of a Node process to its end; its CPU time is noted beside. */
const startUp = (name, script) => () => {
  const args = ["--input-type=module", "-e", `${script}\nconsole.log(JSON.stringify(process.cpuUsage()))`]
  const start = performance.now()
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: import.meta.dirname,
    encoding: "utf8"
  })
  const took = performance.now() - start
  if (status !== 0) throw new Error(stderr)
  const { user, system } = JSON.parse(stdout)
  cpus.get(name).push((user + system) / 1000)
  return took
}

const walls = await interleave(
  contestants.map(({ name, modules }) => ({ name, run: startUp(name, importing(modules)) })),
  { rounds, warmUp: 1 }
)

const wall = (name) => median(walls.get(name))
const cpu = (name) => median(cpus.get(name))
/** What the import adds to what Node takes by itself. */
const added = (name) => wall(name) - wall(bare)
const addedCpu = (name) => cpu(name) - cpu(bare)

const loaded = loadedUrls(importing(core), import.meta.dirname)
const has = (pattern) => loaded.some((url) => pattern.test(url))
const own = loaded.filter((url) => url.startsWith(dist.href))

report({
  id: "P7",
  title: "start-up with the core, × with effect/Effect, effect/Layer, effect/Schedule …",
  figures: [
    figure(wall(ours) / wall(base), reach),
    check(!has(/\/effect\/dist\/esm\/(Schema|SchemaAST|ParseResult|JSONSchema)\.js$/), "no Schema"),
    check(!has(/\/@effect\/platform[^/]*\//), "no HttpClient"),
    check(
      !has(/\/effect\/dist\/esm\/index\.js$/) && !own.includes(new URL("index.js", dist).href),
      "no barrel"
    )
  ],
  columns: ["a process that imports", "ms", "× effect", "added ms", "× effect", "added CPU ms", "× effect"],
  rows: contestants.map(({ name }) => [
    name,
    wall(name),
    wall(name) / wall(base),
    added(name),
    added(name) / added(base),
    addedCpu(name),
    addedCpu(name) / addedCpu(base)
  ]),
  notes: [`the core loads ${loaded.length} modules, ${own.length} of them ours`]
})
