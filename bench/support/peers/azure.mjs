// Azure: the bearer policy of its HTTP pipeline over a plain credential, and its own client-secret credential.
import {
  bearerTokenAuthenticationPolicy,
  createHttpHeaders,
  createPipelineRequest
} from "@azure/core-rest-pipeline"
import { ClientSecretCredential } from "@azure/identity"

const scope = "https://idp.test/.default"

const accessToken = (answer) => ({
  token: answer.access_token,
  expiresOnTimestamp: Date.now() + answer.expires_in * 1000
})

export const azureBearer = {
  name: "@azure/core bearer policy",
  window: 120,
  make: async (provider) => {
    const credential = { getToken: async () => accessToken(await provider.answer()) }
    const policy = bearerTokenAuthenticationPolicy({ credential, scopes: scope })
    const answered = { status: 200, headers: createHttpHeaders() }
    const next = async (request) => ({ ...answered, request })
    const request = createPipelineRequest({ url: "https://api.test/" })
    return { get: () => policy.sendRequest(request, next) }
  }
}

export const clientSecretCredential = {
  name: "@azure/identity ClientSecretCredential",
  window: 300,
  slow: true,
  make: async (provider) => {
    const credential = new ClientSecretCredential("11111111-1111-1111-1111-111111111111", "id", "secret", {
      authorityHost: "https://idp.test",
      disableInstanceDiscovery: true,
      retryOptions: { maxRetries: 0 },
      httpClient: { sendRequest: (request) => respond(request, provider) }
    })
    return { get: () => credential.getToken(scope) }
  }
}

const respond = async (request, provider) => {
  const headers = createHttpHeaders({ "content-type": "application/json" })
  if (request.url.includes("openid-configuration")) {
    return { request, status: 200, headers, bodyAsText: JSON.stringify(metadata(request.url)) }
  }
  const answer = await provider.answer().catch(() => undefined)
  if (answer === undefined) return { request, status: 503, headers, bodyAsText: "{}" }
  return { request, status: 200, headers, bodyAsText: JSON.stringify(answer) }
}

/** What MSAL wants to know about an authority before it asks it for a token. */
export const metadata = (url) => {
  const base = new URL(url).pathname.replace(/\/v2\.0.*$/, "")
  const authority = `https://idp.test${base}`
  return {
    token_endpoint: `${authority}/oauth2/v2.0/token`,
    authorization_endpoint: `${authority}/oauth2/v2.0/authorize`,
    end_session_endpoint: `${authority}/oauth2/v2.0/logout`,
    jwks_uri: `${authority}/discovery/v2.0/keys`,
    issuer: `${authority}/v2.0`
  }
}
