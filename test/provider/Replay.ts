/**
 * A provider that is nothing but its written contract: which requests it takes, field by field, and what it
 * answers. No contract was recorded from a live server: each says what it was written from, which is the provider's
 * published documents or, where it has none for this, what public clients of it send and take. So a test over a
 * contract shows that a preset does what is publicly known, not that the server still does. A request that lacks a demanded field or has one that the contract doesn't know gets the provider's own
 * error, and is written down.
 *
 * In a contract `*` is any text, and `{name}` the value that was last sent or given under that name. In an answer
 * `{+name}` gives a new value, `{now+1000}` an instant in Unix milliseconds, and `{id_token}` a signed one. As a
 * demand, `{verifier}` is what belongs to the code challenge. A script may name an outage instead of an answer.
 */
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientError from "@effect/platform/HttpClientError"
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { KeyPairKeyObjectResult } from "node:crypto"
import { createHash, generateKeyPairSync, sign } from "node:crypto"
import { readFileSync } from "node:fs"

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Text is sent as a page, anything else as JSON, null as nothing. */
  readonly body: unknown
}

type Fields = Readonly<Record<string, string>>

export interface Ask {
  readonly url: string
  readonly encoding?: "form" | "json"
  readonly headers?: Fields
  readonly fields: Fields
  readonly optional?: Fields
  /** To a request that is not as it should be. */
  readonly wrong: Answer
  readonly answers: Readonly<Record<string, Answer>>
}

export interface Contract {
  readonly provider: string
  /** What kind of source it has: published documents, or what public clients do. */
  readonly writtenFrom: string
  /** Where that can be read. */
  readonly sources: ReadonlyArray<string>
  readonly client: { readonly id: string; readonly secret?: string }
  readonly asks: Readonly<Record<string, Ask>>
  readonly authorize?: {
    readonly url: string
    readonly fields: Fields
    readonly optional?: Fields
    readonly callback: Fields
  }
  readonly idToken?: { readonly issuer: string; readonly jwks: string }
}

/** What goes wrong between any provider and its client. */
const outages: Readonly<Record<string, () => Response>> = {
  "500": () => new Response("", { status: 500 }),
  "502 with a page": () => new Response("<html>Bad Gateway</html>", { status: 502 }),
  "503 with a code": () => Response.json({ error: "invalid_grant", status: "error" }, { status: 503 }),
  "429": () => new Response("", { status: 429 }),
  "429 for 20 s": () => new Response("", { status: 429, headers: { "retry-after": "20" } }),
  "a page": () => new Response("<html>Sign in to the network</html>", { status: 200 }),
  "a page that refuses": () => new Response("<html>Forbidden</html>", { status: 403 }),
  "a redirect": () => new Response("", { status: 302, headers: { location: "https://wifi.example" } }),
  "half a body": () => new Response("{\"access_to", { status: 200 }),
  "a list": () => Response.json([]),
  "null": () => new Response("null")
}

/** Their names, and `dropped` for a connection that breaks. */
export const outageNames: ReadonlyArray<string> = [...Object.keys(outages), "dropped"]

export const read = (name: string): Contract =>
  JSON.parse(readFileSync(new URL(`./contracts/${name}.json`, import.meta.url), "utf8")) as Contract

export interface Call {
  /** Which of the contract's requests it was. */
  readonly ask: string
  readonly fields: Fields
  readonly headers: Fields
  readonly at: number
}

export interface Replay {
  readonly layer: Layer.Layer<HttpClient.HttpClient>
  readonly calls: Array<Call>
  /** What was wrong with requests. */
  readonly complaints: Array<string>
  /** What the provider sends a person's browser back with, once they have agreed. */
  readonly browse: (url: string) => Effect.Effect<URLSearchParams>
}

/** Which answer each kind of request gets, one after the other; the last one stays. Default: `success`. */
export type Script = Readonly<Record<string, ReadonlyArray<string>>>

