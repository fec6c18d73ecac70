/** Parts that the tests of bound tokens share. */
import type * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as Token from "effect-credentials/Token"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import { createHash } from "node:crypto"
import { proofIn } from "../oauth/dpopKit.js"
import * as Kit from "./kit.js"

export const ath = (secret: string) => createHash("sha256").update(secret).digest("base64url")

/** Bound tokens, one after the other; each has a key of its own. */
export const tokens = (...values: readonly [string, ...ReadonlyArray<string>]) =>
  Effect.gen(function*() {
    const all = yield* Effect.forEach(values, (value) =>
      Effect.map(Dpop.generate(), (proofKey) =>
        Token.make({ value: Redacted.make(value), type: "DPoP", proofKey })))
    const log = { got: 0, renewals: 0, invalidated: [] as Array<string> }
    const held = () =>
      all[Math.min(log.renewals, all.length - 1)] as Token.Token
    const source = TokenSource.make({
      name: "test source",
      request: ({ supersede }) =>
        Effect.sync(() => {
          log.got++
          if (supersede !== undefined && Token.isSame(supersede, held())) {
            log.renewals++
          }
          return held()
        }),
      invalidate: (refused) =>
        Effect.sync(() => void log.invalidated.push(Kit.secretOf(refused)))
    })
    return { all, log, source }
  })

export const proofsOf = (requests: ReadonlyArray<HttpClientRequest.HttpClientRequest>) =>
  Effect.forEach(requests, ({ headers }) => proofIn(headers))

export const demand = (nonce?: string, init: { readonly headers?: Record<string, string> } = {}) =>
  new Response("again", {
    status: 401,
    headers: {
      "www-authenticate": "Bearer realm=\"x\", DPoP error=\"use_dpop_nonce\", algs=\"ES256\"",
      ...(nonce === undefined ? {} : { "dpop-nonce": nonce }),
      ...init.headers
    }
  })

export const setup = (
  answer: (count: number, request: HttpClientRequest.HttpClientRequest) => Response,
  options: Partial<HttpAuth.DpopOptions> = {},
  values: readonly [string, ...ReadonlyArray<string>] = ["t-0"]
) =>
  Effect.map(tokens(...values), ({ all, log, source }) => {
    let count = 0
    const fake = Kit.fake((request) => answer(++count, request))
    const credential = HttpAuth.dpop(source, { origins: Kit.api, ...options })
    return { ...fake, all, authed: credential(fake.client), credential, log }
  })
