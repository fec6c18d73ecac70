/**
 * What the error of a database means for a vault. Only its code is looked at: its text may quote a statement
 * or a row.
 */
import type { Action, VaultError } from "../VaultError.js"
import { Corrupt, Denied, Locked, Unreachable, Unsupported } from "../VaultError.js"

interface Meaning {
  /** Of SQLSTATE, or of the names that SQLite and the operating system give. */
  readonly codes: RegExp
  readonly error: new(fields: Locked) => VaultError
  readonly detail: string
  readonly hint: string
}

/** The first that fits counts. */
const meanings: ReadonlyArray<Meaning> = [
  {
    codes: /^(?:SQLITE_BUSY|SQLITE_LOCKED|55P03|40001|40P01)/,
    error: Locked,
    detail: "other work on the database stood in the way for too long",
    hint: "Try again later."
  },
  {
    codes: /^57014/,
    error: Unreachable,
    detail: "the database did not answer in time",
    hint: "Check that it is not overloaded, or raise the time limit."
  },
  {
    codes: /^(?:25006|SQLITE_READONLY)/,
    error: Denied,
    detail: "the database is read-only",
    hint: "Name a database that can be written: the primary server, or a file and directory of this user."
  },
  {
    codes: /^(?:28|0P)/,
    error: Denied,
    detail: "the database refuses the log-in",
    hint: "Check the user name, the password and the server's rules for hosts."
  },
  {
    codes: /^(?:42501|SQLITE_AUTH|SQLITE_PERM)/,
    error: Denied,
    detail: "the database refuses this user",
    hint: "Give the user the right to read and write the vault's tables, and to make them at the first start."
  },
  {
    codes: /^(?:3D000|3F000)/,
    error: Denied,
    detail: "there is no such database, or no schema in it for new tables",
    hint: "Create it, or correct its name."
  },
  {
    codes: /^SQLITE_CANTOPEN/,
    error: Denied,
    detail: "the database file can't be opened",
    hint: "Check that its directory exists and that this program's user may write there."
  },
  {
    codes: /^ESTALE/,
    error: Unreachable,
    detail: "the database file was removed, or another one put in its place",
    hint:
      "Put it back, or start the program again; programs that have the file open do not see the other one."
  },
  {
    codes: /^(?:53100|SQLITE_FULL)/,
    error: Unreachable,
    detail: "the database's disk is full",
    hint: "Make room on it; nothing of this write was kept."
  },
  {
    codes: /^53/,
    error: Unreachable,
    detail: "the server has no connection or memory left",
    hint: "Raise its limits, or use fewer connections."
  },
  {
    codes: /^(?:42P01|42703|42883|SQLITE_ERROR)/,
    error: Unsupported,
    detail: "the vault's tables are missing, or another release has changed them",
    hint: "Start the program again, or use its newest release."
  },
  {
    codes: /^(?:SQLITE_CORRUPT|SQLITE_NOTADB|XX001|XX002)/,
    error: Corrupt,
    detail: "the database is damaged, or is none",
    hint: "Restore it from a backup, or name another one."
  },
  {
    codes: /^(?:2[23]|SQLITE_CONSTRAINT|SQLITE_MISMATCH)/,
    error: Corrupt,
    detail: "the vault's tables have columns or rules that no release of this library has made",
    hint: "Choose another prefix, so that the vault makes tables of its own."
  },
  {
    codes: /^(?:54|SQLITE_TOOBIG)/,
    error: Unsupported,
    detail: "the database can't keep a record of this size",
    hint: "Store less, or use a vault that takes more."
  }
]

/** The vault error that the database's error means. */
export const refuse = (vault: string, action: Action) => (error: unknown): VaultError => {
  const code = codeOf(error)
  const meaning = meanings.find(({ codes }) => codes.test(code))
  if (meaning === undefined) return unreachable(vault, action, code)
  const fields = { vault, action, detail: meaning.detail, hint: meaning.hint }
  return new meaning.error(fields as Locked)
}

const unreachable = (vault: string, action: Action, code: string): Unreachable =>
  new Unreachable({
    vault,
    action,
    detail: `the database did not answer${code === "" ? "" : ` (${code})`}`,
    hint: "Check that it runs and can be reached from here."
  })

/** The statement has taken longer than it may. */
export const tooSlow = (vault: string, action: Action): Unreachable =>
  new Unreachable({
    vault,
    action,
    detail: "the database did not answer in time",
    hint: "Check that it runs and is not overloaded, or raise the time limit."
  })

/** The first code in the chain of causes; empty where none is found. */
const codeOf = (error: unknown): string => {
  let current = error
  for (let depth = 0; depth < 5 && typeof current === "object" && current !== null; depth++) {
    const code = "code" in current ? current.code : undefined
    if (typeof code === "string" && /^(?:[0-9A-Z]{5}|SQLITE_[A-Z_]{2,40}|E[A-Z_]{3,30})$/.test(code)) {
      return code
    }
    current = "cause" in current ? current.cause : undefined
  }
  return ""
}
