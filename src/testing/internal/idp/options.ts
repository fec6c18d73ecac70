/**
 * From what the user asks for to settings without gaps.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Settings from "./settings.js"
import type { Approval } from "./state.js"

/** See `VirtualIdentityProvider.Client`. */
export interface ClientInput {
  readonly id: string
  readonly secret?: Settings.Client["secret"]
  readonly publicKey?: Settings.Client["publicKey"]
  readonly methods?: ReadonlyArray<Settings.Method> | undefined
  readonly grants?: ReadonlyArray<string> | undefined
  readonly scopes?: Settings.Client["scopes"]
}

export const client = (input: ClientInput): Settings.Client => {
  const methods = input.methods ?? defaultMethods(input)
  return {
    id: input.id,
    methods,
    secret: input.secret,
    publicKey: input.publicKey,
    grants: input.grants ??
      Settings.grantTypes.filter((grant) => grant !== "client_credentials" || !methods.includes("none")),
    scopes: input.scopes
  }
}

const defaultMethods = (input: ClientInput): ReadonlyArray<Settings.Method> => {
  if (input.publicKey !== undefined) return ["private_key_jwt"]
  return input.secret === undefined ? ["none"] : ["client_secret_basic", "client_secret_post"]
}

export const millis = (input: Duration.DurationInput | undefined, orElse: Duration.DurationInput): number =>
  Duration.toMillis(Duration.decode(input ?? orElse))

/** See `VirtualIdentityProvider.Skew`. */
export type SkewInput =
  | { readonly ahead: Duration.DurationInput }
  | { readonly behind: Duration.DurationInput }

export const skew = (input: SkewInput): number =>
  "ahead" in input ? millis(input.ahead, 0) : -millis(input.behind, 0)

/** See `VirtualIdentityProvider.Approval`. */
export type ApprovalInput =
  | "ByHand"
  | { readonly approveAfter: Duration.DurationInput }
  | { readonly denyAfter: Duration.DurationInput }

export const approval = (input: ApprovalInput): Approval | undefined => {
  if (input === "ByHand") return undefined
  return "approveAfter" in input
    ? { verdict: "Approve", after: millis(input.approveAfter, 0) }
    : { verdict: "Deny", after: millis(input.denyAfter, 0) }
}
