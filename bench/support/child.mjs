// Measures and their parts run in processes of their own, so that no heap and no compiled code is shared.
import { fork } from "node:child_process"

/** Runs the module and answers the one message that it sends, or `undefined` when it fails or takes too long. */
export const runChild = (url, args = [], { seconds = 120 } = {}) =>
  new Promise((resolve) => {
    const child = fork(url, args, {
      execArgv: ["--expose-gc"],
      stdio: ["ignore", "inherit", "inherit", "ipc"]
    })
    const timer = setTimeout(() => child.kill("SIGKILL"), seconds * 1000)
    let message
    child.on("message", (sent) => {
      message = sent
    })
    child.on("exit", () => {
      clearTimeout(timer)
      resolve(message)
    })
  })

// A child whose parent is gone has nobody to answer to.
if (process.send !== undefined) process.once("disconnect", () => process.exit(1))

/** In a child: sends the one message and ends. */
export const answer = (message) => {
  if (process.send !== undefined) return process.send(message, () => process.exit(0))
  console.log(message)
  process.exit(0)
}
