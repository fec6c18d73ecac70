// simple-oauth2 tells whether a token has expired; its users keep it.
import { ClientCredentials } from "simple-oauth2"
import { serve } from "../provider.mjs"

export const simpleOauth2 = {
  name: "simple-oauth2",
  window: 0,
  make: async (provider) => {
    const server = await serve(provider)
    const client = new ClientCredentials({
      client: { id: "id", secret: "secret" },
      auth: { tokenHost: server.origin, tokenPath: "/token" }
    })
    let token
    const get = async () => {
      if (token === undefined || token.expired()) token = await client.getToken({})
      return token
    }
    return { get, close: server.close }
  }
}
