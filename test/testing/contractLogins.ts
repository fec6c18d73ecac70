// The part of the contract that takes a browser, and what comes after such a login.
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import { basic, get, type Got, post } from "./calls.js"
import { type Judged, judging, type Verdict } from "./contractKit.js"
import * as Prover from "./prover.js"
import { apiResource } from "./realProvider.js"

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
const redirectUri = "http://127.0.0.1:45678/callback"

type Fields = Readonly<Record<string, string | undefined>>

const sound: Fields = {
  client_id: "native",
  response_type: "code",
  redirect_uri: redirectUri,
  scope: "openid offline_access",
  prompt: "consent",
  state: "a state",
  nonce: "a nonce",
  code_challenge: challenge,
  code_challenge_method: "S256"
}

const given = (fields: Fields): Record<string, string> =>
  Object.fromEntries(
    Object.entries(fields).flatMap(([name, value]) => value === undefined ? [] : [[name, value]])
  )

const hands = (on: Judged) => {
  const authorize = (fields: Fields = {}, verdict?: "Approve" | "Deny") =>
    on.browse(
      `${on.authorization}?${new URLSearchParams(given({ ...sound, ...fields })).toString()}`,
      verdict
    )
  const redeem = (code: unknown, fields: Fields = {}, headers: Record<string, string> = {}) =>
    post(
      `${on.issuer}/token`,
      given({
        grant_type: "authorization_code",
        client_id: "native",
        redirect_uri: redirectUri,
        code_verifier: verifier,
        code: String(code),
        ...fields
      }),
      headers
    )
  const refresh = (value: unknown, fields: Fields = {}, headers: Record<string, string> = {}) =>
    post(
      `${on.issuer}/token`,
      given({ grant_type: "refresh_token", client_id: "native", refresh_token: String(value), ...fields }),
      headers
    )
  const code = (fields: Fields = {}) => Effect.map(authorize(fields), ({ body }) => body["code"])
  const push = (fields: Fields = {}) => post(on.par, given({ ...sound, ...fields }))
  return { authorize, redeem, refresh, code, push }
}

