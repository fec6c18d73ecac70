// Logins in a browser made by hand, as any client makes them.
import { VirtualIdentityProvider } from "effect-credentials/testing/VirtualIdentityProvider"
import type * as VirtualProviderControls from "effect-credentials/testing/VirtualProviderControls"
import * as Effect from "effect/Effect"
import { issuer, post, token } from "./calls.js"

export const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
export const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
export const redirectUri = "http://127.0.0.1:45678/callback"

export type Fields = Readonly<Record<string, string | undefined>>

export const given = (fields: Fields): Record<string, string> =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => value === undefined ? [] : [[name, value]])
  )

export const sound: Fields = {
  client_id: "app",
  response_type: "code",
  redirect_uri: redirectUri,
  state: "a state",
  code_challenge: challenge,
  code_challenge_method: "S256"
}

export const authorizationUrl = (fields: Fields = {}): string =>
  `${issuer}/authorize?${new URLSearchParams(given({ ...sound, ...fields })).toString()}`

/** Where the browser is sent to, taken apart. */
export const authorize = (fields: Fields = {}, choice?: VirtualProviderControls.Choice) =>
  Effect.flatMap(VirtualIdentityProvider, (idp) => idp.authorize(authorizationUrl(fields), choice)).pipe(
    Effect.map((location) => {
      const url = new URL(location)
      return { to: `${url.origin}${url.pathname}`, ...Object.fromEntries(url.searchParams) } as Record<
        string,
        string | undefined
      >
    })
  )

export const redeem = (code: unknown, fields: Fields = {}, headers: Record<string, string> = {}) =>
  token(
    given({
      grant_type: "authorization_code",
      client_id: "app",
      redirect_uri: redirectUri,
      code_verifier: verifier,
      code: String(code),
      ...fields
    }),
    headers
  )

/** A whole login. */
export const logIn = (fields: Fields = {}, headers: Record<string, string> = {}) =>
  Effect.flatMap(
    authorize(fields),
    ({ code }) => redeem(code, { client_id: fields["client_id"] ?? "app" }, headers)
  )

export const push = (fields: Fields = {}, headers: Record<string, string> = {}) =>
  post(`${issuer}/par`, given({ ...sound, ...fields }), headers)
