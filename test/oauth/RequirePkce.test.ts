import { expect, it } from "@effect/vitest"
import * as AuthorizationCode from "effect-credentials/oauth/AuthorizationCode"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Effect from "effect/Effect"
import { serve } from "./kit.js"

const begin = (methods: ReadonlyArray<string> | undefined, requirePkce: boolean | undefined) =>
  Effect.gen(function*() {
    const issuer = "https://idp.test"
    const document = {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      code_challenge_methods_supported: methods
    }
    const layer = serve(() => Effect.sync(() => Response.json(document)), [])
    const code = yield* AuthorizationServer.discover({ issuer }).pipe(
      Effect.flatMap((server) => AuthorizationCode.make({ server, client: { id: "app" }, requirePkce })),
      Effect.provide(layer)
    )
    return yield* code.begin({ redirectUri: "http://127.0.0.1/callback" })
  })

for (const methods of [undefined, [], ["plain"], ["s256"]]) {
  it.effect(`a server that knows [${methods ?? "nobody knows what"}] is refused where PKCE is required`, () =>
    Effect.gen(function*() {
      expect(yield* Effect.flip(begin(methods, true))).toMatchObject({
        _tag: "Misconfigured",
        reason: "UnsupportedGrant",
        detail: "the server's metadata does not say that it knows PKCE with S256"
      })
      expect((yield* begin(methods, undefined)).url).toContain("code_challenge_method=S256")
    }))
}

it.effect("a server that knows S256 is taken", () =>
  Effect.gen(function*() {
    expect((yield* begin(["plain", "S256"], true)).url).toContain("code_challenge_method=S256")
  }))
