import * as HttpBody from "@effect/platform/HttpBody"
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as StepUp from "effect-credentials/http/StepUp"
import * as Token from "effect-credentials/Token"
import { RequestRejected } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { client } from "../oauth/siteKit.js"
import type { Request } from "../oauth/siteKit.js"

const url = "https://api.test/"

const refusal = (header: string | undefined, status = 403) =>
  new Response("no", { status, headers: header === undefined ? {} : { "www-authenticate": header } })

/** An API that wants the token `wide`, and a source that gives `narrow` until somebody has obtained the other. */
const setting = (
  refuse: () => Response = () => refusal("Bearer error=\"insufficient_scope\", scope=\"a b\"")
) =>
  Effect.gen(function*() {
    const requests: Array<Request> = []
    const held = yield* Ref.make("narrow")
    const obtained: Array<readonly [ReadonlyArray<string>, string]> = []
    const source = TokenSource.make<TokenError>({
      name: "test",
      request: () => Effect.map(Ref.get(held), (text) => Token.make({ value: Redacted.make(text) }))
    })
    const api = client(
      ({ headers }) =>
        Effect.sync(() => headers["authorization"] === "Bearer wide" ? new Response("yes") : refuse()),
      requests
    )
    const make = (
      obtain: Effect.Effect<void, TokenError> = Ref.set(held, "wide")
    ) =>
      StepUp.make<TokenError, TokenError>({
        source,
        credential: (source) => HttpAuth.bearer(source, { origins: url }),
        obtain: (scopes, lacking) => {
          obtained.push([scopes, Redacted.value(lacking.value)])
          return obtain
        }
      })(api)
    return { held, make, obtained, requests }
  })

describe("a request that wants more scopes", () => {
  it.effect("gets them and is sent once more, with its body", () =>
    Effect.gen(function*() {
      const { make, obtained, requests } = yield* setting()
      const response = yield* make().post(url, { body: HttpBody.text("body") })
      expect([response.status, yield* response.text]).toEqual([200, "yes"])
      expect(obtained).toEqual([[["a", "b"], "narrow"]])
      expect(requests.map(({ body, headers }) => [headers["authorization"], body])).toEqual([
        ["Bearer narrow", "body"],
        ["Bearer wide", "body"]
      ])
    }))

  it.effect("is sent no third time, whatever the second answer says", () =>
    Effect.gen(function*() {
      const { make, obtained, requests } = yield* setting()
      const response = yield* make(Effect.void).get(url)
      expect(response.status).toBe(403)
      expect([obtained.length, requests.length]).toEqual([1, 2])
    }))

  it.effect("fails with what getting them fails with", () =>
    Effect.gen(function*() {
      const { make, requests } = yield* setting()
      const error = new RequestRejected({
        source: "test",
        reason: "InvalidScope",
        detail: "no",
        hint: "Ask."
      })
      expect(yield* Effect.flip(make(Effect.fail(error)).get(url))).toMatchObject({ reason: "InvalidScope" })
      expect(requests.length).toBe(1)
    }))

  it.effect("with a body that can't be sent again is answered as it was", () =>
    Effect.gen(function*() {
      const { make, obtained } = yield* setting()
      const body = HttpBody.stream(Stream.make(new Uint8Array([1])))
      const response = yield* make().execute(HttpClientRequest.setBody(HttpClientRequest.post(url), body))
      expect([response.status, yield* response.text]).toEqual([403, "no"])
      expect(obtained).toEqual([])
    }))

  it.effect("elsewhere, without the token, is none of ours", () =>
    Effect.gen(function*() {
      const { make, obtained } = yield* setting()
      expect((yield* make().get("https://elsewhere.test/")).status).toBe(403)
      expect(obtained).toEqual([])
    }))

  it.effect("each knows the token that it carried itself", () =>
    Effect.gen(function*() {
      const { held, make, obtained } = yield* setting()
      const http = make(Effect.void)
      yield* http.get(url)
      yield* Ref.set(held, "other")
      yield* http.get(url)
      expect(obtained.map(([, token]) => token)).toEqual(["narrow", "other"])
    }))

  it.effect("can be left while somebody is asked", () =>
    Effect.gen(function*() {
      const { make, requests } = yield* setting()
      const fiber = yield* Effect.fork(make(Effect.never).get(url))
      yield* TestClock.adjust("1 minute")
      yield* Fiber.interrupt(fiber)
      expect(requests.length).toBe(1)
    }))

  /** [what the answer is, which scopes it wants] */
  const answers: ReadonlyArray<readonly [string, Response, ReadonlyArray<string>]> = [
    ["a 403 that says so", refusal("Bearer error=\"insufficient_scope\", scope=\"a\""), ["a"]],
    ["a 401 that says so", refusal("Bearer error=\"insufficient_scope\", scope=\"a\"", 401), ["a"]],
    ["one for bound tokens", refusal("DPoP algs=\"ES256\", error=\"insufficient_scope\", scope=\"a\""), [
      "a"
    ]],
    ["the second challenge", refusal("Basic realm=\"x\", Bearer error=insufficient_scope, scope=\"a\""), [
      "a"
    ]],
    ["another error", refusal("Bearer error=\"invalid_token\", scope=\"a\"", 401), []],
    ["no error", refusal("Bearer scope=\"a\""), []],
    ["no challenge", refusal(undefined), []],
    ["no scopes", refusal("Bearer error=\"insufficient_scope\""), []],
    ["a 200", refusal("Bearer error=\"insufficient_scope\", scope=\"a\"", 200), []],
    [
      "scopes that are none",
      refusal("Bearer error=\"insufficient_scope\", scope=\"a\u00e4 b \\\"c\\\" d\""),
      ["b", "d"]
    ]
  ]
  for (const [what, response, scopes] of answers) {
    it.effect(`in ${what} wants [${scopes.join(", ")}]`, () =>
      Effect.gen(function*() {
        const { make, obtained } = yield* setting(() => response.clone())
        yield* make(Effect.void).get(url)
        expect(obtained.flatMap(([scopes]) => scopes)).toEqual(scopes)
      }))
  }

  it.effect("wants fifty at most", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 500 }, (_, index) => `s${index}`).join(" ")
      const { make, obtained } = yield* setting(() =>
        refusal(`Bearer error="insufficient_scope", scope="${many}"`)
      )
      yield* make(Effect.void).get(url)
      expect(obtained[0]?.[0]).toHaveLength(50)
    }))
})