interface State {
  readonly contract: Contract
  readonly script: Script
  /** The values that demands and answers name. */
  readonly known: Map<string, string>
  /** How many answers each kind of request has had. */
  readonly taken: Map<string, number>
  readonly calls: Array<Call>
  readonly complaints: Array<string>
  readonly keys: KeyPairKeyObjectResult
  now: number
}

export const make = (contract: Contract, script: Script = {}): Effect.Effect<Replay> =>
  Effect.sync(() => {
    const { id, secret } = contract.client
    const state: State = {
      contract,
      script,
      known: new Map(
        Object.entries({ client_id: id, ...(secret !== undefined && { client_secret: secret }) })
      ),
      taken: new Map(),
      calls: [],
      complaints: [],
      keys: generateKeyPairSync("ec", { namedCurve: "P-256" }),
      now: 0
    }
    const client = HttpClient.make((request, url) =>
      Effect.map(respond(state, request, url), (response) => HttpClientResponse.fromWeb(request, response))
    )
    return {
      layer: Layer.succeed(HttpClient.HttpClient, client),
      calls: state.calls,
      complaints: state.complaints,
      browse: (url) => Effect.sync(() => browse(state, new URL(url)))
    }
  })

const respond = Effect.fnUntraced(
  function*(state: State, request: HttpClientRequest.HttpClientRequest, url: URL) {
    const { calls, complaints, contract } = state
    state.now = yield* Clock.currentTimeMillis
    if (url.href === contract.idToken?.jwks) return keySet(state)
    const fields = fieldsOf(request)
    const found = Object.entries(contract.asks).filter(([, ask]) => ask.url === url.href)
    const [name, ask] = found.find(([, ask]) => isMeant(ask, fields)) ?? found[0] ?? []
    if (name === undefined || ask === undefined) {
      complaints.push(`nothing is known at ${url.href}`)
      return new Response("<html>Not Found</html>", { status: 404 })
    }
    calls.push({ ask: name, fields, headers: { ...request.headers }, at: state.now })
    const wrong = faults(ask, request, fields, state)
    complaints.push(...wrong.map((fault) => `${name}: ${fault}`))
    const turn = next(name, state)
    if (turn === "dropped") return yield* new HttpClientError.RequestError({ request, reason: "Transport" })
    const outage = outages[turn]
    if (outage !== undefined) return outage()
    learn(fields, state)
    const answer = wrong.length > 0 ? ask.wrong : ask.answers[turn]
    return answer === undefined
      ? yield* Effect.dieMessage(`${contract.provider} has no such answer to ${name}`)
      : toResponse(answer, state)
  }
)

const browse = (state: State, to: URL): URLSearchParams => {
  const { complaints, contract } = state
  const { callback = {}, fields = {}, optional = {}, url = "" } = contract.authorize ?? {}
  const asked = Object.fromEntries(to.searchParams)
  if (to.origin + to.pathname !== url) complaints.push(`authorize: went to ${to.origin}${to.pathname}`)
  complaints.push(...differences({ fields, optional }, asked, state).map((fault) => `authorize: ${fault}`))
  learn(asked, state)
  return new URLSearchParams(fill(callback, state) as Record<string, string>)
}

const keySet = ({ keys }: State): Response =>
  Response.json({
    keys: [{ ...keys.publicKey.export({ format: "jwk" }), kid: "1", alg: "ES256", use: "sig" }]
  })

const isMeant = ({ fields: { grant_type: wanted } }: Ask, { grant_type: sent }: Fields): boolean =>
  wanted === sent

const bodyOf = ({ body }: HttpClientRequest.HttpClientRequest): string =>
  body._tag === "Uint8Array" ? new TextDecoder().decode(body.body) : ""

const isJson = (request: HttpClientRequest.HttpClientRequest): boolean =>
  request.body._tag === "Uint8Array" && request.body.contentType.startsWith("application/json")

const fieldsOf = (request: HttpClientRequest.HttpClientRequest): Fields =>
  isJson(request)
    ? JSON.parse(bodyOf(request)) as Fields
    : Object.fromEntries(new URLSearchParams(bodyOf(request)))