/** Codes, pushed requests, and what can be done with the tokens that they give. */
export const script = Effect.fnUntraced(function*(on: Judged) {
  const verdicts: Array<Verdict> = []
  const judge = judging(verdicts)
  const { authorize, code, push, redeem, refresh } = hands(on)

  yield* judge("prompt=none without a session", authorize({ prompt: "none" }))
  for (const [name, fields] of badRequests) yield* judge(name, authorize(fields))
  yield* judge("a login that is denied", authorize({}, "Deny"))

  const first = yield* judge("a login in a browser", authorize())
  yield* judge("a code without its verifier", redeem(first.body["code"], { code_verifier: undefined }))
  yield* judge("a code with another verifier", redeem(first.body["code"], { code_verifier: challenge }))
  yield* judge("a code for another address", redeem(first.body["code"], { redirect_uri: `${redirectUri}2` }))
  yield* judge("a code without an address", redeem(first.body["code"], { redirect_uri: undefined }))
  yield* judge("a code of another client", redeem(first.body["code"], { client_id: "pusher" }))
  const tokens = yield* judge("a code", redeem(first.body["code"]))
  yield* judge("userinfo", get(on.resource, bearer(tokens)))
  yield* judge("a code again", redeem(first.body["code"]))
  yield* judge("a refresh after that", refresh(tokens.body["refresh_token"]))
  yield* judge("userinfo after that", get(on.resource, bearer(tokens)))
  yield* judge("a made-up code", redeem("made-up"))
  yield* judge("no code", redeem("", { code: undefined }))

  yield* judge("a resource that there is not", authorize({ resource: "https://other.test/" }))
  yield* judge("a resource with a fragment", authorize({ resource: `${apiResource}#a` }))
  const narrow = code({ resource: apiResource, scope: "openid offline_access read" })
  yield* judge(
    "a code for a resource that was not granted",
    redeem(yield* narrow, { resource: "https://other.test/" })
  )
  const forApi = yield* judge("a code for a resource", redeem(yield* narrow, { resource: apiResource }))
  yield* judge(
    "a refresh for a resource that was not granted",
    refresh((yield* redeem(yield* narrow)).body["refresh_token"], { resource: "https://other.test/" })
  )
  yield* judge("a refresh for the resource", refresh(forApi.body["refresh_token"], { resource: apiResource }))
  const opaque = yield* judge(
    "a code without openid",
    redeem(yield* code({ scope: "read", nonce: undefined }))
  )
  yield* judge("userinfo without openid", get(on.resource, bearer(opaque)))
  yield* judge("userinfo without a token", get(on.resource))

  const pushed = yield* judge("a pushed request", push())
  const ofPushed = { client_id: "native", request_uri: String(pushed.body["request_uri"]) }
  const visit = (fields: Fields) =>
    on.browse(`${on.authorization}?${new URLSearchParams(given(fields)).toString()}`)
  yield* judge("a pushed request of another client", visit({ ...ofPushed, client_id: "bound" }))
  const arrival = yield* judge("a login with a pushed request", visit(ofPushed))
  yield* judge("the code of a pushed request", redeem(arrival.body["code"]))
  yield* judge("a pushed request again", visit(ofPushed))
  yield* judge(
    "a request that was never pushed",
    visit({
      ...ofPushed,
      request_uri: "urn:ietf:params:oauth:request_uri:made-up"
    })
  )
  for (const [name, fields] of badPushes) yield* judge(name, push(fields))
  yield* judge("a login that had to be pushed", authorize({ client_id: "pusher" }))

  const more = yield* redeem(yield* code())
  const introspect = (value: unknown, headers = basic("service", "service-secret")) =>
    post(on.introspection, { token: String(value) }, headers)
  const active = ({ body }: Got) => body["active"]
  const seen = [
    yield* judge("introspection", introspect(more.body["access_token"])),
    yield* judge("introspection of a refresh token", introspect(more.body["refresh_token"])),
    yield* judge("introspection of a made-up token", introspect("made-up"))
  ].map(active)
  yield* judge("introspection by nobody", post(on.introspection, { token: "x" }))
  yield* judge(
    "introspection without a token",
    post(on.introspection, {}, basic("service", "service-secret"))
  )
  yield* judge("introspection with a wrong secret", introspect("x", basic("service", "wrong")))

  for (const [name, metadata] of registrations) yield* judge(name, register(on, metadata))

  const leave = (fields: Fields) => on.browse(`${on.logout}?${new URLSearchParams(given(fields)).toString()}`)
  const back = "http://127.0.0.1/logged-out"
  const hint = String(more.body["id_token"])
  yield* judge("a logout", leave({ id_token_hint: hint, post_logout_redirect_uri: back, state: "s" }))
  yield* judge(
    "a logout to somewhere else",
    leave({ id_token_hint: hint, post_logout_redirect_uri: "https://evil.test/" })
  )
  yield* judge("a logout with a broken hint", leave({ id_token_hint: `${hint}x` }))
  yield* judge("a logout with the hint of another client", leave({ id_token_hint: hint, client_id: "bound" }))
  return { verdicts, seen }
})

const bearer = ({ body }: Got) => ({ authorization: `Bearer ${String(body["access_token"])}` })

