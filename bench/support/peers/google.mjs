// google-auth-library: the bare access token, and the headers that its clients really ask for.
import { UserRefreshClient } from "google-auth-library"
import { serve } from "../provider.mjs"

const client = (provider, use) => async () => {
  const server = await serve(provider)
  const auth = new UserRefreshClient({
    clientId: "id",
    clientSecret: "secret",
    refreshToken: "refresh",
    endpoints: { oauth2TokenUrl: server.url }
  })
  return { get: () => use(auth), close: server.close }
}

export const google = {
  name: "google-auth-library getAccessToken",
  window: 300,
  make: (provider) => client(provider, (auth) => auth.getAccessToken())()
}

export const googleHeaders = {
  name: "google-auth-library headers",
  window: 300,
  make: (provider) => client(provider, (auth) => auth.getRequestHeaders())()
}
