/** The names that everything about encryption goes by in a vault. */

/** What all formats of the encryption start with, so that none of them is ever taken for plain text. */
export const formatFamily = "effect-credentials/encrypt"

/** What the vault below keeps for the encryption itself is under this prefix; no encrypted view shows it. */
export const reservedPrefix = "effect-credentials/encryption/"

/** A key id: the first 16 hex digits of a hash. */
export const keyIdPattern: RegExp = /^[0-9a-f]{16}$/