const badRequests: ReadonlyArray<readonly [string, Fields]> = [
  ["an unknown client's login", { client_id: "nobody" }],
  ["a login of no client", { client_id: undefined }],
  ["a redirect address on another host", { redirect_uri: "https://evil.test/callback" }],
  ["a redirect address with another path", { redirect_uri: "http://127.0.0.1:45678/other" }],
  ["a redirect address on another loopback host", { redirect_uri: "http://127.0.0.2/callback" }],
  ["a redirect address with a query", { redirect_uri: `${redirectUri}?a=b` }],
  ["another port on a host that is not loopback", { redirect_uri: "https://app.test:8443/callback" }],
  ["no redirect address", { redirect_uri: undefined }],
  ["no response type", { response_type: undefined }],
  ["an implicit login", { response_type: "token" }],
  ["an unknown response type", { response_type: "made_up" }],
  ["an unknown response mode", { response_mode: "made_up" }],
  ["no challenge", { code_challenge: undefined, code_challenge_method: undefined }],
  ["a plain challenge", { code_challenge_method: "plain" }],
  ["a challenge without a method", { code_challenge_method: undefined }],
  ["a challenge that is too short", { code_challenge: "short" }],
  ["an unknown prompt", { prompt: "made_up" }],
  ["prompt=none and more", { prompt: "none login" }],
  ["a max_age that is no number", { max_age: "soon" }],
  ["a max_age below zero", { max_age: "-1" }],
  ["a request object", { request: "e30.e30." }],
  ["a client that has no such grant", { client_id: "app" }]
]

const badPushes: ReadonlyArray<readonly [string, Fields]> = [
  ["a pushed request by an unknown client", { client_id: "nobody" }],
  ["a pushed request by no client", { client_id: undefined }],
  ["a pushed request for another address", { redirect_uri: "https://evil.test/callback" }],
  ["a pushed request without a challenge", { code_challenge: undefined, code_challenge_method: undefined }],
  ["a pushed request for a pushed request", { request_uri: "urn:ietf:params:oauth:request_uri:x" }],
  ["a pushed request with an unknown response type", { response_type: "made_up" }]
]

const register = (on: Judged, metadata: unknown) =>
  HttpClient.execute(HttpClientRequest.post(on.registration).pipe(HttpClientRequest.bodyUnsafeJson(metadata)))
    .pipe(Effect.flatMap((response) =>
      Effect.map(response.json, (body): Got => ({
        status: response.status,
        headers: response.headers,
        body: body as Got["body"]
      }))
    ))

const native = {
  application_type: "native",
  redirect_uris: ["http://127.0.0.1/callback"],
  token_endpoint_auth_method: "none"
}

const registrations: ReadonlyArray<readonly [string, unknown]> = [
  ["a registration", native],
  ["a registration with a secret", { redirect_uris: ["https://app.test/callback"] }],
  ["a registration without addresses", { ...native, redirect_uris: undefined }],
  ["a registration with no address at all", { ...native, redirect_uris: [] }],
  ["a registration with an address that is none", { ...native, redirect_uris: ["callback"] }],
  ["a registration with a fragment", { ...native, redirect_uris: ["https://app.test/callback#a"] }],
  ["a registration with an unknown method", { ...native, token_endpoint_auth_method: "made_up" }],
  ["a registration with an unknown grant", { ...native, grant_types: ["made_up"] }],
  ["a registration with an unknown response type", { ...native, response_types: ["made_up"] }],
  ["a registration with a list for a text", { ...native, token_endpoint_auth_method: ["none"] }],
  ["a registration that is a list", []]
]

