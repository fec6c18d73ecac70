// How a measure tells its result: figures with what they must reach, and a small table of peers below.
//
// Each measure runs in a child process of its own and sends the report to run.mjs, which prints it.

import { answer } from "./child.mjs"

/** A figure of a measure, and the bound that it must not exceed. */
export const figure = (value, reach, { label = "", unit = "", digits } = {}) => ({
  text: join(label, number(value, digits), unit),
  reach: join(label, number(reach), unit),
  ok: value <= reach
})

/** A thing that must simply hold. */
export const check = (holds, label) => ({ text: holds ? label : `NOT ${label}`, reach: label, ok: holds })

const join = (...parts) => parts.filter((part) => part !== "").join(" ")

/** A number as a person reads it: two significant decimals below 10, none above 100. */
export const number = (value, digits) => {
  if (value === undefined || value === null) return "–"
  if (typeof value !== "number") return String(value)
  if (digits !== undefined) return value.toFixed(digits)
  if (Number.isInteger(value)) return value.toLocaleString("en-GB")
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString("en-GB")
  return String(Number(value.toFixed(Math.abs(value) >= 10 ? 1 : 2)))
}

/** The lines of a report: the one line of the measure, then its table. */
export const render = ({ id, title, figures, columns = [], rows = [], notes = [] }) => {
  const ok = figures.every((one) => one.ok)
  const texts = figures.map((one) => one.text).join(", ")
  const reaches = figures.map((one) => one.reach).join(", ")
  const head = `${id} ${title}: ${texts} (reach ${reaches}) ${ok ? "ok" : "FALLS SHORT"}`
  return [head, ...table(columns, rows), ...notes.map((note) => `    ${note}`)]
}

const table = (columns, rows) => {
  const cells = [columns, ...rows].filter((row) => row.length > 0).map((row) =>
    row.map((cell) => number(cell))
  )
  const widths = cells.reduce((most, row) => row.map((cell, i) => Math.max(cell.length, most[i] ?? 0)), [])
  return cells.map((row) =>
    `    ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join("  ")}`
      .trimEnd()
  )
}

/** Hands the report to run.mjs, or prints it when the measure was started by hand, and ends the process. */
export const report = (result) => {
  if (process.send !== undefined) return answer(result)
  console.log(render(result).join("\n"))
  process.exit(result.figures.every((one) => one.ok) ? 0 : 1)
}
