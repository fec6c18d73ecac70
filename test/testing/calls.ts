// Plain HTTP calls to a provider, as any client makes them.
import * as HttpClient from "@effect/platform/HttpClient"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as Effect from "effect/Effect"
import * as Encoding from "effect/Encoding"

export const issuer = "https://idp.test"

export const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

export interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Readonly<Record<string, unknown>>
}

type Fields = Readonly<Record<string, string>>

const read = (request: HttpClientRequest.HttpClientRequest) =>
  Effect.gen(function*() {
    const response = yield* HttpClient.execute(request)
    const text = yield* response.text
    const isJson = response.headers["content-type"]?.startsWith("application/json") ?? false
    const body = isJson ? JSON.parse(text) as Record<string, unknown> : {}
    return { status: response.status, headers: response.headers, body } satisfies Got
  })

export const post = (url: string, fields: Fields, headers: Fields = {}) =>
  read(HttpClientRequest.post(url, { headers }).pipe(HttpClientRequest.bodyUrlParams(fields)))

export const get = (url: string, headers: Fields = {}) => read(HttpClientRequest.get(url, { headers }))

export const basic = (id: string, secret: string): Fields => ({
  authorization: `Basic ${Encoding.encodeBase64(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`)}`
})

export const token = (fields: Fields, headers: Fields = {}) => post(`${issuer}/token`, fields, headers)

export const refresh = (refreshToken: unknown, more: Fields = {}, headers: Fields = {}) =>
  token(
    { grant_type: "refresh_token", refresh_token: String(refreshToken), client_id: "app", ...more },
    headers
  )

export const credentials = token({ grant_type: "client_credentials" }, basic("service", "service-secret"))

export const startLogin = (more: Fields = {}) =>
  post(`${issuer}/device_authorization`, { client_id: "app", ...more })

export const poll = (code: unknown, more: Fields = {}, headers: Fields = {}) =>
  token({ grant_type: deviceGrant, device_code: String(code), client_id: "app", ...more }, headers)

export const resource = (accessToken: unknown) =>
  get(`${issuer}/resource`, { authorization: `Bearer ${String(accessToken)}` })
