/**
 * Ending the person's session at the server, in the browser (OpenID Connect RP-Initiated Logout 1.0). This ends no
 * grant: revoke that first.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { TransientFailure } from "../TokenError.js"
import { Misconfigured } from "../TokenError.js"
import type { AuthorizationServer } from "./AuthorizationServer.js"
import type { Client } from "./Client.js"
import * as Endpoint from "./internal/tokenEndpoint.js"
import * as Url from "./internal/url.js"

/**
 * What `url` takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly server: AuthorizationServer
  readonly client: Pick<Client, "id">
  /**
   * The ID token of the login, by which the server knows the session without asking. It ends up in the browser's history:
   * leave it out where that is too much, and the server asks the person.
   */
  readonly idToken?: Redacted.Redacted<string> | undefined
  /** Who logs out, for a server that gets no ID token: a name or an address, as `login_hint` was. */
  readonly logoutHint?: string | undefined
  /** Where the browser goes afterwards, exactly as registered. */
  readonly postLogoutRedirectUri?: string | undefined
  /** What the browser brings back there. */
  readonly state?: Redacted.Redacted<string> | undefined
}

/**
 * The address that the browser is sent to; none where the server offers no such logout. It is `Redacted`, since it may
 * hold an ID token: unwrap it only to open it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const url = (
  options: Options
): Effect.Effect<Option.Option<Redacted.Redacted<string>>, TransientFailure | Misconfigured> =>
  Effect.flatMap(options.server.metadata, ({ end_session_endpoint: address }) =>
    address === undefined
      ? Effect.succeedNone
      : Effect.zipWith(
        Url.secure(source, "the end session endpoint", address),
        checkReturn(options.postLogoutRedirectUri),
        (endpoint) => Option.some(Redacted.make(withFields(endpoint, options)))
      ))

const source = "logout"

const withFields = (
  endpoint: URL,
  { client, idToken, logoutHint, postLogoutRedirectUri, state }: Options
): string => {
  const url = new URL(endpoint)
  const fields = Endpoint.fields({
    client_id: client.id,
    id_token_hint: idToken && Redacted.value(idToken),
    logout_hint: logoutHint,
    post_logout_redirect_uri: postLogoutRedirectUri,
    state: state && Redacted.value(state)
  })
  for (const [name, value] of fields) url.searchParams.set(name, value)
  return url.href
}

const checkReturn = (address: string | undefined): Effect.Effect<void, Misconfigured> =>
  address === undefined || Url.parse(address) !== undefined ? Effect.void : Effect.fail(unusableReturn)

const unusableReturn = new Misconfigured({
  source,
  reason: "InvalidOption",
  detail: "the address to go to afterwards is not a URL",
  hint: "Give one that is registered for this client."
})
