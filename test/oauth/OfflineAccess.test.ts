import { assert, it } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as DeviceCode from "effect-credentials/oauth/DeviceCode"
import * as Effect from "effect/Effect"
import { serve } from "./kit.js"
import type { Call } from "./kit.js"

const listed = { scopes_supported: ["openid", "offline_access"] }

const cases: ReadonlyArray<
  readonly [string, Record<string, unknown>, Partial<DeviceCode.Options>, string | undefined]
> = [
  ["where the server lists it", listed, { scopes: ["openid"] }, "openid offline_access"],
  ["not where the server does not list it", {}, { scopes: ["openid"] }, "openid"],
  ["not alone by default", listed, {}, undefined],
  ["not against the caller's will", listed, { scopes: ["openid"], offlineAccess: false }, "openid"],
  ["at the caller's will", {}, { scopes: ["openid"], offlineAccess: true }, "openid offline_access"]
]

for (const [name, metadata, options, scope] of cases) {
  it.effect(`a device login asks for offline access ${name}`, () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const layer = serve((call) =>
        Effect.sync(() =>
          Response.json(
            call.url.endsWith("/device")
              ? { device_code: "d", user_code: "C", verification_uri: "https://idp.test/go" }
              : {
                issuer: "https://idp.test",
                token_endpoint: "https://idp.test/token",
                device_authorization_endpoint: "https://idp.test/device",
                ...metadata
              }
          )
        ), calls)
      const device = yield* AuthorizationServer.discover({ issuer: "https://idp.test" }).pipe(
        Effect.flatMap((server) => DeviceCode.make({ server, client: { id: "app" }, ...options })),
        Effect.provide(layer)
      )
      yield* device.authorize
      const form = calls.at(-1)?.form
      assert.strictEqual(form?.get("scope") ?? undefined, scope)
      assert.isFalse(form?.has("prompt"))
    }))
}
