// Which modules an import really loads: Node is asked through a loader hook, in a process of its own.
import { spawnSync } from "node:child_process"

const hooks = `
import { writeSync } from "node:fs"
export const load = (url, context, next) => {
  writeSync(1, url + "\\n")
  return next(url, context)
}`
const data = (script) => `data:text/javascript,${encodeURIComponent(script)}`
const register = `import { register } from "node:module"\nregister(${JSON.stringify(data(hooks))})`

/** The URLs of all modules that this script loads. */
export const loadedUrls = (script, cwd) => {
  const args = ["--import", data(register), "--input-type=module", "-e", script]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, encoding: "utf8" })
  if (status !== 0) throw new Error(stderr)
  return stdout.trim().split("\n").filter((url) => url.startsWith("file:"))
}
