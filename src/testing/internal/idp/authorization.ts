/**
 * The authorization endpoint (RFC 6749 §4.1.1, with RFC 7636, 8252, 8707, 9126, 9207 and 9449 §10): what a
 * strict server makes of the request that a browser brings, and what the person decides about it.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Answer from "./answer.js"
import * as Incoming from "./incoming.js"
import * as RedirectUri from "./redirectUri.js"
import type { Client, Settings } from "./settings.js"
import * as State from "./state.js"
import * as Targets from "./targets.js"

/** One visit of a browser. */
export interface Visit {
  readonly settings: Settings
  readonly incoming: Incoming.Incoming
  readonly secrets: State.Secrets
  readonly now: number
  /** What the person does; as scripted where undefined. */
  readonly choice: Choice | undefined
}

export type Choice = State.Approval | "Ignore"

/** The browser comes with a request: it is shown an error, sent back with one, or the person is asked. */
export const visit = (one: Visit, state: State.State): Answer.Step => {
  const { form } = one.incoming
  const id = Incoming.field(one.incoming, "client_id")
  if (form._tag === "Bad" || id === undefined) return [Answer.refuse("invalid_request"), state]
  const client = State.clientOf(state, one.settings, id)
  if (client === undefined) return [Answer.refuse("invalid_client"), state]
  const pushed = Incoming.field(one.incoming, "request_uri")
  if (pushed !== undefined) return visitPushed(one, state, client, pushed)
  const checked = check(one, client)
  const isUnpushed = one.settings.pushes || client.pushes
  return Either.match(Either.filterOrLeft(checked, () => !isUnpushed, (request) => mustPush(request)), {
    onLeft: (refusal) => [sentBack(one, refusal), state],
    onRight: (request) => ask(one, state, request)
  })
}

const visitPushed = (one: Visit, state: State.State, client: Client, uri: string): Answer.Step => {
  const found = Option.getOrUndefined(HashMap.get(state.pushed, uri))
  const spent = { ...state, pushed: HashMap.remove(state.pushed, uri) }
  if (found === undefined || found.request.client !== client.id) {
    return [Answer.refuse("invalid_request_uri"), state]
  }
  return one.now < found.expiresAt
    ? ask(one, spent, found.request)
    : [Answer.refuse("invalid_request_uri"), spent]
}

/** What is wrong with a request, and where the browser may be told to go with that. */
export interface Refusal {
  readonly error: string
  readonly to: Pick<State.AuthorizationRequest, "redirectUri" | "state"> | undefined
}

const mustPush = (request: State.AuthorizationRequest): Refusal => ({ error: "invalid_request", to: request })

const sentBack = ({ settings }: Pick<Visit, "settings">, { error, to }: Refusal): Answer.Answer =>
  to === undefined
    ? Answer.refuse(error)
    : Answer.redirect("Refused", callback(settings, to, { error }), error)

const callback = (
  settings: Settings,
  { redirectUri, state }: Pick<State.AuthorizationRequest, "redirectUri" | "state">,
  params: Readonly<Record<string, string>>
): string =>
  RedirectUri.withParams(redirectUri, {
    ...params,
    state,
    iss: settings.announceIssuer ? settings.issuer : undefined
  })

type Field = (name: string) => string | undefined

/** The request, if there is nothing wrong with it. */
export const check = (
  { incoming, settings }: Pick<Visit, "incoming" | "settings">,
  client: Client
): Either.Either<State.AuthorizationRequest, Refusal> => {
  const field: Field = (name) => Incoming.field(incoming, name)
  const redirectUri = field("redirect_uri")
  if (redirectUri === undefined || !RedirectUri.isRegistered(client.redirectUris, redirectUri)) {
    const error = redirectUri === undefined ? "invalid_request" : "invalid_redirect_uri"
    return Either.left({ error, to: undefined })
  }
  const to = { redirectUri, state: field("state") }
  const error = problem(field, client)
  if (error !== undefined) return Either.left({ error, to })
  return Either.mapBoth(Targets.asked({ client, incoming, settings }), {
    onLeft: (error) => ({ error, to }),
    onRight: (asked) => ({ ...asked, ...to, ...rest(field, client) })
  })
}

