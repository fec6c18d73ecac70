/**
 * Keys for `EncryptedVault`: given as bytes, or kept in another vault such as the keychain of the operating
 * system. `PassphraseKey` derives one from a passphrase; it is a module of its own because it needs Node.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Misconfigured } from "../TokenError.js"
import * as Agree from "./internal/encryptionAgree.js"
import * as Bytes from "./internal/encryptionBytes.js"
import { reservedPrefix } from "./internal/encryptionFormat.js"
import * as KeyRecord from "./internal/encryptionRecord.js"
import type * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"

/**
 * A key of AES-256. Equal keys have equal ids, which tell nothing of the key and are stored with what it
 * encrypts.
 *
 * @since 0.1.0
 * @category models
 */
export interface EncryptionKey {
  /** The first 16 hex digits of a SHA-256. */
  readonly id: string
  /** Encrypts and decrypts, and can't be exported. */
  readonly key: CryptoKey
}

const source = "encryption key"

/**
 * The key of these 32 bytes, which must come from a cryptographic generator; `Misconfigured` when they can't.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromBytes = (
  bytes: Redacted.Redacted<Uint8Array>
): Effect.Effect<EncryptionKey, Misconfigured> =>
  Effect.suspend(() => {
    const raw = new Uint8Array(Redacted.value(bytes))
    if (raw.length !== KeyRecord.keyBytes) return Effect.fail(wrongLength(raw.length))
    return raw.every((byte) => byte === raw[0]) ? Effect.fail(notRandom()) : fromRaw(raw)
  })

const fromRaw = (raw: Bytes.Bytes): Effect.Effect<EncryptionKey> =>
  Effect.promise(() => Promise.all([digest(raw), importKey(raw)])).pipe(
    Effect.map(([digest, key]) => ({
      id: Array.from(new Uint8Array(digest, 0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(""),
      key
    }))
  )

const digest = (raw: Bytes.Bytes): Promise<ArrayBuffer> =>
  globalThis.crypto.subtle.digest("SHA-256", Bytes.concat([domain, raw]))

const domain = Bytes.encodeText("effect-credentials/encryption-key-id\0")

const importKey = (raw: Bytes.Bytes): Promise<CryptoKey> =>
  globalThis.crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"])

/**
 * A new random key, which nothing keeps: for values that need not outlive the process.
 *
 * @since 0.1.0
 * @category constructors
 */
export const generate: Effect.Effect<EncryptionKey> = Effect.flatMap(
  Bytes.randomBytes(KeyRecord.keyBytes),
  fromRaw
)

/**
 * What `fromVault` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface VaultOptions {
  /** Keeps the key, and should be another one than the key is to encrypt. */
  readonly vault: Vault.Service
  /** The name of the key there. Default `effect-credentials/encryption/key`. */
  readonly key?: string | undefined
}

/**
 * A random key that another vault keeps, made at the first use. It is read once a process, however many ask
 * and however many vault values stand for the same records; a failure is not remembered. Processes that make
 * it at once end with the same key by compare-and-set or a lease that all share, where the vault has one.
 *
 * A vault that has neither, such as a keychain, is read again after a pause, a second or twice the slowest call
 * if that is longer, and a key that was just made is used only when two such reads agree. One danger remains
 * there: another program, whose write a prompt held up for longer than that, replaces the key after all, and
 * what was encrypted meanwhile is lost. Where several programs may start at the same time, make the key once,
 * by a set-up command that calls this.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromVault = (
  options: VaultOptions
): Effect.Effect<EncryptionKey, Misconfigured | VaultError> => {
  const place = { vault: options.vault, key: options.key ?? `${reservedPrefix}key` }
  const first = Effect.flatMap(
    Bytes.randomBytes(KeyRecord.keyBytes),
    (raw) => Effect.map(fromRaw(raw), ({ id }) => KeyRecord.renderKey(id, raw))
  )
  return Agree.once(
    place,
    Agree.agree(place, first).pipe(
      Effect.flatMap((stored) => KeyRecord.readKey(place, stored)),
      Effect.flatMap(({ bytes, id }) =>
        Effect.filterOrFail(
          fromRaw(bytes),
          (key) => key.id === id,
          () => KeyRecord.damaged(place, "an encryption key")
        )
      )
    )
  )
}

const misconfigured = (reason: Misconfigured["reason"], detail: string, hint: string): Misconfigured =>
  new Misconfigured({ source, reason, detail, hint })

const wrongLength = (length: number): Misconfigured =>
  misconfigured("InvalidSecret", `the key has ${length} bytes`, "Give exactly 32 random bytes.")

const notRandom = (): Misconfigured =>
  misconfigured(
    "InvalidSecret",
    "all bytes of the key are the same",
    "Give 32 bytes of a cryptographic random generator."
  )
