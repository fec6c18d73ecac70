/**
 * The keys that a provider signs with, made when first needed. They are Web Crypto's and are new each time,
 * whatever the seed; what they sign is not.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as SynchronizedRef from "effect/SynchronizedRef"
import * as Jose from "jose"
import type { SignOptions } from "../../VirtualProviderControls.js"

interface SigningKey {
  readonly kid: string
  readonly privateKey: Jose.CryptoKey
  readonly publicKey: Jose.JWK
}

export interface Keys {
  /** The public keys, newest first (RFC 7517 §5). */
  readonly published: Effect.Effect<ReadonlyArray<Jose.JWK>>
  readonly sign: (claims: Jose.JWTPayload, options?: SignOptions) => Effect.Effect<string>
  readonly rotate: (options?: { readonly withdraw?: boolean | undefined }) => Effect.Effect<void>
}

export const make = (algorithm: "ES256" | "RS256"): Effect.Effect<Keys> =>
  Effect.gen(function*() {
    const held = yield* SynchronizedRef.make<ReadonlyArray<SigningKey>>([])
    const made = yield* Ref.make(0)
    const another = Effect.flatMap(
      Ref.updateAndGet(made, (n) => n + 1),
      (n) => Effect.promise(() => generate(algorithm, `key-${n}`))
    )
    const all = SynchronizedRef.updateAndGetEffect(
      held,
      (keys) => keys.length > 0 ? Effect.succeed(keys) : Effect.map(another, (key) => [key])
    ).pipe(Effect.uninterruptible)
    const current = Effect.flatMap(all, ([key]) => Effect.fromNullable(key)).pipe(Effect.orDie)
    return {
      published: Effect.map(all, (keys) => keys.map(({ publicKey }) => publicKey)),
      sign: (claims, options = {}) => {
        if (options.key === "None") return Effect.succeed(unsigned(claims, options.header))
        const key = options.key === "Unpublished" ? another : current
        return Effect.flatMap(
          key,
          (key) => Effect.promise(() => sign(algorithm, key, claims, options.header))
        )
      },
      rotate: (options) =>
        Effect.zipRight(
          all,
          SynchronizedRef.updateEffect(
            held,
            (keys) => Effect.map(another, (key) => options?.withdraw === true ? [key] : [key, ...keys])
          )
        ).pipe(Effect.uninterruptible)
    }
  })

const generate = async (algorithm: string, kid: string): Promise<SigningKey> => {
  const { privateKey, publicKey } = await Jose.generateKeyPair(algorithm)
  return {
    kid,
    privateKey,
    publicKey: { ...await Jose.exportJWK(publicKey), kid, alg: algorithm, use: "sig" }
  }
}

const sign = (
  algorithm: string,
  { kid, privateKey }: SigningKey,
  claims: Jose.JWTPayload,
  header: SignOptions["header"]
): Promise<string> =>
  new Jose.SignJWT(claims).setProtectedHeader({ alg: algorithm, kid, ...header }).sign(privateKey)

const unsigned = (claims: Jose.JWTPayload, header: SignOptions["header"]): string =>
  [{ alg: "none", ...header }, claims]
    .map((part) => Jose.base64url.encode(JSON.stringify(part)))
    .concat("")
    .join(".")
