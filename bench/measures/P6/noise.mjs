// How late the machine itself is: a process that does nothing but wait, for as many seconds as the argument says.
import { answer } from "../../support/child.mjs"
import { pause, quantile } from "../../support/rounds.mjs"

const [seconds] = process.argv.slice(2)
const late = []
for (const end = Date.now() + Number(seconds) * 1000; Date.now() < end;) {
  const due = performance.now() + 5
  await pause(5)
  late.push(Math.max(0, performance.now() - due))
}
answer({ p99: quantile(late, 0.99) })
