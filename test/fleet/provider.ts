/**
 * The identity provider of a fleet, a process of its own: a certified one with rotation and reuse detection,
 * and in front of it a log, a grace window and faults on command. Its settings come as JSON in
 * `FLEET_PROVIDER`; it answers to its parent with its address, and ends when the parent does.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { createHash } from "node:crypto"
import { appendFileSync } from "node:fs"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout as pause } from "node:timers/promises"
import type { Adapter, AdapterPayload, Provider } from "oidc-provider"
import * as OidcProvider from "../support/OidcProvider.js"
import type { Entry, Faults, Login, ProviderSettings } from "./protocol.js"

const settings = JSON.parse(process.env["FLEET_PROVIDER"] ?? "{}") as ProviderSettings

const hashOf = (secret: string): string => createHash("sha256").update(secret).digest("hex")

/** Storage that forgets nothing, so that reuse is seen however old a token is. */
const memory = (): (name: string) => Adapter => {
  const all = new Map<string, AdapterPayload>()
  const grants = new Map<string, Set<string>>()
  const userCodes = new Map<string, string>()
  const uids = new Map<string, string>()
  return (name) => ({
    upsert: async (id, payload) => {
      all.set(`${name} ${id}`, payload)
      if (payload.userCode !== undefined) userCodes.set(payload.userCode, id)
      if (payload.uid !== undefined) uids.set(`${name} ${payload.uid}`, id)
      if (payload.grantId === undefined) return
      const members = grants.get(payload.grantId) ?? new Set()
      grants.set(payload.grantId, members.add(`${name} ${id}`))
    },
    find: async (id) => all.get(`${name} ${id}`),
    findByUserCode: async (userCode) => all.get(`${name} ${userCodes.get(userCode)}`),
    findByUid: async (uid) => all.get(`${name} ${uids.get(`${name} ${uid}`)}`),
    destroy: async (id) => void all.delete(`${name} ${id}`),
    revokeByGrantId: async (grantId) => grants.get(grantId)?.forEach((id) => all.delete(id)),
    consume: async (id) => {
      const payload = all.get(`${name} ${id}`)
      if (payload !== undefined) payload.consumed = Math.floor(Date.now() / 1000)
    }
  })
}

/** Numbers from 0 to 1 that a seed decides. */
const randomOf = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const noFaults: Faults = { dropRequest: 0, dropReply: 0, unavailable: 0, delay: 0, delayBy: 0, seed: 0 }

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly at: number
}

const state = {
  faults: noFaults,
  random: randomOf(0),
  /** The next requests meet these, before chance decides. */
  queue: [] as Array<NonNullable<Entry["fault"]>>,
  log: [] as Array<Entry>,
  secrets: new Set<string>(),
  /** The answers by the hash of the refresh token, while the grace window lasts. */
  answers: new Map<string, Promise<Answer>>()
}

const note = (entry: Entry): void => {
  state.log.push(entry)
  appendFileSync(settings.log, `${JSON.stringify(entry)}\n`)
}

const pickFault = (): Entry["fault"] => {
  const queued = state.queue.shift()
  if (queued !== undefined) return queued
  const { delay, dropReply, dropRequest, unavailable } = state.faults
  const at = state.random()
  if (at < dropRequest) return "dropRequest"
  if (at < dropRequest + dropReply) return "dropReply"
  if (at < dropRequest + dropReply + unavailable) return "unavailable"
  return at < dropRequest + dropReply + unavailable + delay ? "delay" : undefined
}

const textOf = async (request: IncomingMessage): Promise<string> => {
  const chunks: Array<Buffer> = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}

const secretsOf = (body: unknown): Partial<Record<string, string>> =>
  typeof body === "object" && body !== null ? body as Partial<Record<string, string>> : {}

/** Remembers what must never be shown, and gives the hash of the refresh token. */
const learn = (body: unknown): string | undefined => {
  const { access_token, id_token, refresh_token } = secretsOf(body)
  for (const secret of [access_token, id_token, refresh_token]) {
    if (secret !== undefined) state.secrets.add(secret)
  }
  return refresh_token === undefined ? undefined : hashOf(refresh_token)
}

/** The same answer to everybody who sends the same refresh token within the grace window. */
const within = async (hash: string, act: () => Promise<Answer>) => {
  const earlier = settings.graceWindow > 0 ? await state.answers.get(hash)?.catch(() => undefined) : undefined
  if (earlier !== undefined && earlier.status === 200 && Date.now() - earlier.at < settings.graceWindow) {
    return { answer: earlier, outcome: "repeated" as const }
  }
  const acting = act()
  state.answers.set(hash, acting)
  const answer = await acting
  return { answer, outcome: answer.status === 200 ? "redeemed" as const : "refused" as const }
}

