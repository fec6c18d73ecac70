import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as HttpClient from "@effect/platform/HttpClient"
import { describe, expect, it } from "@effect/vitest"
import * as HttpAuth from "effect-credentials/http/HttpAuth"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as Password from "effect-credentials/oauth/Password"
import * as TokenExchange from "effect-credentials/oauth/TokenExchange"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as Token from "effect-credentials/Token"
import * as TokenCache from "effect-credentials/TokenCache"
import { TransientFailure } from "effect-credentials/TokenError"
import type { TokenError } from "effect-credentials/TokenError"
import * as TokenSource from "effect-credentials/TokenSource"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import * as OidcProvider from "../support/OidcProvider.js"
import * as ProviderGrants from "../support/ProviderGrants.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const explicit = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token"
})

const textOf = ({ value }: Token.Token) => Redacted.value(value)

const refuse = (code: string) => json({ error: code }, { status: 400 })

/** Tokens `S1`, `S2` …, which live for so many minutes, and are remembered. */
const subjects = (minutes = 60) => {
  let count = 0
  const asked = () => count
  const source = TokenSource.fromEffect(
    Effect.map(Clock.currentTimeMillis, (now) =>
      Token.make({
        value: Redacted.make(`S${++count}`),
        issuedAt: now,
        expiresAt: now + minutes * 60_000
      })),
    { name: "subjects" }
  ).pipe(TokenCache.cached())
  return { asked, source }
}

const sent = (calls: ReadonlyArray<Call>) => calls.map(({ form }) => form.get("subject_token"))

describe("with a real provider", () => {
  it.scopedLive("a token for another one, and another subject when that is revoked", () =>
    Effect.gen(function*() {
      const idp = yield* OidcProvider.make({ clients: ProviderGrants.clients })
      const asked = ProviderGrants.register(idp.provider)
      const server = yield* AuthorizationServer.discover({ issuer: idp.issuer })
      const client = { id: "machine", auth: Client.basic(Redacted.make(ProviderGrants.clientSecret)) }
      const password = Redacted.make(ProviderGrants.password)
      const subject = yield* Password.make({ server, client, username: "alice", password }).pipe(
        TokenCache.cached()
      )
      const source = yield* TokenExchange.make({ server, client, subject, audience: "downstream" })
      const child = yield* source.get
      const known = yield* Effect.promise(() => idp.provider.AccessToken.find(textOf(child)))
      expect(known).toMatchObject({ accountId: "alice" })
      expect(child.expiresAt).toBeLessThanOrEqual((yield* subject.get).expiresAt)

      const stale = yield* subject.get
      yield* Effect.promise(async () => {
        await (await idp.provider.AccessToken.find(textOf(stale)))?.destroy()
      })
      yield* source.get
      expect(Token.isSame(yield* subject.get, stale)).toBe(false)
      const exchanges = asked.filter((params) => "subject_token" in params)
      expect(exchanges.length).toBe(3)
      expect(exchanges[0]).toMatchObject({ audience: "downstream" })

      const login = yield* TokenExchange.makeLogin({ server, client, subject })
      const grant = yield* login.login
      expect(grant.refreshToken).toBeDefined()
      expect(grant.extra).toEqual({ issued_token_type: TokenExchange.tokenTypes.accessToken })
    }).pipe(Effect.provide([RefreshScheduler.layer, NodeHttpClient.layerUndici])))
})

