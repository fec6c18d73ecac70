/**
 * An OpenID server made of a few functions, with keys of its own: it signs whatever it is told to.
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as jose from "jose"
import { serve } from "./kit.js"
import type { Call } from "./kit.js"

export const issuer = "https://idp.test"

export const clientId = "app"

export interface Pair {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly jwk: jose.JWK
}

export const pair = async (kid: string, alg = "ES256"): Promise<Pair> => {
  const { privateKey, publicKey } = await jose.generateKeyPair(alg, { extractable: true })
  return { kid, alg, privateKey, jwk: { ...await jose.exportJWK(publicKey), kid, alg, use: "sig" } }
}

/** The keys of the server, and of somebody else. */
export const own = await pair("key-1")
export const rsa = await pair("key-rsa", "RS256")
export const next = await pair("key-2")
export const evil = await pair("key-1")

/** What the server says of Alice at the beginning of time. */
export const claims = (fields: Record<string, unknown> = {}): Record<string, unknown> => ({
  iss: issuer,
  sub: "alice",
  aud: clientId,
  iat: 0,
  exp: 600,
  ...fields
})

/** A signed text; a header field of undefined is left out. */
export const sign = (
  payload: Record<string, unknown>,
  key: Pair = own,
  header: Record<string, unknown> = {}
): Promise<string> => {
  const all = Object.entries({ alg: key.alg, kid: key.kid, ...header }).filter(([, value]) =>
    value !== undefined
  )
  return new jose.CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader(Object.fromEntries(all) as jose.CompactJWSHeaderParameters)
    .sign(key.privateKey)
}

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

/** A text with no signature that is one. */
export const unsigned = (payload: unknown, header: Record<string, unknown>, signature = ""): string =>
  `${part(header)}.${part(payload)}.${signature}`

/** The same, signed with a secret. */
export const withSecret = (payload: Record<string, unknown>, secret: Uint8Array): Promise<string> =>
  new jose.CompactSign(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: "HS256", kid: own.kid })
    .sign(secret)

export interface Served {
  readonly calls: Array<Call>
  readonly layer: Layer.Layer<HttpClient.HttpClient>
  readonly server: AuthorizationServer.AuthorizationServer
  /** How often the keys were asked for. */
  readonly fetches: () => number
}

export interface Script {
  /** What the address of the keys answers, by how often it was asked before. */
  readonly keys?: ((index: number) => Response | "dropped" | "hangs") | undefined
  /** Which endpoints of the metadata are there beside those of the tokens and keys. */
  readonly metadata?: Record<string, unknown> | undefined
  /** What any other address answers. */
  readonly answer?: ((call: Call) => Promise<Response> | Response) | undefined
}

export const keySet = (...keys: ReadonlyArray<unknown>) => (): Response => Response.json({ keys })

export const make = (script: Script = {}): Effect.Effect<Served> =>
  Effect.gen(function*() {
    const calls: Array<Call> = []
    const fetches = () => calls.filter(({ url }) => url.endsWith("/keys")).length
    const keys = script.keys ?? keySet(own.jwk, rsa.jwk)
    const layer = serve((call) => {
      if (call.url.includes("/.well-known/")) return Effect.succeed(Response.json(metadata(script)))
      if (!call.url.endsWith("/keys")) {
        return Effect.promise(() =>
          Promise.resolve(script.answer?.(call) ?? new Response("", { status: 404 }))
        )
      }
      const answer = keys(fetches() - 1)
      if (answer === "hangs") return Effect.never
      return answer === "dropped" ? Effect.fail(answer) : Effect.succeed(answer)
    }, calls)
    const server = yield* Effect.orDie(Effect.provide(AuthorizationServer.discover({ issuer }), layer))
    return { calls, fetches, layer, server }
  })

const metadata = (script: Script) => ({
  issuer,
  authorization_endpoint: `${issuer}/authorize`,
  token_endpoint: `${issuer}/token`,
  jwks_uri: `${issuer}/keys`,
  ...script.metadata
})
