/**
 * How tokens that are bound to a key go on requests, each with a proof of its own (RFC 9449 §7).
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Dpop from "../../oauth/Dpop.js"
import type * as Token from "../../Token.js"
import { Misconfigured } from "../../TokenError.js"
import * as Challenge from "../Challenge.js"
import * as Placement from "../Placement.js"

type Request = HttpClientRequest.HttpClientRequest
type Response = HttpClientResponse.HttpClientResponse

export interface Credential {
  readonly placement: Placement.Placement
  /** Learns from an answer, and tells whether another proof for the same token may pass. */
  readonly learn: (plain: Request, response: Response) => Effect.Effect<boolean>
}

export const make = (source: string, allowBearer: boolean): Credential => {
  const prover = proverOf(source)
  const header = Placement.header(
    { source, name: "authorization" },
    (token) => Either.map(Placement.visible(source, token), (value) => `${schemeOf(token)} ${value}`)
  )
  return {
    placement: {
      secretHeaders: [...header.secretHeaders, "dpop"],
      isOn: header.isOn,
      put: (request, token) => {
        if (schemeOf(token) === "Bearer" && allowBearer) return header.put(request, token)
        return schemeOf(token) === "DPoP"
          ? Effect.zipWith(prover, header.put(request, token), prove(token)).pipe(Effect.flatten)
          : Effect.fail(wrongType(source))
      }
    },
    learn: (plain, response) => Effect.flatMap(prover, (prover) => learn(prover, plain, response))
  }
}

/**
 * One prover for all requests. What signs is loaded with the first of them, so that other credentials don't
 * wait for it at start-up.
 */
const proverOf = (source: string): Effect.Effect<Dpop.Prover> => {
  let made: Dpop.Prover | undefined
  const make = Effect.map(
    Effect.promise(() => import("../../oauth/Dpop.js")),
    ({ unsafeProver }) => made ??= unsafeProver(source)
  )
  return Effect.suspend(() => made === undefined ? make : Effect.succeed(made))
}

const schemeOf = ({ type }: Token.Token): "DPoP" | "Bearer" | undefined => {
  const scheme = type.toLowerCase()
  return scheme === "dpop" ? "DPoP" : scheme === "bearer" ? "Bearer" : undefined
}

/** An address that is none is left to the client below, which says so. */
const prove = (token: Token.Token) =>
(
  prover: Dpop.Prover,
  request: Request
): Effect.Effect<Request, Misconfigured> =>
  Option.match(HttpClientRequest.toUrl(request), {
    onNone: () => Effect.succeed(request),
    onSome: (url) =>
      Effect.map(
        prover.prove({ token, method: request.method, url }),
        (proof) => HttpClientRequest.setHeader(request, "dpop", Redacted.value(proof))
      )
  })

const learn = (
  prover: Dpop.Prover,
  plain: Request,
  { headers, status }: Response
): Effect.Effect<boolean> =>
  Option.match(HttpClientRequest.toUrl(plain), {
    onNone: () => Effect.succeed(false),
    onSome: (url) =>
      Effect.map(prover.learn({ url, status, headers }), ({ clock, nonce }) => {
        if (status !== 401) return false
        const codes = Challenge.parse(headers["www-authenticate"]).flatMap((one) =>
          Option.toArray(Challenge.error(one))
        )
        return nonce && codes.includes("use_dpop_nonce") || clock && codes.includes("invalid_dpop_proof")
      })
  })

const wrongType = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "its tokens are of a type that is not bound to a key",
    hint: "Log in with the dpop option on; say `allowBearer: true` to send bearer tokens without a proof."
  })
