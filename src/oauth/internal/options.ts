/**
 * The options of a grant that can be wrong in themselves.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import { Misconfigured } from "../../TokenError.js"
import type * as TokenEndpoint from "../TokenEndpoint.js"

/** The options that are checked here. */
export interface Options extends TokenEndpoint.Options {
  readonly authorizationParameters?: TokenEndpoint.Parameters | undefined
  readonly resource?: string | ReadonlyArray<string> | undefined
}

/** The fields that the protocol itself uses (RFC 6749, 7521, 7636, 8628, 8693, 8707). */
const reserved = new Set([
  "grant_type",
  "response_type",
  "client_id",
  "client_secret",
  "client_assertion",
  "client_assertion_type",
  "scope",
  "resource",
  "audience",
  "code",
  "code_challenge",
  "code_challenge_method",
  "code_verifier",
  "redirect_uri",
  "device_code",
  "refresh_token",
  "username",
  "password",
  "assertion",
  "subject_token",
  "subject_token_type",
  "actor_token",
  "actor_token_type"
])

/** What separates the resources in `Grant.extra`; no resource has one in it. */
export const separator = " "

/** How long the resources may be together, so that a vault can keep them with the grant. */
const longestResource = 8 * 1024

/** Fails where an option would say what another one says, or could not be remembered with the grant. */
export const check = (
  source: string,
  { authorizationParameters, parameters, resource }: Options
): Effect.Effect<void, Misconfigured> => {
  const name = Object.keys({ ...parameters, ...authorizationParameters }).find((name) => reserved.has(name))
  if (name !== undefined) return Effect.fail(reservedName(source, name))
  const resources = [resource ?? []].flat()
  return resources.every((one) => /^[^\s\p{Cc}]+$/u.test(one)) &&
      resources.join(separator).length <= longestResource
    ? Effect.void
    : Effect.fail(invalidResource(source))
}

const reservedName = (source: string, name: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: `the protocol's own field ${name} is among the further parameters`,
    hint: "Use the option of that meaning instead, if there is one."
  })

const invalidResource = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "a resource is empty, has white space in it, or is too long",
    hint: "Give absolute URIs of at most 8192 characters together."
  })
