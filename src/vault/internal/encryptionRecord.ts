/** The records that encryption keeps for itself: a key, or how a key is derived from a passphrase. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Vault from "../Vault.js"
import { Corrupt } from "../VaultError.js"
import * as Bytes from "./encryptionBytes.js"
import { formatFamily, keyIdPattern } from "./encryptionFormat.js"
import { ownFieldsOnly } from "./json.js"

/** The length of an AES-256 key. */
export const keyBytes = 32
export const saltBytes = 16

/** The logarithm to base 2 of scrypt's N: what it may be, and what it is. With 8 blocks, 17 takes 128 MiB. */
export const cost = { least: 14, most: 18, usual: 17 } as const
const blocks = 8
const lanes = 1

/** How the key is derived, and which one comes out. */
export interface Derivation {
  readonly cost: number
  readonly salt: Bytes.Bytes
  readonly keyId: string
}

const text = <A, I>(name: string, fields: Schema.Schema<A, I>) => {
  const Header = Schema.Struct({ format: Schema.Literal(formatFamily + name), version: Schema.Literal(1) })
  return Schema.decodeUnknownOption(Schema.parseJson(Schema.extend(Header, fields), ownFieldsOnly))
}

const KeyId = Schema.String.pipe(Schema.pattern(keyIdPattern))
const bytesOf = (length: number) => Schema.String.pipe(Schema.length(Bytes.base64UrlLength(length)))

const decodeKey = text("ion-key", Schema.Struct({ id: KeyId, bytes: bytesOf(keyBytes) }))

const decodeDerivation = text(
  "ion-passphrase",
  Schema.Struct({
    cost: Schema.Int.pipe(Schema.between(cost.least, cost.most)),
    blocks: Schema.Literal(blocks),
    lanes: Schema.Literal(lanes),
    salt: bytesOf(saltBytes),
    id: KeyId
  })
)

/** The text that keeps a key. */
export const renderKey = (id: string, bytes: Bytes.Bytes): Redacted.Redacted<string> =>
  Redacted.make(JSON.stringify({
    format: `${formatFamily}ion-key`,
    version: 1,
    id,
    bytes: Bytes.toBase64Url(bytes)
  }))

/** The id and the bytes of a key. */
export const readKey = (
  place: Place,
  stored: Redacted.Redacted<string>
): Effect.Effect<{ readonly id: string; readonly bytes: Bytes.Bytes }, Corrupt> =>
  bounded(stored).pipe(
    Option.flatMap(decodeKey),
    Option.flatMap(({ bytes, id }) => Option.all({ id: Option.some(id), bytes: Bytes.fromBase64Url(bytes) })),
    Effect.mapError(() => damaged(place, "an encryption key"))
  )

/** The text that keeps a derivation. */
export const renderDerivation = ({ cost, keyId, salt }: Derivation): Redacted.Redacted<string> =>
  Redacted.make(JSON.stringify({
    format: `${formatFamily}ion-passphrase`,
    version: 1,
    cost,
    blocks,
    lanes,
    salt: Bytes.toBase64Url(salt),
    id: keyId
  }))

export const readDerivation = (
  place: Place,
  stored: Redacted.Redacted<string>
): Effect.Effect<Derivation, Corrupt> =>
  bounded(stored).pipe(
    Option.flatMap(decodeDerivation),
    Option.flatMap(({ cost, id, salt }) =>
      Option.all({ cost: Option.some(cost), keyId: Option.some(id), salt: Bytes.fromBase64Url(salt) })
    ),
    Effect.mapError(() => damaged(place, "what a passphrase needs"))
  )

/** Where a record is. */
export interface Place {
  readonly vault: Vault.Service
  readonly key: string
}

/** Both kinds have some 200 characters. */
const bounded = (stored: Redacted.Redacted<string>): Option.Option<string> =>
  Option.some(Redacted.value(stored)).pipe(Option.filter((stored) => stored.length <= 1024))

export const damaged = ({ key, vault }: Place, what: string): Corrupt =>
  new Corrupt({
    vault: vault.name,
    action: "get",
    detail: `the record under ${JSON.stringify(key)} is not ${what} that this library has written`,
    hint: "Restore it from a backup: without it nothing that it encrypts can be read."
  })
