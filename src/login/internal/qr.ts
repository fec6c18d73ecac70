/** QR codes in a terminal. */
import { renderUnicodeCompact } from "uqr"

export interface Room {
  readonly columns: number
  readonly rows: number
  /** Whether colours may be used. They make it readable on light terminals too. */
  readonly color: boolean
}

/**
 * The lines of the code, two rows of modules in each, with its quiet zone of four modules; none where it does not fit.
 * Light modules are drawn and dark ones left: without colours that is right on a dark terminal.
 */
export const draw = (text: string, { color, columns, rows }: Room): ReadonlyArray<string> => {
  if (text.length > maxLength) return []
  const lines = renderUnicodeCompact(text, { border: 4, ecc: "L" }).split("\n")
  const width = Math.max(...lines.map((line) => line.length))
  if (width > columns || lines.length + otherLines > rows) return []
  return color ? lines.map((line) => whiteOnBlack + line + reset) : lines
}

/** Longer ones are too fine to be scanned from a screen. */
const maxLength = 300

/** What stands around it should stay in sight. */
const otherLines = 8

const whiteOnBlack = "\u001b[97;40m"
const reset = "\u001b[0m"
