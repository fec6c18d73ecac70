/**
 * A key for `EncryptedVault` that scrypt derives from a passphrase. It needs `node:crypto`, and is therefore not
 * in the index of this package.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { Misconfigured } from "../TokenError.js"
import type { EncryptionKey } from "./EncryptionKey.js"
import { fromBytes } from "./EncryptionKey.js"
import * as Agree from "./internal/encryptionAgree.js"
import * as Bytes from "./internal/encryptionBytes.js"
import { reservedPrefix } from "./internal/encryptionFormat.js"
import * as KeyRecord from "./internal/encryptionRecord.js"
import { derive } from "./internal/encryptionScrypt.js"
import type * as Vault from "./Vault.js"
import type { VaultError } from "./VaultError.js"
import { Denied } from "./VaultError.js"

/**
 * What `make` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
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
 * vault. Another passphrase than that of the first use is `Denied`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<EncryptionKey, Misconfigured | VaultError> =>
  Effect.gen(function*() {
    const passphrase = yield* checkPassphrase(options.passphrase)
    const cost = yield* checkCost(options.cost ?? KeyRecord.cost.usual)
    const name = yield* checkName(options.name ?? "default")
    const place = { vault: options.vault, key: `${reservedPrefix}passphrase/${name}` }
    const keyOf = (salt: Bytes.Bytes, cost: number) =>
      Effect.flatMap(
        derive(passphrase, salt, cost, KeyRecord.keyBytes),
        (bytes) => fromBytes(Redacted.make(bytes))
      )
    const first = Effect.flatMap(
      Bytes.randomBytes(KeyRecord.saltBytes),
      (salt) =>
        Effect.map(keyOf(salt, cost), ({ id }) => KeyRecord.renderDerivation({ cost, salt, keyId: id }))
    )
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

const misconfigured = (reason: Misconfigured["reason"], detail: string, hint: string): Misconfigured =>
  new Misconfigured({ source: "encryption key", reason, detail, hint })

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
