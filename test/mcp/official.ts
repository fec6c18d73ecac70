/** The official client of the Model Context Protocol, with a store in memory and a person who is sent to a page. */
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import { UnauthorizedError } from "@modelcontextprotocol/sdk/client/auth.js"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { OAuthClientInformationMixed, OAuthTokens } from "@modelcontextprotocol/sdk/shared/auth.js"

export const redirectUri = "http://127.0.0.1/callback"

/** What it keeps between two connections. */
export interface Held {
  client?: OAuthClientInformationMixed | undefined
  tokens?: OAuthTokens | undefined
  verifier?: string | undefined
}

export interface Options {
  readonly url: string
  /** Where the browser was sent, oldest first. */
  readonly authorize: Array<URL>
  /** What the browser comes back with. */
  readonly person: (url: URL) => Promise<string>
  readonly held: Held
  readonly fetch?: typeof fetch | undefined
  /** The address of a document about the client. */
  readonly document?: string | undefined
}

/** Connects, with as many logins as that takes. */
export const connect = async (options: Options): Promise<Client> => {
  const transport = new StreamableHTTPClientTransport(new URL(options.url), {
    authProvider: providerOf(options),
    ...options.fetch === undefined ? {} : { fetch: options.fetch }
  })
  const client = new Client({ name: "official", version: "1.0.0" })
  try {
    await client.connect(transport as never)
    return client
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error
    await transport.finishAuth(await options.person(options.authorize.at(-1) ?? new URL("about:blank")))
    return connect(options)
  }
}

export const providerOf = ({ authorize, document, held }: Options): OAuthClientProvider => ({
  redirectUrl: redirectUri,
  ...document === undefined ? {} : { clientMetadataUrl: document },
  clientMetadata: {
    client_name: "Test client",
    redirect_uris: [redirectUri],
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
    token_endpoint_auth_method: "none",
    application_type: "native"
  } as OAuthClientProvider["clientMetadata"],
  clientInformation: () => held.client,
  saveClientInformation: (client) => void (held.client = client),
  tokens: () => held.tokens,
  saveTokens: (tokens) => void (held.tokens = tokens),
  saveCodeVerifier: (verifier) => void (held.verifier = verifier),
  codeVerifier: () => held.verifier ?? "",
  redirectToAuthorization: (url) => void authorize.push(url),
  invalidateCredentials: (scope) => {
    if (scope === "all" || scope === "client") held.client = undefined
    if (scope === "all" || scope === "tokens") held.tokens = undefined
  }
})
