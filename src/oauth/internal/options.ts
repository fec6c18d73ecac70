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
  readonly audience?: string | ReadonlyArray<string> | undefined
}

/** The fields that the protocol itself uses (RFC 6749, 7521, 7636, 8628, 8693, 8707, 9449). */
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
  "dpop_jkt",
  "refresh_token",
  "username",
  "password",
  "assertion",
  "subject_token",
  "subject_token_type",
  "actor_token",
  "actor_token_type",
  "requested_token_type"
])

/** What separates the resources in `Grant.extra`; no resource has one in it. */
export const separator = " "

/** What separates the audiences there: one may be any line of text. */
export const audienceSeparator = "\n"

/** How long the resources or the audiences may be together, so that a vault can keep them with the grant. */
const longestTarget = 8 * 1024

/** Fails where an option would say what another one says, or could not be remembered with the grant. */
export const check = (
  source: string,
  { audience, authorizationParameters, parameters, resource }: Options
): Effect.Effect<void, Misconfigured> => {
  const name = Object.keys({ ...parameters, ...authorizationParameters }).find((name) => reserved.has(name))
  if (name !== undefined) return Effect.fail(reservedName(source, name))
  if (!isKeepable([resource ?? []].flat(), /^[^\s\p{Cc}]+$/u)) return Effect.fail(invalidResource(source))
  return isKeepable([audience ?? []].flat(), /^[^\p{Cc}]*[^\s\p{Cc}][^\p{Cc}]*$/u)
    ? Effect.void
    : Effect.fail(invalidAudience(source))
}

const isKeepable = (targets: ReadonlyArray<string>, form: RegExp): boolean =>
  targets.every((one) => form.test(one)) && targets.join(separator).length <= longestTarget

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

const invalidAudience = (source: string): Misconfigured =>
  new Misconfigured({
    source,
    reason: "InvalidOption",
    detail: "an audience is blank, has control characters in it, or is too long",
    hint: "Give the audience as the server knows it, in at most 8192 characters."
  })
