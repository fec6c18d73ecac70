/**
 * Makes plain JavaScript of what the processes of a fleet run, once and without type checks, so that each
 * starts in a fraction of the time that it takes to compile on the fly.
 */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import ts from "typescript"

const root = fileURLToPath(new URL("../..", import.meta.url))

/**
 * Compiles the programs into this directory, and the library too unless a built one is given. Gives the
 * paths of the programs.
 */
export const compile = (directory: string, library?: URL) => {
  const built = library ?? pathToFileURL(`${path.join(directory, "src")}${path.sep}`)
  if (library === undefined) copyAll("src", directory, built)
  copyAll("test/support", directory, built, ["OidcProvider.ts"])
  copyAll("examples/demo", directory, built, ["loopback.ts"])
  copyAll("test/fleet", directory, built, ["worker.ts", "provider.ts", "open.ts", "protocol.ts"])
  fs.symlinkSync(path.join(root, "node_modules"), path.join(directory, "node_modules"), "dir")
  fs.writeFileSync(path.join(directory, "package.json"), "{\"type\":\"module\"}")
  return {
    worker: path.join(directory, "test/fleet/worker.js"),
    provider: path.join(directory, "test/fleet/provider.js")
  }
}

export type Programs = ReturnType<typeof compile>

const copyAll = (from: string, to: string, library: URL, only?: ReadonlyArray<string>): void => {
  const names = only ?? fs.readdirSync(path.join(root, from), { recursive: true, encoding: "utf8" })
  for (const name of names.filter((name) => name.endsWith(".ts"))) {
    const target = path.join(to, from, name.replace(/\.ts$/, ".js"))
    fs.mkdirSync(path.dirname(target), { recursive: true })
    fs.writeFileSync(target, toJavaScript(fs.readFileSync(path.join(root, from, name), "utf8"), library))
  }
}

const toJavaScript = (source: string, library: URL): string =>
  transpile(source).replaceAll(
    /(from |import\()"effect-credentials\/([\w/]+)"/g,
    (_, keyword, name) => `${keyword}${JSON.stringify(new URL(`${name}.js`, library).href)}`
  )

/** What was made of a source before, since one process may compile the same programs for many tests. */
const transpiled = new Map<string, string>()

const transpile = (source: string): string => {
  const known = transpiled.get(source)
  if (known !== undefined) return known
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: {
      module: ts.ModuleKind.ES2022,
      target: ts.ScriptTarget.ES2022,
      verbatimModuleSyntax: true
    }
  })
  transpiled.set(source, outputText)
  return outputText
}
