/**
 * From a client as data to what oauth4webapi authenticates with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"
import * as Redacted from "effect/Redacted"
import * as jose from "jose"
import * as oauth from "oauth4webapi"
import { Misconfigured } from "../../TokenError.js"
import type {
  Basic,
  Client,
  ClientAuth as ClientAuthentication,
  ClientSecretJwt,
  PrivateKeyJwt
} from "../Client.js"
import type { ServerMetadata } from "../ServerMetadata.js"
import { Refusal } from "./failure.js"
import * as PrivateKey from "./privateKey.js"

/** The client's way to authenticate, its secret or key checked. */
export const make = (source: string, client: Client): Effect.Effect<oauth.ClientAuth, Misconfigured> => {
  if (client.id.trim() === "") return Effect.fail(emptyId(source))
  const auth = client.auth
  switch (auth?._tag) {
    case undefined:
    case "None":
      return Effect.succeed(oauth.None())
    case "Anonymous":
      return Effect.succeed(() => {})
    case "Tls":
      return Effect.succeed(oauth.TlsClientAuth())
    case "Basic":
      return Effect.map(secretOf(source, auth.secret), (secret) => basic(auth, secret))
    case "Post":
      return Effect.map(secretOf(source, auth.secret), oauth.ClientSecretPost)
    case "PrivateKeyJwt":
      return privateKeyJwt(source, auth)
    case "ClientSecretJwt":
      return Effect.map(secretOf(source, auth.secret), (secret) => clientSecretJwt(auth, secret))
  }
}

/** Whether the client proves who it is. */
export const authenticates = ({ auth }: Client): boolean =>
  auth !== undefined && auth._tag !== "None" && auth._tag !== "Anonymous"

/**
 * A refused client is told what the server names as its ways to authenticate, where its own is not among them. It is
 * asked first, since much metadata is wrong.
 */
export const explain =
  (client: Client, server: Pick<ServerMetadata, "token_endpoint_auth_methods_supported">) =>
  <E>(error: E): E | Refusal => {
    if (!(error instanceof Refusal) || error.code !== "invalid_client") return error
    const names = (server.token_endpoint_auth_methods_supported ?? []).filter((name) =>
      /^[a-z_]{1,40}$/.test(name)
    )
    const own = methods[client.auth?._tag ?? "None"]
    return names.length === 0 || names.some((name) => own.includes(name)) ? error : new Refusal({
      source: error.source,
      code: error.code,
      hint: `Authenticate in another way: the server names ${names.slice(0, 8).join(", ")}, not ${
        own.join(" or ")
      }.`
    })
  }

/** What the registry calls the ways to authenticate (RFC 7591 §2, RFC 8705 §2.1). */
const methods: Readonly<Record<ClientAuthentication["_tag"], ReadonlyArray<string>>> = {
  None: ["none"],
  Basic: ["client_secret_basic"],
  Post: ["client_secret_post"],
  PrivateKeyJwt: ["private_key_jwt"],
  ClientSecretJwt: ["client_secret_jwt"],
  Tls: ["tls_client_auth", "self_signed_tls_client_auth"],
  Anonymous: ["an anonymous client"]
}

/** The metadata with the addresses that this client's requests go to (RFC 8705 §5). */
export const addresses = (client: Client, metadata: ServerMetadata): ServerMetadata => {
  const aliases = client.auth?._tag === "Tls" ? metadata.mtls_endpoint_aliases : undefined
  if (aliases === undefined) return metadata
  const known = direct.flatMap((name) => {
    const alias = aliases[name]
    return alias === undefined ? [] : [[name, alias]]
  })
  return { ...metadata, ...Object.fromEntries(known) }
}

/** What the client asks itself, rather than through a browser. */
const direct = [
  "token_endpoint",
  "device_authorization_endpoint",
  "pushed_authorization_request_endpoint",
  "registration_endpoint",
  "revocation_endpoint",
  "introspection_endpoint",
  "userinfo_endpoint"
] as const satisfies ReadonlyArray<keyof ServerMetadata>

const secretOf = (
  source: string,
  secret: Redacted.Redacted<string>
): Effect.Effect<string, Misconfigured> => {
  const value = Redacted.value(secret).trim()
  if (value === "") return Effect.fail(emptySecret(source))
  return /[\r\n]/.test(value) ? Effect.fail(brokenSecret(source)) : Effect.succeed(value)
}

const basic = (auth: Basic, secret: string): oauth.ClientAuth =>
  auth.encoding === "form"
    ? oauth.ClientSecretBasic(secret)
    : (_server, client, _body, headers) => {
      headers.set("authorization", `Basic ${Encoding.encodeBase64(`${client.client_id}:${secret}`)}`)
    }

const privateKeyJwt = (source: string, auth: PrivateKeyJwt): Effect.Effect<oauth.ClientAuth, Misconfigured> =>
  Effect.map(
    PrivateKey.load(source, auth),
    ({ key, keyId }) =>
      oauth.PrivateKeyJwt(keyId === undefined ? { key } : { key, kid: keyId }, {
        [oauth.modifyAssertion]: (_header, payload) => {
          if (auth.audience !== undefined) payload["aud"] = auth.audience
        }
      })
  )

/** The claims are oauth4webapi's own, which signs them with HS256 only. */
const clientSecretJwt =
  ({ algorithm = "HS256", audience }: ClientSecretJwt, secret: string): oauth.ClientAuth =>
  async (server, client, body, headers) => {
    const claims: jose.JWTPayload = {}
    const signed = oauth.ClientSecretJwt(secret, {
      [oauth.modifyAssertion]: (_header, payload) => {
        if (audience !== undefined) payload["aud"] = audience
        Object.assign(claims, payload)
      }
    })
    await signed(server, client, body, headers)
    if (algorithm === "HS256") return
    const key = new TextEncoder().encode(secret)
    body.set(
      "client_assertion",
      await new jose.SignJWT(claims).setProtectedHeader({ alg: algorithm }).sign(key)
    )
  }

const emptyId = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "the client id is empty or blank",
    hint: "Give the id that the authorization server registered."
  })

const emptySecret = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "EmptySecret",
    detail: "the client's secret or key is empty or blank",
    hint: "Give the secret itself, or no auth for a public client."
  })

const brokenSecret = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidSecret",
    detail: "the client's secret has more than one line",
    hint: "Give the secret itself, or privateKeyJwt for a key."
  })
