/** What the keychain of an operating system can answer instead of doing what it was asked. */
import type { Failure } from "./blobFailure.js"

/** The binding or its native part is not installed, or not made for this platform. */
export const noBinding: Failure = {
  reason: "Absent",
  detail: "the package @napi-rs/keyring is not installed, or has no native part for this platform",
  hint: "Install @napi-rs/keyring, or use a vault that needs none."
}

const noService: Failure = {
  reason: "Absent",
  detail: "there is no keychain service in this session",
  hint: "Start one (on Linux a Secret Service such as gnome-keyring, on a session bus), or use another vault."
}

/** It was there: who falls to a weaker vault while it is away has secrets in two places. */
const gone: Failure = {
  reason: "Failed",
  detail: "the keychain service, or the bus to it, has gone away",
  hint: "Start it again, and try again."
}

const noKeyring: Failure = {
  reason: "Absent",
  detail: "the keychain service has no default keyring",
  hint: "Make a default keyring and unlock it, or use another vault."
}

const isLocked: Failure = {
  reason: "Locked",
  detail: "the keychain is locked, and nobody unlocked it",
  hint: "Unlock it and try again."
}

/** A prompt that nobody answers; a write may still take place when somebody does. */
export const unanswered: Failure = {
  reason: "Locked",
  detail: "the keychain did not answer in time; it may be waiting for somebody to unlock it",
  hint: "Answer its prompt, or unlock it, and try again."
}

const refused: Failure = {
  reason: "Denied",
  detail: "the keychain refuses this program",
  hint: "Allow this program to use the entry, or use another vault."
}

const tooLong: Failure = {
  reason: "TooLong",
  detail: "the entry is longer than this platform's keychain takes",
  hint:
    "Set maxEntryBytes to the platform's limit, or keep only a key in the keychain and ciphertext in files."
}

const ambiguous: Failure = {
  reason: "Spoilt",
  detail: "the keychain has several entries of the same name, or one that is no text",
  hint: "Remove the entries that another program made."
}

const failed: Failure = {
  reason: "Failed",
  detail: "the keychain failed",
  hint: "See whether another program can use the keychain, and try again."
}

/**
 * All failures of the binding have the same code and differ in their text, which names no entry of ours.
 * Refusals go first, because the text of a refusal tells what was refused.
 */
const known: ReadonlyArray<readonly [RegExp, Failure]> = [
  [/access ?denied|permission denied|not allowed to|user cancell?ed|passphrase .*not correct/, refused],
  [
    /islocked|is locked|object locked|prompt dismissed|prompt was dismissed|interaction is not allowed/,
    isLocked
  ],
  [/platform limit/, tooLong],
  [/ambiguous|more than one|not valid utf-?8|utf-?16/, ambiguous],
  [/no result found|default keychain could not be found/, noKeyring],
  [/disconnected|connection (?:refused|reset|closed)|broken pipe/, gone],
  [
    /failed to connect|not provided by any|serviceunknown|namehasnoowner|no secret service provider/,
    noService
  ],
  [/no such file|no_such_logon_session|using x11/, noService]
]

/** What the binding rejected with. */
export const classify = (cause: unknown): Failure => {
  const text = (cause instanceof Error ? cause.message : "").slice(0, 2_000).toLowerCase()
  return known.find(([pattern]) => pattern.test(text))?.[1] ?? failed
}
