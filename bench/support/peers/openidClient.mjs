// openid-client keeps no token; this is the cache that its users put around it.
import * as client from "openid-client"
import { fetchOf } from "../provider.mjs"

export const openidClient = {
  name: "openid-client + user cache",
  window: 0,
  make: async (provider) => {
    const server = { issuer: "https://idp.test", token_endpoint: "https://idp.test/token" }
    const config = new client.Configuration(server, "id", "secret")
    config[client.customFetch] = fetchOf(provider)
    let tokens
    let expiresAt = 0
    const get = async () => {
      if (tokens !== undefined && Date.now() < expiresAt) return tokens
      tokens = await client.clientCredentialsGrant(config)
      expiresAt = Date.now() + tokens.expiresIn() * 1000
      return tokens
    }
    return { get }
  }
}