const faults = (
  ask: Ask,
  request: HttpClientRequest.HttpClientRequest,
  fields: Fields,
  state: State
): ReadonlyArray<string> => [
  ...(request.method === "POST" ? [] : [`is a ${request.method}`]),
  ...(isJson(request) === (ask.encoding === "json") ? [] : [`is not written as ${ask.encoding ?? "form"}`]),
  ...Object.entries(ask.headers ?? {}).flatMap(([name, wanted]) =>
    fits(wanted, request.headers[name], state) ? [] : [`the header ${name} is missing or wrong`]
  ),
  ...differences(ask, fields, state)
]

const differences = (
  { fields, optional = {} }: Pick<Ask, "fields" | "optional">,
  sent: Fields,
  state: State
): ReadonlyArray<string> => [
  ...Object.entries(fields).flatMap(([name, wanted]) =>
    fits(wanted, sent[name], state) ? [] : [`${name} is ${name in sent ? "wrong" : "missing"}`]
  ),
  ...Object.entries(sent).flatMap(([name, value]) => {
    if (name in fields) return []
    const wanted = optional[name]
    return wanted !== undefined && fits(wanted, value, state) ? [] : [`${name} is unknown or wrong`]
  })
]

const fits = (wanted: string, sent: string | undefined, { known }: State): boolean => {
  if (sent === undefined || sent === "") return false
  if (wanted === "*") return true
  if (wanted === "{verifier}") {
    return createHash("sha256").update(sent).digest("base64url") === known.get("code_challenge")
  }
  const name = /^\{(\w+)\}$/.exec(wanted)?.[1]
  return sent === (name === undefined ? wanted : known.get(name))
}

const next = (name: string, { script, taken }: State): string => {
  const answers = script[name] ?? ["success"]
  const index = taken.get(name) ?? 0
  taken.set(name, index + 1)
  return answers[Math.min(index, answers.length - 1)] ?? "success"
}

const learn = (fields: Fields, { known }: State): void => {
  for (const name of ["state", "nonce", "redirect_uri", "code_challenge"]) {
    if (fields[name] !== undefined) known.set(name, fields[name])
  }
}

const toResponse = ({ body, headers = {}, status }: Answer, state: State): Response => {
  const init = { status, headers: { ...headers } }
  if (body === null) return new Response(null, init)
  if (typeof body === "string") return new Response(body, init)
  if (JSON.stringify(body).includes("{id_token}")) state.known.set("id_token", idToken(state))
  return Response.json(fill(body, state), init)
}

/** Signed at once: what takes real time is too late on a virtual clock. */
const idToken = ({ contract, keys, known, now }: State): string => {
  const issuedAt = Math.floor(now / 1000)
  const claims = {
    iss: contract.idToken?.issuer,
    aud: contract.client.id,
    sub: "person",
    nonce: known.get("nonce"),
    iat: issuedAt,
    exp: issuedAt + 3600
  }
  const signed = [{ alg: "ES256", kid: "1" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".")
  const signature = sign("sha256", Buffer.from(signed), { key: keys.privateKey, dsaEncoding: "ieee-p1363" })
  return `${signed}.${signature.toString("base64url")}`
}

let count = 0

/** The body with its places filled in. */
const fill = (body: unknown, state: State): unknown => {
  if (Array.isArray(body)) return body.map((item) => fill(item, state))
  if (typeof body === "object" && body !== null) {
    return Object.fromEntries(Object.entries(body).map(([name, value]) => [name, fill(value, state)]))
  }
  if (typeof body !== "string") return body
  const instant = /^\{now\+(\d+)\}$/.exec(body)?.[1]
  if (instant !== undefined) return state.now + Number(instant)
  return body.replaceAll(/\{(\+?)(\w+)\}/g, (_, isNew: string, name: string) => {
    if (isNew !== "") state.known.set(name, `${name}-${++count}`)
    return state.known.get(name) ?? ""
  })
}
