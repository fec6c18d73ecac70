/**
 * Keys for `EncryptedVault`: given as bytes, derived from a passphrase, or kept in another vault such as the
 * keychain of the operating system.
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
import { Denied } from "./VaultError.js"

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
 * What `fromPassphrase` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface PassphraseOptions {
  /** Taken as it is, with its blanks, in Unicode normal form C; at most 4,096 characters. */
  readonly passphrase: Redacted.Redacted<string>
  /** Keeps the salt, the cost and the id of the key: the vault that the key is to encrypt. */
  readonly vault: Vault.Service
  /** Tells the passphrases of one vault apart, such as an old one and a new one. Default `default`. */
  readonly name?: string | undefined
  /**
   * The logarithm to base 2 of scrypt's N, 14 to 18. It counts when the record is made; later that of the
   * record counts. Default 17, which takes 128 MiB and half a second.
   */
  readonly cost?: number | undefined
}

/**
 * The key that scrypt derives from a passphrase, with a salt that is made at the first use and kept in the
 * vault. Another passphrase than that of the first use is `Denied`. It needs Node's scrypt, or that of a
 * platform that has it too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromPassphrase = (
  options: PassphraseOptions
): Effect.Effect<EncryptionKey, Misconfigured | VaultError> =>
  Effect.gen(function*() {
    const passphrase = yield* checkPassphrase(options.passphrase)
    const cost = yield* checkCost(options.cost ?? KeyRecord.cost.usual)
    const name = yield* checkName(options.name ?? "default")
    const place = { vault: options.vault, key: `${reservedPrefix}passphrase/${name}` }
    const { derive } = yield* loadScrypt
    const keyOf = (salt: Bytes.Bytes, cost: number) =>
      Effect.flatMap(derive(passphrase, salt, cost, KeyRecord.keyBytes), fromRaw)
    const first = Effect.flatMap(Bytes.randomBytes(KeyRecord.saltBytes), (salt) =>
      Effect.map(keyOf(salt, cost), ({ id }) => KeyRecord.renderDerivation({ cost, salt, keyId: id })))
    const stored = yield* Agree.agree(place, first)
    const derivation = yield* KeyRecord.readDerivation(place, stored)
    const key = yield* keyOf(derivation.salt, derivation.cost)
    return key.id === derivation.keyId ? key : yield* wrongPassphrase(options.vault)
  })

const checkPassphrase = (passphrase: Redacted.Redacted<string>): Effect.Effect<Bytes.Bytes, Misconfigured> =>
  Effect.suspend(() => {
    const text = Redacted.value(passphrase)
    if (text.trim() === "") return Effect.fail(blank())
    return text.length > maxPassphrase
      ? Effect.fail(tooLong())
      : Effect.succeed(Bytes.encodeText(text.normalize("NFC")))
  })

const maxPassphrase = 4096

const checkCost = (cost: number): Effect.Effect<number, Misconfigured> =>
  Number.isInteger(cost) && cost >= KeyRecord.cost.least && cost <= KeyRecord.cost.most
    ? Effect.succeed(cost)
    : Effect.fail(wrongCost())

const checkName = (name: string): Effect.Effect<string, Misconfigured> =>
  name.length > 0 && name.length <= 100 ? Effect.succeed(name) : Effect.fail(wrongName())

const loadScrypt = Effect.tryPromise({
  try: () => import("./internal/encryptionScrypt.js"),
  catch: () =>
    misconfigured("InvalidOption", "this platform has no scrypt", "Use `fromVault` or `fromBytes` here.")
})

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
 * it at once end with the same key: by compare-and-set or a lease where the vault has one, else by a
 * second's wait before it is read again.
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

const blank = (): Misconfigured =>
  misconfigured("EmptySecret", "the passphrase is empty or blank", "Give a passphrase.")

const tooLong = (): Misconfigured =>
  misconfigured(
    "InvalidSecret",
    "the passphrase is too long",
    `Give at most ${maxPassphrase} characters.`
  )

const wrongCost = (): Misconfigured =>
  misconfigured(
    "InvalidOption",
    "the cost of the passphrase is out of bounds",
    `Give a whole number from ${KeyRecord.cost.least} to ${KeyRecord.cost.most}, or leave it out.`
  )

const wrongName = (): Misconfigured =>
  misconfigured(
    "InvalidOption",
    "the name of the passphrase is empty or too long",
    "Give 1 to 100 characters, or leave it out."
  )

const wrongPassphrase = (vault: Vault.Service): Denied =>
  new Denied({
    vault: vault.name,
    action: "get",
    detail: "this is not the passphrase that was given first",
    hint: "Give that passphrase, or another `name` for a new one."
  })
