// MSAL's confidential client.
import { ConfidentialClientApplication } from "@azure/msal-node"
import { metadata } from "./azure.mjs"

export const msal = {
  name: "MSAL acquireTokenByClientCredential",
  window: 300,
  slow: true,
  make: async (provider) => {
    const app = new ConfidentialClientApplication({
      auth: {
        clientId: "id",
        clientSecret: "secret",
        authority: "https://idp.test/tenant",
        knownAuthorities: ["idp.test"],
        cloudDiscoveryMetadata: ""
      },
      system: {
        networkClient: {
          sendGetRequestAsync: async (url) => ({ status: 200, headers: {}, body: metadata(url) }),
          sendPostRequestAsync: async () => {
            const answer = await provider.answer().catch(() => undefined)
            return answer === undefined
              ? { status: 503, headers: {}, body: {} }
              : { status: 200, headers: {}, body: answer }
          }
        }
      }
    })
    const request = { scopes: ["https://idp.test/.default"] }
    return { get: () => app.acquireTokenByClientCredential(request) }
  }
}
