/**
 * What an error of a Redis client or server means. Only its code goes on: the text of a server's error can
 * quote what it was sent.
 */
import * as Duration from "effect/Duration"
import type { Action, VaultError } from "../VaultError.js"
import { Corrupt, Denied, Unreachable } from "../VaultError.js"

/** Why a command came to nothing. */
export interface Problem {
  readonly kind: "Corrupt" | "Denied" | "Unreachable"
  readonly detail: string
  readonly hint: string
  /** Whether another connection may fare better. */
  readonly isStale: boolean
}

/** The vault error that it is for a caller. */
export const toVaultError = (vault: string, action: Action) => (problem: Problem): VaultError => {
  const fields = { vault, action, detail: problem.detail, hint: problem.hint }
  switch (problem.kind) {
    case "Corrupt":
      return new Corrupt(fields)
    case "Denied":
      return new Denied(fields)
    case "Unreachable":
      return new Unreachable(fields)
  }
}

/** What a client's error means. */
export const fromError = (error: unknown): Problem =>
  isReply(error) ? refused(codeOfReply(error.message)) : disconnected(codeOf(error))

const isReply = (error: unknown): error is Error => error instanceof Error && error.name === "ReplyError"

const codeOf = (error: unknown): string | undefined => {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{1,60}$/.test(code) ? code : undefined
}

/** A server may wrap the error of a command inside a script into one of the script. */
const codeOfReply = (message: string): string =>
  message.startsWith("ERR The user executing the script can't ")
    ? "NOPERM"
    : /^(?:ERR Error running script .{0,200}?: -)?([A-Z][A-Z0-9]{1,30}) /.exec(message)?.[1] ?? "ERR"

/** The server has no such database. */
const noDatabase: Problem = {
  kind: "Denied",
  detail: "the server refuses the database of that number",
  hint: "Name a database in the URL that the server has and that its user may use.",
  isStale: true
}

/** What an error means that is an answer to the choice of a database. */
export const fromSelect = (error: unknown): Problem =>
  isReply(error) && codeOfReply(error.message) === "ERR" ? noDatabase : fromError(error)

export const timedOut = (limit: Duration.Duration): Problem => ({
  kind: "Unreachable",
  detail: `the server did not answer within ${Duration.format(limit)}`,
  hint: "Check that the server is up and not overloaded, or allow more time.",
  isStale: true
})

export const closed: Problem = {
  kind: "Unreachable",
  detail: "the vault's scope is closed, and its connections with it",
  hint: "Use the vault inside the scope that made it.",
  isStale: false
}

/** Under the key is what no vault of this format has written. */
export const foreign: Problem = {
  kind: "Corrupt",
  detail: "what is under the key is no record of this format",
  hint: "Use the release of the library that wrote it, or log in again; it is then moved aside, not deleted.",
  isStale: false
}

/** The server answered with something that no script of ours answers. */
export const unexpected: Problem = {
  kind: "Unreachable",
  detail: "the server gave an answer that makes no sense",
  hint: "Check that a Redis server of version 5 or later answers at that address.",
  isStale: true
}

const disconnected = (code: string | undefined): Problem => {
  const detail = `no connection to the server${code === undefined ? "" : `: ${code}`}`
  return code !== undefined && /CERT|^ERR_TLS|SELF_SIGNED|ISSUER|SIGNATURE/.test(code)
    ? { kind: "Denied", detail, hint: "Check the server's certificate and who signed it.", isStale: true }
    : {
      kind: "Unreachable",
      detail,
      hint: "Check that the server is up and that the address is right.",
      isStale: true
    }
}

const refused = (code: string): Problem => {
  const [kind, why, hint] = meanings[code] ?? unknownRefusal
  return { kind, detail: `the server refused: ${why} (${code})`, hint, isStale: !keepsConnection.has(code) }
}

type Meaning = readonly [kind: Problem["kind"], why: string, hint: string]

const password: Meaning = [
  "Denied",
  "the password is missing or wrong",
  "Give the right user name and password."
]
const protectedMode: Meaning = [
  "Denied",
  "it takes no connection from here",
  "Change the server's settings so that it lets this machine in."
]
const cluster: Meaning = [
  "Unreachable",
  "the keys are on another node of a cluster",
  "Use a server that holds all keys, or the node that holds the keys of this prefix."
]
const starting: Meaning = ["Unreachable", "it is busy or not ready", "Try again in a moment."]
const unknownRefusal: Meaning = [
  "Unreachable",
  "it did not carry out the command",
  "Check that it is a Redis server of version 5 or later that runs scripts."
]

/** Those inside of scripts are checked too. */
const commands =
  "PING, SELECT, EVAL, SCAN, SUBSCRIBE, PUBLISH, TYPE, HMGET, HEXISTS, HSTRLEN, HSET, RENAME, " +
  "PERSIST, PEXPIRE, GET, SET, DEL and TIME"

const meanings: Readonly<Record<string, Meaning>> = {
  NOAUTH: password,
  WRONGPASS: password,
  NOPERM: [
    "Denied",
    "the user lacks a right",
    `Let the user use the prefix's keys and channels, and run ${commands}.`
  ],
  DENIED: protectedMode,
  // Most often a primary that has just become a replica: a new connection may find the new primary.
  READONLY: [
    "Unreachable",
    "it is a read-only replica",
    "Try again after the failover, or use the address of the primary."
  ],
  OOM: ["Unreachable", "its memory is full", "Free memory of the server, or raise its maxmemory."],
  MISCONF: ["Unreachable", "it can't save to disk", "Mend the server's disk; it then takes writes again."],
  NOREPLICAS: ["Unreachable", "too few replicas follow it", "Bring the server's replicas back."],
  LOADING: starting,
  BUSY: starting,
  TRYAGAIN: starting,
  MASTERDOWN: starting,
  CLUSTERDOWN: starting,
  MOVED: cluster,
  ASK: cluster,
  WRONGTYPE: ["Corrupt", "something else is under the name of a lease", "Remove it, or use another prefix."]
}

const keepsConnection: ReadonlySet<string> = new Set([
  "NOPERM",
  "OOM",
  "MISCONF",
  "BUSY",
  "LOADING",
  "WRONGTYPE",
  "ERR"
])