describe("what is sent", () => {
  it.effect("everything that is given", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const source = yield* TokenExchange.make({
        server: yield* explicit,
        client: { id: "app" },
        subject: Effect.succeed(Redacted.make("subject")),
        subjectTokenType: TokenExchange.tokenTypes.idToken,
        actor: yield* TokenSource.staticToken(Redacted.make("actor")),
        actorTokenType: TokenExchange.tokenTypes.jwt,
        requestedTokenType: "urn:acme:token",
        scopes: ["a", "b"],
        resource: ["https://one.test", "https://two.test"],
        audience: ["three", "four five"]
      })
      yield* source.get
      expect([...calls[0]?.form ?? []].sort()).toEqual([
        ["actor_token", "actor"],
        ["actor_token_type", "urn:ietf:params:oauth:token-type:jwt"],
        ["audience", "four five"],
        ["audience", "three"],
        ["client_id", "app"],
        ["grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"],
        ["requested_token_type", "urn:acme:token"],
        ["resource", "https://one.test"],
        ["resource", "https://two.test"],
        ["scope", "a b"],
        ["subject_token", "subject"],
        ["subject_token_type", "urn:ietf:params:oauth:token-type:id_token"]
      ])
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })

  it.effect("tokens that are taken afresh, and no more than is needed", () => {
    const calls: Array<Call> = []
    let count = 0
    return Effect.gen(function*() {
      const next = Effect.sync(() => Redacted.make(`given${++count}`))
      const source = yield* TokenExchange.make({
        server: yield* explicit,
        client: { id: "app" },
        subject: next,
        actor: next
      })
      yield* source.get
      yield* source.get
      expect(calls.map(({ form }) => [form.get("subject_token"), form.get("actor_token")])).toEqual([
        ["given1", "given2"],
        ["given3", "given4"]
      ])
      expect(calls[0]?.form.has("requested_token_type")).toBe(false)
      expect(calls[0]?.form.get("subject_token_type")).toBe(TokenExchange.tokenTypes.accessToken)
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t" })), calls)))
  })

  it.effect("nothing, where the subject or the actor has none", () => {
    const calls: Array<Call> = []
    const failure = new TransientFailure({
      source: "other",
      reason: "Network",
      detail: "down",
      hint: "Wait."
    })
    const none = Effect.fail(failure)
    return Effect.gen(function*() {
      const shared = { server: yield* explicit, client: { id: "app" } }
      const given = Effect.succeed(Redacted.make("x"))
      const noSubject = yield* TokenExchange.make({ ...shared, subject: none })
      const noActor = yield* TokenExchange.make({ ...shared, subject: given, actor: none })
      expect(yield* Effect.flip(noSubject.get)).toMatchObject({ source: "other" })
      expect(yield* Effect.flip(noActor.get)).toMatchObject({ source: "other" })
      expect(calls).toEqual([])
    }).pipe(Effect.provide(serve(inTurn(json({})), calls)))
  })
})

describe("what is received", () => {
  it.effect("N_A is the type of a token that goes into no header", () =>
    Effect.gen(function*() {
      const source = yield* TokenExchange.make({
        server: yield* explicit,
        client: { id: "app" },
        subject: Effect.succeed(Redacted.make("x"))
      })
      expect((yield* source.get).type).toBe("N_A")
      const api = (yield* HttpClient.HttpClient).pipe(
        HttpAuth.bearer(source, { origins: "https://api.test" })
      )
      expect(yield* Effect.flip(api.get("https://api.test/"))).toMatchObject({ _tag: "Misconfigured" })
    }).pipe(Effect.provide(serve(inTurn(json({ access_token: "t", token_type: "N_A" }))))))

  for (
    const [what, minutes, expiresIn, left] of [
      ["that would outlive its subject ends with it", 10, 3600, 600],
      ["that ends as its subject does", 60, 3600, 3600],
      ["that ends before ends by itself", 60, 600, 600]
    ] as const
  ) {
    it.scoped(`a token ${what}, in a grant too`, () =>
      Effect.gen(function*() {
        const subject = yield* subjects(minutes).source
        const options = { server: yield* explicit, client: { id: "app" }, subject }
        const source = yield* TokenExchange.make(options)
        const { login } = yield* TokenExchange.makeLogin(options)
        expect((yield* source.get).expiresAt).toBe(left * 1000)
        expect((yield* login).token.expiresAt).toBe(left * 1000)
      }).pipe(
        Effect.provide([
          RefreshScheduler.layer,
          serve(inTurn(json({ access_token: "t", expires_in: expiresIn })))
        ])
      ))
  }

  it.scoped("a cache over it exchanges again before the subject's end, with the next subject", () => {
    const calls: Array<Call> = []
    return Effect.gen(function*() {
      const source = yield* TokenExchange.make({
        server: yield* explicit,
        client: { id: "app" },
        subject: yield* subjects(10).source
      }).pipe(TokenCache.cached())
      yield* source.get
      yield* TestClock.adjust(Duration.minutes(10))
      yield* source.get
      expect(sent(calls).slice(0, 2)).toEqual(["S1", "S2"])
    }).pipe(
      Effect.provide([
        RefreshScheduler.layer,
        serve(inTurn(json({ access_token: "t", expires_in: 3600 })), calls)
      ])
    )
  })
})

describe("a subject's token that the server refuses", () => {
  const setting = (
    handler: Handler,
    then: (source: TokenSource.TokenSource) => Effect.Effect<void, Token.Token | TokenError>
  ) => {
    const calls: Array<Call> = []
    const { asked, source: subject } = subjects()
    return Effect.gen(function*() {
      const source = yield* TokenExchange.make({
        server: yield* explicit,
        client: { id: "app" },
        subject: yield* subject
      })
      yield* then(source)
      return { asked: asked(), calls }
    }).pipe(Effect.provide([RefreshScheduler.layer, serve(handler, calls)]))
  }

  for (const code of ["invalid_grant", "invalid_token", "invalid_request"]) {
    it.scoped(`with ${code} is replaced once, within the same call`, () =>
      Effect.gen(function*() {
        const { calls } = yield* setting(
          inTurn(refuse(code), json({ access_token: "t" })),
          (source) => Effect.orDie(Effect.asVoid(source.get))
        )
        expect(sent(calls)).toEqual(["S1", "S2"])
      }))
  }

  it.scoped("is not what is wrong where the next one is refused too: no storm", () =>
    Effect.gen(function*() {
      const { asked, calls } = yield* setting(inTurn(refuse("invalid_grant")), (source) =>
        Effect.forEach(
          Array.from({ length: 10 }),
          () =>
            Effect.map(Effect.flip(source.get), (error) => {
              expect(error).toMatchObject({ _tag: "Misconfigured", reason: "InvalidClient" })
              expect(error.message).toContain("Check the tokens' types")
            }),
          { discard: true }
        ))
      expect(calls.length).toBe(11)
      expect(asked).toBe(2)
    }))

  it.scoped("is replaced once for all that came with it at the same time", () =>
    Effect.gen(function*() {
      const handler: Handler = ({ form }) =>
        Effect.map(
          Effect.yieldNow(),
          form.get("subject_token") === "S1" ? refuse("invalid_grant") : json({ access_token: "t" })
        )
      const { asked, calls } = yield* setting(handler, (source) =>
        Effect.orDie(Effect.all([source.get, source.get, source.get], {
          concurrency: "unbounded",
          discard: true
        })))
      expect(sent(calls)).toEqual(["S1", "S1", "S1", "S2", "S2", "S2"])
      expect(asked).toBe(2)
    }))

  it.scoped("is not what is wrong where all are refused at the same time: no storm", () =>
    Effect.gen(function*() {
      const handler: Handler = () => Effect.map(Effect.yieldNow(), refuse("invalid_grant"))
      const { asked, calls } = yield* setting(handler, (source) => {
        const three = Effect.all([source.get, source.get, source.get].map(Effect.flip), {
          concurrency: "unbounded",
          discard: true
        })
        return Effect.zipRight(Effect.orDie(three), Effect.asVoid(Effect.flip(source.get)))
      })
      expect(sent(calls)).toEqual(["S1", "S1", "S1", "S2", "S2", "S2", "S2"])
      expect(asked).toBe(2)
    }))

  it.scoped("is not tried more than twice where there is no other one: no storm", () =>
    Effect.gen(function*() {
      const calls: Array<Call> = []
      const server = yield* explicit
      const layer = serve(inTurn(refuse("invalid_grant")), calls)
      const { get } = yield* TokenExchange.make({
        server,
        client: { id: "app" },
        subject: Effect.succeed(Redacted.make("S1"))
      }).pipe(Effect.provide(layer))
      yield* Effect.flip(get)
      expect(calls.length).toBe(2)
      yield* Effect.flip(get)
      expect(calls.length).toBe(3)
    }))

  it.scoped("may be what is wrong where the server says invalid_request, and so the error says", () =>
    setting(inTurn(refuse("invalid_request")), (source) =>
      Effect.map(Effect.flip(source.get), (error) => {
        expect(error).toMatchObject({ _tag: "RequestRejected", reason: "InvalidRequest" })
        expect(error.message).toContain("token may have ended")
      })))

  it.scoped("is replaced again once an exchange has worked in between", () =>
    Effect.gen(function*() {
      const { calls } = yield* setting(
        inTurn(
          refuse("invalid_grant"),
          refuse("invalid_grant"),
          json({ access_token: "t" }),
          refuse("invalid_grant"),
          json({ access_token: "t" })
        ),
        (source) =>
          Effect.gen(function*() {
            yield* Effect.flip(source.get)
            yield* Effect.orDie(source.get)
            // A cache takes a token that is refused at once for a sign of something else.
            yield* TestClock.adjust(Duration.minutes(10))
            yield* Effect.orDie(source.get)
          })
      )
      expect(sent(calls)).toEqual(["S1", "S2", "S2", "S2", "S3"])
    }))

  for (
    const [code, expected] of [
      ["invalid_target", { _tag: "RequestRejected", reason: "InvalidTarget" }],
      ["invalid_scope", { _tag: "RequestRejected", reason: "InvalidScope" }],
      ["unauthorized_client", { _tag: "Misconfigured", reason: "UnsupportedGrant" }],
      ["unsupported_grant_type", { _tag: "Misconfigured", reason: "UnsupportedGrant" }],
      ["temporarily_unavailable", { _tag: "TransientFailure", reason: "ServerError" }]
    ] as const
  ) {
    it.scoped(`stays where it is refused with ${code}`, () =>
      Effect.gen(function*() {
        const { asked, calls } = yield* setting(inTurn(refuse(code)), (source) =>
          Effect.map(Effect.flip(source.get), (error) => {
            expect(error).toMatchObject(expected)
          }))
        expect([asked, calls.length]).toEqual([1, 1])
      }))
  }
})
