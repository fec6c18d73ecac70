/** What `pass` and the `gpg` below it can answer instead of doing what they were asked. */
import type { Failure } from "./blobFailure.js"
import type * as Command from "./command.js"

export const noProgram: Failure = {
  reason: "Absent",
  detail: "the program pass can't be found",
  hint: "Install pass (the standard Unix password manager) and gpg, or use another vault."
}

export const noStore: Failure = {
  reason: "Absent",
  detail: "there is no password store",
  hint: "Make one with: pass init <key id>."
}

const isLocked: Failure = {
  reason: "Locked",
  detail: "the key of the password store is locked, and nobody unlocked it",
  hint: "Unlock it, for instance by showing an entry with pass in a terminal, and try again."
}

/** A pinentry that nobody answers. */
const unanswered: Failure = {
  reason: "Locked",
  detail: "pass did not answer in time; it may be waiting for the passphrase of its key",
  hint: isLocked.hint
}

const noKey: Failure = {
  reason: "Denied",
  detail: "gpg has no usable key for the password store",
  hint: "Import the key that the store's .gpg-id names and trust it, or make the store anew."
}

const refused: Failure = {
  reason: "Denied",
  detail: "the password store may not be read or written by this user",
  hint: "See who owns the store and gpg's home, and their modes."
}

const spoilt: Failure = {
  reason: "Spoilt",
  detail: "the entry is no ciphertext of gpg, or is longer than any of ours",
  hint: "Restore it from the store's history, or log in again, which replaces it."
}

export const failed: Failure = {
  reason: "Failed",
  detail: "pass failed",
  hint: "Try it in a terminal: pass ls."
}

const known: ReadonlyArray<readonly [RegExp, Failure]> = [
  [/you must run:|pass init/, noStore],
  [/operation cancelled|no pinentry|inappropriate ioctl|bad passphrase|screen or window too small/, isLocked],
  [/permission denied|read-only file system/, refused],
  [/no public key|no secret key|unusable|no agent running|skipped:|no assurance/, noKey],
  [/no valid openpgp data|decrypt_message failed|block_filter|packet|checksum|malformed|crc error/, spoilt]
]

/** What its standard error says. */
export const classify = (stderr: string): Failure =>
  known.find(([pattern]) => pattern.test(stderr))?.[1] ?? failed

/** What became of the command itself. */
export const ofCommand = (failure: Command.Failure): Failure => {
  switch (failure) {
    case "NotFound":
      return noProgram
    case "TimedOut":
      return unanswered
    case "TooLong":
      return spoilt
    case "Failed":
      return failed
  }
}
