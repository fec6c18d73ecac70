/**
 * Why an ID token is not to be believed.
 *
 * @since 0.1.0
 */

export interface Doubt {
  readonly _tag: "Doubt"
  readonly reason: Reason
  readonly detail: string
  readonly hint: string
}

export type Reason =
  | "Malformed"
  | "Algorithm"
  | "UnknownKey"
  | "Signature"
  | "Issuer"
  | "Audience"
  | "Expired"
  | "NotYetValid"
  | "Nonce"
  | "LoginTooOld"
  | "Subject"

const again = "Log in again; if it stays so, don't trust the server until you know why."
const clocks = "Check the clock of this machine, then log in again."

/** What each reason means, and what helps. */
const reasons: Readonly<Record<Reason, readonly [detail: string, hint: string]>> = {
  Malformed: [
    "the ID token can't be read",
    "Report it to whoever runs the server; encrypted ones are not read here."
  ],
  Algorithm: [
    "the ID token is not signed with a private key of the server, in a way that it announced",
    "Have the server sign this client's ID tokens with RS256, PS256, ES256 or EdDSA."
  ],
  UnknownKey: ["the ID token is signed with a key that the server does not publish", again],
  Signature: ["the signature of the ID token does not hold", again],
  Issuer: [
    "the ID token is of another issuer",
    "Give the issuer exactly as the server names itself, if you trust it."
  ],
  Audience: ["the ID token is made for another client", "Check the client id."],
  Expired: ["the ID token has expired", clocks],
  NotYetValid: ["the ID token is from the future", clocks],
  Nonce: ["the ID token is of another login", again],
  LoginTooOld: ["the server does not say that the login is as recent as was asked for", "Log in again."],
  Subject: ["the ID token is about somebody else", "Log in again as the same user."]
}

/** The doubt for one reason. */
export const make = (reason: Reason): Doubt => {
  const [detail, hint] = reasons[reason]
  return { _tag: "Doubt", reason, detail, hint }
}
