/** What an encrypted value looks like in the vault below, and the cipher that makes and opens it. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type { EncryptionKey } from "../EncryptionKey.js"
import * as Bytes from "./encryptionBytes.js"
import { formatFamily, keyIdPattern } from "./encryptionFormat.js"
import { ownFieldsOnly } from "./json.js"

/** An encrypted value. */
export interface Sealed {
  readonly keyId: string
  readonly iv: Bytes.Bytes
  readonly ciphertext: Bytes.Bytes
}

/** What a stored text turned out to be. */
export type Found =
  | { readonly _tag: "Sealed"; readonly sealed: Sealed }
  | { readonly _tag: "Plain" }
  | { readonly _tag: "Damaged"; readonly detail: string; readonly hint: string }

const format = `${formatFamily}ed`
const formatVersion = 1
const ivBytes = 12
const tagBytes = 16

const Header = Schema.parseJson(
  Schema.Struct({ format: Schema.Literal(format), version: Schema.Int }),
  ownFieldsOnly
)
const Body = Schema.parseJson(
  Schema.Struct({
    key: Schema.String.pipe(Schema.pattern(keyIdPattern)),
    iv: Schema.String.pipe(Schema.length(Bytes.base64UrlLength(ivBytes))),
    ciphertext: Schema.String.pipe(Schema.minLength(Bytes.base64UrlLength(tagBytes)))
  }),
  ownFieldsOnly
)
const decodeHeader = Schema.decodeUnknownEither(Header)
const decodeBody = Schema.decodeUnknownEither(Body)

const render = ({ ciphertext, iv, keyId }: Sealed): string =>
  JSON.stringify({
    format,
    version: formatVersion,
    key: keyId,
    iv: Bytes.toBase64Url(iv),
    ciphertext: Bytes.toBase64Url(ciphertext)
  })

const overhead = render({
  keyId: "0".repeat(16),
  iv: new Uint8Array(ivBytes),
  ciphertext: new Uint8Array(0)
}).length

/** The longest value, in bytes, whose encrypted form has at most so many. */
export const maxValueBytes = (maxBytes: number): number =>
  Math.max(0, Bytes.bytesWithin(maxBytes - overhead) - tagBytes)

/** The text for the vault below. It opens under this name only. */
export const seal = (
  key: EncryptionKey,
  name: string,
  value: Redacted.Redacted<string>
): Effect.Effect<Redacted.Redacted<string>> =>
  Effect.flatMap(Bytes.randomBytes(ivBytes), (iv) =>
    Effect.promise(() =>
      globalThis.crypto.subtle.encrypt(
        { name: "AES-GCM", iv, additionalData: boundTo(key.id, name) },
        key.key,
        Bytes.encodeText(Redacted.value(value))
      )
    ).pipe(
      Effect.map((ciphertext) =>
        Redacted.make(render({ keyId: key.id, iv, ciphertext: new Uint8Array(ciphertext) }))
      )
    ))

/** JSON, because it keeps apart all names that differ, even in halves of surrogate pairs. */
const boundTo = (keyId: string, name: string): Bytes.Bytes =>
  Bytes.encodeText(JSON.stringify([format, formatVersion, keyId, name]))

/** What the text is. Only the very text that this library writes counts as encrypted. */
export const read = (text: Redacted.Redacted<string>): Found => {
  const stored = Redacted.value(text)
  if (isPlain(stored)) return { _tag: "Plain" }
  const header = decodeHeader(stored)
  if (Either.isLeft(header)) return damaged
  if (header.right.version !== formatVersion) return otherVersion(header.right.version)
  return Option.getRight(decodeBody(stored)).pipe(
    Option.flatMap(({ ciphertext, iv, key }) =>
      Option.all({
        keyId: Option.some(key),
        iv: Bytes.fromBase64Url(iv),
        ciphertext: Bytes.fromBase64Url(ciphertext)
      })
    ),
    Option.filter((sealed) => render(sealed) === stored),
    Option.match({ onNone: () => damaged, onSome: (sealed): Found => ({ _tag: "Sealed", sealed }) })
  )
}

/** Neither an encrypted value nor what is left of one, nor any other record of the encryption. */
const isPlain = (text: string): boolean => !text.includes(formatFamily) && !text.includes("\"ciphertext\":\"")

/** The value; `None` when it was changed, or was sealed under another name. */
export const open = (
  key: EncryptionKey,
  name: string,
  { ciphertext, iv }: Sealed
): Effect.Effect<Option.Option<Redacted.Redacted<string>>> =>
  Effect.tryPromise(() =>
    globalThis.crypto.subtle.decrypt(
      { name: "AES-GCM", iv, additionalData: boundTo(key.id, name) },
      key.key,
      ciphertext
    )
  ).pipe(
    Effect.option,
    Effect.map(Option.flatMap((bytes) => Bytes.decodeText(new Uint8Array(bytes)))),
    Effect.map(Option.map((text) => Redacted.make(text)))
  )

const damaged: Found = {
  _tag: "Damaged",
  detail: "the encrypted record is torn or was changed",
  hint: "Restore it from a backup, or log in again."
}

const otherVersion = (version: number): Found => ({
  _tag: "Damaged",
  detail: `the encrypted record has format version ${version}, and this library reads ${formatVersion}`,
  hint: "Use the release of the library that wrote it."
})
