/**
 * The hands on a provider: the person, the operator and the saboteur.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "@effect/platform/HttpClientRequest"
import type * as HttpClientResponse from "@effect/platform/HttpClientResponse"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as Grant from "../../../Grant.js"
import * as Token from "../../../Token.js"
import type { Choice, Service } from "../../VirtualProviderControls.js"
import { NotRedirected } from "../../VirtualProviderControls.js"
import type * as Authorization from "./authorization.js"
import * as Device from "./device.js"
import * as Exchange from "./exchange.js"
import * as Log from "./log.js"
import * as Input from "./options.js"
import * as Secrets from "./secrets.js"
import * as Server from "./server.js"
import * as Settings from "./settings.js"
import * as State from "./state.js"
import * as Tokens from "./tokens.js"

export const person = (
  provider: Exchange.Provider
): Pick<Service, "approve" | "deny" | "waiting" | "script" | "authorize"> => {
  const { now, state } = provider
  const decide = (verdict: State.Verdict) => (userCode: string): Effect.Effect<boolean> =>
    Effect.flatMap(now, (now) => Ref.modify(state, (state) => Device.decide(state, userCode, verdict, now)))
  return {
    approve: decide("Approve"),
    deny: decide("Deny"),
    waiting: Effect.zipWith(now, Ref.get(state), (now, state) => Device.waiting(state, now)),
    script: (approvals) =>
      Ref.update(state, (state) => ({
        ...state,
        approvals: [...state.approvals, ...approvals.map(Input.approval)]
      })),
    authorize: (url, choice) => browse(provider, url, choice === undefined ? undefined : choiceOf(choice))
  }
}

const choiceOf = (choice: Choice): Authorization.Choice => {
  if (choice === "Ignore") return choice
  if (choice === "Approve" || choice === "Deny") return { verdict: choice, after: 0 }
  return Input.approval(choice) ?? "Ignore"
}

const browse = (
  provider: Exchange.Provider,
  address: string,
  choice: Authorization.Choice | undefined
): Effect.Effect<string, NotRedirected> => {
  const url = Either.getOrUndefined(Either.try(() => new URL(address)))
  const endpoint = url === undefined ? undefined : Server.route(provider.settings, url)
  if (url === undefined || endpoint === undefined) return Effect.fail(noAnswer)
  return Exchange.exchange(provider, endpoint, HttpClientRequest.get(url), url, choice).pipe(
    Effect.mapError(() => noAnswer),
    Effect.flatMap(destination)
  )
}

const noAnswer = new NotRedirected({ status: undefined, error: undefined })

const destination = (
  response: HttpClientResponse.HttpClientResponse
): Effect.Effect<string, NotRedirected> => {
  const location = response.headers["location"]
  if (location !== undefined) return Effect.succeed(location)
  const error = Effect.map(response.json, (body) => (body as { readonly error?: string } | null)?.error)
  return Effect.flatMap(
    Effect.orElseSucceed(error, () => undefined),
    (error) => new NotRedirected({ status: response.status, error })
  )
}

export const books = (
  provider: Exchange.Provider
): Pick<Service, "issue" | "revoke" | "register" | "purge" | "journal" | "counts"> => ({
  issue: (client, scopes = []) => issue(provider, client, scopes),
  revoke: (token) =>
    Effect.flatMap(
      provider.now,
      (now) => Ref.update(provider.state, (state) => State.revokeToken(state, Redacted.value(token), now))
    ),
  register: (client) => {
    const registered = Input.client(client, Settings.grantTypes(provider.settings))
    return Ref.update(provider.state, (state) => State.register(state, registered, "ByHand"))
  },
  purge: (client) =>
    Ref.update(
      provider.state,
      (state) => (client === undefined ? State.selfRegistered(state) : [client]).reduce(State.forget, state)
    ),
  journal: Effect.map(Ref.get(provider.log), Log.entries),
  counts: Effect.map(Ref.get(provider.log), ({ counts }) => counts)
})

const issue = Effect.fnUntraced(function*(
  { keys, now, settings, state }: Exchange.Provider,
  id: string,
  scopes: ReadonlyArray<string>
) {
  const client = State.clientOf(yield* Ref.get(state), settings, id)
  if (client === undefined) return yield* Effect.dieMessage(`the provider has no client "${id}"`)
  const issuedAt = yield* now
  const secrets = yield* Secrets.draw
  const basis = { settings, client, secrets, now: issuedAt, jkt: undefined }
  const answer = yield* Ref.modify(state, (state) => {
    const authority = Tokens.personalAuthority(basis, state, scopes, [])
    return Tokens.login(basis, State.cleared(state, settings, issuedAt), authority)
  })
  const { body } = yield* Exchange.finish(keys, answer)
  const renews = body?.["refresh_token"] !== undefined
  const idToken = body?.["id_token"]
  return Grant.make({
    token: Token.make({
      value: Redacted.make(secrets.access),
      issuedAt,
      expiresAt: issuedAt + settings.accessLifetime,
      scopes
    }),
    refreshToken: renews ? Redacted.make(secrets.refresh) : undefined,
    refreshExpiresAt: renews && settings.announceRefreshLifetime
      ? issuedAt + settings.refreshLifetime
      : undefined,
    idToken: typeof idToken === "string" ? Redacted.make(idToken) : undefined
  })
})

export const sabotage = (
  { faults, keys, now, state }: Exchange.Provider
): Pick<Service, "inject" | "clearFaults" | "setSkew" | "sign" | "rotateKeys" | "rotateNonces"> => ({
  setSkew: (skew) => Ref.update(state, (state) => ({ ...state, skew: Input.skew(skew) })),
  sign: keys.sign,
  rotateKeys: keys.rotate,
  rotateNonces: Ref.update(state, (state) => ({ ...state, nonces: [] })),
  clearFaults: Ref.set(faults, []),
  inject: Effect.fnUntraced(function*(fault, reach = {}) {
    const reached = yield* Deferred.make<void>()
    const hits = yield* Ref.make(0)
    const from = yield* now
    const planned = {
      fault,
      endpoint: reach.endpoint,
      grantType: reach.grantType,
      times: reach.times ?? Infinity,
      from,
      until: from + Input.millis(reach.during, Infinity),
      reached,
      hits
    }
    yield* Ref.update(faults, (all) => [...all, planned])
    return {
      reached: Deferred.await(reached),
      hits: Ref.get(hits),
      clear: Ref.update(faults, (all) => all.filter((one) => one.reached !== reached))
    }
  })
})