/** Proofs of possession. */
export const proofs = Effect.fnUntraced(function*(on: Judged) {
  const verdicts: Array<Verdict> = []
  const judge = judging(verdicts)
  const { code, redeem, refresh } = hands(on)
  const mine = yield* Prover.make
  const other = yield* Prover.make
  const now = yield* on.now
  const endpoint = `${on.issuer}/token`
  const prove = (changes: Prover.Changes = {}, key = mine) =>
    key.prove({ htm: "POST", htu: endpoint, iat: now, ...changes })
  const judgeCode = (name: string, proof: Effect.Effect<Record<string, string>>) =>
    Effect.gen(function*() {
      const headers = yield* proof
      return yield* judge(name, redeem(yield* code(), {}, headers))
    })
  yield* judgeCode("a proof", prove())
  yield* judgeCode("a proof for another method", prove({ htm: "GET" }))
  yield* judgeCode("a proof for another address", prove({ htu: `${on.issuer}/other` }))
  yield* judgeCode("a proof with a query", prove({ htu: `${endpoint}?a=b` }))
  yield* judgeCode("a proof without a name", prove({ jti: undefined }))
  yield* judgeCode("a proof without a time", prove({ iat: undefined }))
  yield* judgeCode("a proof of an hour ago", prove({ iat: now - 3600 }))
  yield* judgeCode("a proof of another type", prove({ typ: "jwt" }))
  yield* judgeCode("a proof with a key that is not its own", prove({ jwk: other.jwk }))
  yield* judgeCode("a proof that is none", Effect.succeed({ dpop: "made-up" }))

  const tokens = yield* redeem(yield* code(), {}, yield* prove())
  const value = tokens.body["refresh_token"]
  yield* judge("a bound refresh without a proof", refresh(value))
  yield* judge("a bound refresh with another key", refresh(value, {}, yield* prove({}, other)))
  const renewed = yield* judge("a bound refresh", refresh(value, {}, yield* prove()))
  const access = String(renewed.body["access_token"])
  const proofFor = (changes: Prover.Changes = {}, key = mine) =>
    Effect.map(
      key.prove({ htm: "GET", htu: on.resource, iat: now, access, ...changes }),
      (headers) => ({ ...headers, authorization: `DPoP ${access}` })
    )
  yield* judge("userinfo with a proof", get(on.resource, yield* proofFor()))
  yield* judge("userinfo with a bound token as bearer", get(on.resource, bearer(renewed)))
  yield* judge("userinfo without a proof", get(on.resource, { authorization: `DPoP ${access}` }))
  yield* judge("userinfo with another key", get(on.resource, yield* proofFor({}, other)))
  yield* judge("userinfo with a proof of no token", get(on.resource, yield* proofFor({ access: undefined })))
  yield* judge("userinfo with a proof of another token", get(on.resource, yield* proofFor({ access: "x" })))
  const reused = yield* proofFor()
  yield* get(on.resource, reused)
  yield* judge("userinfo with a proof again", get(on.resource, reused))
  const mineToo = yield* prove()
  yield* redeem(yield* code(), {}, mineToo)
  yield* judge("a proof again", redeem(yield* code(), {}, mineToo))

  const jkt = mine.thumbprint
  yield* judge("a code that is bound to a key", redeem(yield* code({ dpop_jkt: jkt }), {}, yield* prove()))
  yield* judge("a bound code without a proof", redeem(yield* code({ dpop_jkt: jkt })))
  yield* judge(
    "a bound code with another key",
    redeem(yield* code({ dpop_jkt: jkt }), {}, yield* prove({}, other))
  )
  const bound = { client_id: "bound" }
  yield* judge("no proof of a client that needs one", redeem(yield* code(bound), bound))
  return { verdicts }
})

/** Nonces, at a provider that demands them. */
export const nonces = Effect.fnUntraced(function*(on: Judged) {
  const verdicts: Array<Verdict> = []
  const judge = judging(verdicts)
  const { code, redeem, refresh } = hands(on)
  const key = yield* Prover.make
  const now = yield* on.now
  const prove = (nonce?: string) => key.prove({ htm: "POST", htu: `${on.issuer}/token`, iat: now, nonce })
  const first = yield* code()
  const asked = yield* judge("a code without a nonce", redeem(first, {}, yield* prove()))
  const nonce = asked.headers["dpop-nonce"]
  yield* judge("a code with a made-up nonce", redeem(first, {}, yield* prove("made-up")))
  const tokens = yield* judge("a code with the nonce", redeem(first, {}, yield* prove(nonce)))
  const value = tokens.body["refresh_token"]
  yield* judge("a refresh without a nonce", refresh(value, {}, yield* prove()))
  const renewed = yield* judge("a refresh with the nonce", refresh(value, {}, yield* prove(nonce)))
  const access = String(renewed.body["access_token"])
  const see = (nonce?: string) =>
    Effect.flatMap(
      key.prove({ htm: "GET", htu: on.resource, iat: now, access, nonce }),
      (headers) => get(on.resource, { ...headers, authorization: `DPoP ${access}` })
    )
  const again = yield* judge("userinfo without a nonce", see())
  yield* judge("userinfo with the nonce", see(again.headers["dpop-nonce"]))
  return { verdicts }
})
