/**
 * The device authorization grant (RFC 8628). Decisions of the person take effect when their time has come;
 * nothing here waits.
 *
 * @since 0.1.0
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as Answer from "./answer.js"
import * as Grants from "./grants.js"
import * as Incoming from "./incoming.js"
import * as State from "./state.js"
import * as Targets from "./targets.js"
import * as Tokens from "./tokens.js"

/** RFC 8628 §3.1, §3.2. */
export const start = (call: Tokens.Call, state: State.State): Answer.Step =>
  Targets.orRefuse(Targets.asked(call), state, (asked) => {
    if (!isChallenge(call.incoming)) return [Answer.refuse("invalid_request"), state]
    const { client, now, secrets, settings } = call
    const [approval, next] = State.nextApproval(state)
    const code: State.DeviceCode = {
      ...asked,
      client: client.id,
      userCode: secrets.user,
      challenge: Incoming.field(call.incoming, "code_challenge"),
      expiresAt: now + settings.deviceLifetime,
      interval: settings.interval,
      polledAt: undefined,
      decision: approval === undefined ? undefined : { verdict: approval.verdict, at: now + approval.after },
      closed: undefined
    }
    return [
      Answer.ok("LoginStarted", started(call)),
      { ...next, devices: HashMap.set(state.devices, secrets.device, code) }
    ]
  })

/** RFC 7636 §4.3, of which only S256; none at all is sound too. */
const isChallenge = (incoming: Incoming.Incoming): boolean => {
  const challenge = Incoming.field(incoming, "code_challenge")
  const method = Incoming.field(incoming, "code_challenge_method")
  return challenge === undefined
    ? method === undefined
    : method === "S256" && /^[\w-]{43}$/.test(challenge)
}

const started = ({ secrets, settings }: Tokens.Call): Readonly<Record<string, unknown>> => ({
  device_code: secrets.device,
  user_code: secrets.user,
  verification_uri: `${settings.base}/device`,
  verification_uri_complete: `${settings.base}/device?user_code=${secrets.user}`,
  expires_in: Math.floor(settings.deviceLifetime / 1000),
  ...(settings.announceInterval ? { interval: Math.ceil(settings.interval / 1000) } : {})
})

/** RFC 8628 §3.4, §3.5. */
export const poll = (call: Tokens.Call, state: State.State): Answer.Step => {
  const value = Incoming.field(call.incoming, "device_code")
  if (value === undefined) return [Answer.refuse("invalid_request"), state]
  const code = Option.getOrUndefined(HashMap.get(state.devices, value))
  if (code === undefined || code.client !== call.client.id) return Grants.invalidGrant(state)
  if (call.now >= code.expiresAt) return [Answer.refuse("expired_token"), state]
  if (call.incoming.challenge !== code.challenge) return Grants.invalidGrant(state)
  if (code.closed !== undefined) return Grants.invalidGrant(State.revokeFamily(state, code.closed.family))
  switch (verdictAt(code, call.now)) {
    case undefined:
      return wait(call, state, value, code)
    case "Deny":
      return [Answer.refuse("access_denied"), put(state, value, { ...code, closed: { family: undefined } })]
    case "Approve": {
      const closed = put(state, value, { ...code, closed: { family: state.nextFamily } })
      return Tokens.login(call, closed, Tokens.personalAuthority(call, state, code.scopes, code.resources))
    }
  }
}

const verdictAt = (code: State.DeviceCode, now: number): State.Verdict | undefined =>
  code.decision !== undefined && code.decision.at <= now ? code.decision.verdict : undefined

/** A poll before the interval is over adds five seconds to it, for good (RFC 8628 §3.5). */
const wait = (call: Tokens.Call, state: State.State, value: string, code: State.DeviceCode): Answer.Step => {
  const early = code.polledAt !== undefined && call.now - code.polledAt < code.interval
  const interval = early ? code.interval + 5000 : code.interval
  return [
    Answer.refuse(early ? "slow_down" : "authorization_pending", { action: "Waiting" }),
    put(state, value, { ...code, interval, polledAt: call.now })
  ]
}

const put = (state: State.State, value: string, code: State.DeviceCode): State.State => ({
  ...state,
  devices: HashMap.set(state.devices, value, code)
})

/** The person decides about a user code now; false when no open login has it. */
export const decide = (
  state: State.State,
  userCode: string,
  verdict: State.Verdict,
  now: number
): readonly [boolean, State.State] => {
  const found = HashMap.findFirst(
    state.devices,
    (code) => normalize(code.userCode) === normalize(userCode) && isOpen(code, now)
  )
  return Option.match(found, {
    onNone: () => [false, state],
    onSome: ([value, code]) => [true, put(state, value, { ...code, decision: { verdict, at: now } })]
  })
}

/** The user codes that wait for a decision. */
export const waiting = (state: State.State, now: number): ReadonlyArray<string> =>
  [...HashMap.values(state.devices)].filter((code) => isOpen(code, now)).map((code) => code.userCode)

const isOpen = (code: State.DeviceCode, now: number): boolean =>
  code.closed === undefined && now < code.expiresAt && verdictAt(code, now) === undefined

/** People type it in any way they like (RFC 8628 §6.1). */
const normalize = (userCode: string): string => userCode.toUpperCase().replaceAll(/[^A-Z]/g, "")