const rest = (field: Field, client: Client) => {
  const maxAge = field("max_age")
  return {
    client: client.id,
    nonce: field("nonce"),
    challenge: field("code_challenge") ?? "",
    prompts: Incoming.words(field("prompt") ?? ""),
    maxAge: maxAge === undefined ? undefined : 1000 * Number(maxAge),
    jkt: field("dpop_jkt")
  }
}

/** The first thing that is wrong; undefined where nothing is. */
const problem = (field: Field, client: Client): string | undefined => {
  if (field("request") !== undefined) return "request_not_supported"
  if (field("registration") !== undefined) return "registration_not_supported"
  if (field("response_type") === undefined) return "invalid_request"
  if (field("response_type") !== "code") return "unsupported_response_type"
  if ((field("response_mode") ?? "query") !== "query") return "unsupported_response_mode"
  if (!client.grants.includes("authorization_code")) return "unauthorized_client"
  return isSound(field) ? undefined : "invalid_request"
}

/** RFC 7636 §4.3, of which only S256; RFC 9449 §10; OpenID Connect Core §3.1.2.1. */
const isSound = (field: Field): boolean => {
  const prompts = Incoming.words(field("prompt") ?? "")
  return field("code_challenge_method") === "S256" && hash.test(field("code_challenge") ?? "") &&
    hash.test(field("dpop_jkt") ?? sampleHash) && /^\d{1,9}$/.test(field("max_age") ?? "0") &&
    prompts.every((prompt) => knownPrompts.includes(prompt)) &&
    (prompts.length < 2 || !prompts.includes("none"))
}

const hash = /^[\w-]{43}$/
const sampleHash = "x".repeat(43)
const knownPrompts = ["none", "login", "consent", "select_account"]

/** The person sees the page, unless it must not be shown. */
const ask = (one: Visit, state: State.State, request: State.AuthorizationRequest): Answer.Step => {
  const at = one.now + state.skew
  const isFresh = state.session !== undefined && at - state.session <= (request.maxAge ?? Infinity)
  if (request.prompts.includes("none")) {
    return isFresh
      ? approve(one, state, request, one.now, state.session ?? at)
      : [sentBack(one, { error: "login_required", to: request }), state]
  }
  const [choice, next] = one.choice === undefined ? State.nextApproval(state) : [one.choice, state]
  const authTime = isFresh && !request.prompts.includes("login") ? state.session : undefined
  const step = (books: State.State, now: number): Answer.Step =>
    choice === "Ignore" || choice?.verdict === "Deny"
      ? [sentBack(one, { error: "access_denied", to: request }), books]
      : approve(one, books, request, now, authTime ?? now + books.skew)
  const after = choice === "Ignore" ? Infinity : choice?.after ?? 0
  return after === 0
    ? step(next, one.now)
    : [{ ...Answer.nothing("Waiting"), later: { after, step } }, next]
}

const approve = (
  { secrets, settings }: Visit,
  state: State.State,
  request: State.AuthorizationRequest,
  now: number,
  authTime: number
): Answer.Step => {
  // The client may have been purged while the person was thinking.
  if (State.clientOf(state, settings, request.client) === undefined) {
    return [Answer.refuse("invalid_client"), state]
  }
  const { nonce, resources, scopes } = request
  const value = secrets.another("ac")
  const authority = { nonce, resources, scopes, subject: settings.person.subject, authTime }
  const code = { request, authority, expiresAt: now + settings.codeLifetime, used: undefined }
  return [
    Answer.redirect("Authorized", callback(settings, request, { code: value })),
    { ...state, session: authTime, codes: HashMap.set(state.codes, value, code) }
  ]
}
