/** What the processes of a fleet tell each other. Every message is one line of JSON. */
import type { Moment } from "effect-credentials/vault/CrashPoint"

/** Where the records are. */
export type Place =
  | { readonly _tag: "File"; readonly directory: string }
  | { readonly _tag: "Postgres"; readonly url: string }
  | { readonly _tag: "Redis"; readonly url: string }
  | { readonly _tag: "Libsql"; readonly path: string }

/** By moment, from 0 to 1. */
export type Chances = Readonly<Partial<Record<Moment, number>>>

/** How a worker is started. Times are milliseconds. */
export interface WorkerSettings {
  readonly id: number
  /** Where the issuer is. */
  readonly issuer: string
  readonly place: Place
  readonly seed: number
  /** What it believes of the issuer. */
  readonly graceWindow: number
  readonly leaseTerm: number
  readonly deadline: number
  /** How far its clock is off. */
  readonly clockOffset: number
  /** How likely it dies at each moment. */
  readonly crash: Chances
  /** How likely it stands still at each moment, until it is sent `SIGCONT`. */
  readonly stand: Chances
}

/** What a worker is told. */
export type Command =
  /** Uses these grants again and again. */
  | { readonly _tag: "Work"; readonly keys: ReadonlyArray<string> }
  /** Its clock jumps. */
  | { readonly _tag: "Skew"; readonly clockOffset: number }
  /** No more crashes of its own. */
  | { readonly _tag: "Calm" }
  /** Uses each of its grants once more, until the issuer takes the token, and answers `Settled`. */
  | { readonly _tag: "Settle"; readonly keys: ReadonlyArray<string>; readonly seconds: number }
  /** Asks for one token at this instant, in Unix milliseconds, and answers `Asked`. */
  | { readonly _tag: "Ask"; readonly key: string; readonly at: number }
  /** Shows the issuer the token that `Ask` got, and answers `Checked`. */
  | { readonly _tag: "Check"; readonly key: string }
  | { readonly _tag: "Stop" }

/** What a worker tells. Written at once, so that it is known even if the worker dies right after. */
export type Report =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Died" | "Stands"; readonly moment: Moment }
  | { readonly _tag: "Leased" | "Releasing"; readonly key: string; readonly fence: number }
  | { readonly _tag: "Sending" | "Answered"; readonly key: string; readonly hash: string }
  | { readonly _tag: "Used"; readonly key: string; readonly adopted: boolean; readonly refused: boolean }
  | { readonly _tag: "Failed"; readonly key: string; readonly error: string; readonly reason: string }
  | { readonly _tag: "Settled"; readonly failures: ReadonlyArray<string> }
  | {
    readonly _tag: "Asked"
    /** Milliseconds. */
    readonly wait: number
    readonly late: number
    /** Milliseconds of CPU time. */
    readonly cpu: number
    readonly failure: string | undefined
  }
  | { readonly _tag: "Checked"; readonly status: number }

/** How the identity provider is started. */
export interface ProviderSettings {
  /** The file that its log is appended to. */
  readonly log: string
  /** Seconds that access tokens live. */
  readonly lifetime: number
  /** For how many milliseconds after a redemption the same refresh token gets the same answer again. */
  readonly graceWindow: number
  /** How many milliseconds a redemption takes. */
  readonly latency: number
}

/** How likely each fault is for one request to the token endpoint, from 0 to 1; at most one happens. */
export interface Faults {
  /** The connection ends before anything has happened. */
  readonly dropRequest: number
  /** The connection ends although the grant was redeemed. */
  readonly dropReply: number
  /** 503, and nothing has happened. */
  readonly unavailable: number
  /** It takes longer than the client waits for an answer, but the grant is redeemed. */
  readonly delay: number
  /** How many milliseconds a delay is. */
  readonly delayBy: number
  readonly seed: number
}

/** One request to the token endpoint, as the provider saw it. Hashes are SHA-256, as hex digits. */
export interface Entry {
  /** Unix milliseconds. */
  readonly at: number
  readonly grant: "login" | "refresh"
  /** Of the refresh token that was sent. */
  readonly hash: string | undefined
  /**
   * `redeemed`: the provider acted; `repeated`: it gave an earlier answer again; `refused`: it took the
   * refresh token for spent or unknown; `none`: it did nothing.
   */
  readonly outcome: "redeemed" | "repeated" | "refused" | "none"
  /** Of the refresh token that was given. */
  readonly next: string | undefined
  readonly fault: "dropRequest" | "dropReply" | "unavailable" | "delay" | undefined
}

/** A grant as the provider gives it at a login. */
export interface Login {
  readonly access_token: string
  readonly refresh_token: string
  readonly expires_in: number
}