type Context = Parameters<Parameters<Provider["use"]>[0]>[0]

const hangUp = (context: Context): void => {
  context.respond = false
  context.req.socket.destroy()
}

/** What the fault does to the request, before the provider sees it; true when that is all. */
const isStopped = async (context: Context, fault: Entry["fault"]): Promise<boolean> => {
  if (fault === "unavailable") {
    context.status = 503
    context.body = { error: "temporarily_unavailable" }
    return true
  }
  if (fault !== "dropRequest") return false
  hangUp(context)
  return true
}

const refresh = async (context: Context, token: string, next: () => Promise<void>) => {
  const hash = hashOf(token)
  const fault = pickFault()
  const entry = { at: Date.now(), grant: "refresh" as const, hash, fault }
  if (await isStopped(context, fault)) return note({ ...entry, outcome: "none", next: undefined })
  const { answer, outcome } = await within(hash, async () => {
    await pause(settings.latency)
    await next()
    return { status: context.status, body: context.body, at: Date.now() }
  })
  note({ ...entry, at: Date.now(), outcome, next: learn(answer.body) })
  if (fault === "delay") await pause(state.faults.delayBy)
  if (fault === "dropReply") return hangUp(context)
  context.status = answer.status
  context.body = answer.body
}

const inFront = (provider: Provider): void =>
  void provider.use(async (context, next) => {
    if (context.path !== "/token" || context.method !== "POST") return next()
    const text = await textOf(context.req)
    Object.assign(context.req, { body: text })
    const token = new URLSearchParams(text).get("refresh_token")
    if (token !== null) return refresh(context, token, next)
    await next()
    if (context.status !== 200) return
    const hash = learn(context.body)
    note({
      at: Date.now(),
      grant: "login",
      hash: undefined,
      outcome: "redeemed",
      next: hash,
      fault: undefined
    })
  })

const post = async (url: string, fields: Record<string, string>): Promise<Record<string, string>> => {
  const response = await fetch(url, { method: "POST", body: new URLSearchParams(fields) })
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)
  return await response.json() as Record<string, string>
}

/** A login on another device, by a scripted person. */
const logIn = async (oidc: OidcProvider.OidcProvider): Promise<Login> => {
  const scope = "openid offline_access"
  const asked = await post(`${oidc.issuer}/device/auth`, { client_id: "device", scope })
  await Effect.runPromise(oidc.approve(asked["verification_uri_complete"] ?? ""))
  const grant = await post(`${front}/token`, {
    client_id: "device",
    grant_type: "urn:ietf:params:oauth:grant-type:device_code",
    device_code: asked["device_code"] ?? ""
  })
  return grant as unknown as Login
}

/** What the harness asks for. */
const control = async (oidc: OidcProvider.OidcProvider, path: string, text: string): Promise<unknown> => {
  switch (path) {
    case "/control/faults":
      state.faults = { ...noFaults, ...JSON.parse(text) as Partial<Faults> }
      state.random = randomOf(state.faults.seed)
      state.queue = []
      return {}
    case "/control/next":
      state.queue.push(...JSON.parse(text) as typeof state.queue)
      return {}
    case "/control/login":
      return logIn(oidc)
    case "/control/log":
      return state.log
    case "/control/secrets":
      return [...state.secrets]
    default:
      throw new Error(`no such command: ${path}`)
  }
}

const answer = async (
  oidc: OidcProvider.OidcProvider,
  request: IncomingMessage,
  response: ServerResponse
): Promise<void> => {
  const done = await control(oidc, request.url ?? "", await textOf(request)).then(
    (value) => ({ status: 200, value }),
    (error: unknown) => ({ status: 500, value: String(error) })
  )
  response.writeHead(done.status, { "content-type": "application/json" })
  response.end(JSON.stringify(done.value))
}

const scope = Effect.runSync(Scope.make())
const oidc = await Effect.runPromise(Scope.extend(
  OidcProvider.make({
    accessTokenLifetime: settings.lifetime,
    configuration: { adapter: memory(), clockTolerance: 0 }
  }),
  scope
))
inFront(oidc.provider)
const handle = oidc.provider.callback()
const server = createServer((request, response) =>
  void (request.url?.startsWith("/control/") === true
    ? answer(oidc, request, response)
    : handle(request, response))
)
server.keepAliveTimeout = 60_000
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
const front = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
process.once(
  "disconnect",
  () => void Effect.runPromise(Scope.close(scope, Exit.void)).finally(() => process.exit(0))
)
process.send?.({ address: front })
