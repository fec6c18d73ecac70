import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { assert, describe, expect, it, vi } from "@effect/vitest"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as Dpop from "effect-credentials/oauth/Dpop"
import * as Token from "effect-credentials/Token"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as Ref from "effect/Ref"
import * as TestClock from "effect/TestClock"
import { createHash } from "node:crypto"
import * as OidcProvider from "../support/OidcProvider.js"
import { bound, demand, proofIn, proofsIn } from "./dpopKit.js"
import { inTurn, json, serve } from "./kit.js"
import type { Call, Handler } from "./kit.js"

const idp = AuthorizationServer.make({
  issuer: "https://idp.test",
  tokenEndpoint: "https://idp.test/token?tenant=1"
})

const client = { id: "app", auth: Client.post(Redacted.make("sesame")) }

/** Tokens for the client itself, from a server that answers so. */
const asking = (handler: Handler, options: Partial<ClientCredentials.Options> = {}) =>
  Effect.gen(function*() {
    const calls: Array<Call> = []
    const server = yield* idp
    const key = yield* Dpop.generate()
    const source = yield* Effect.provide(
      ClientCredentials.make({ server, client, dpop: key, ...options }),
      serve(handler, calls)
    )
    return { calls, get: source.get, key, server }
  })

describe("proofs on token requests", () => {
  it.effect("say which request they are for, and when, by the server's clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const date = new Date(1_700_000_000_000 + 3_600_000).toUTCString()
      const { calls, get, key } = yield* asking(inTurn(bound({}, { date })))
      const [first, second] = [yield* get, yield* get]
      const proofs = yield* proofsIn(calls)
      const jkt = yield* Dpop.thumbprint(key)
      for (const proof of proofs) {
        expect(proof).toMatchObject({ jkt, htm: "POST", htu: "https://idp.test/token" })
        assert.deepStrictEqual([proof.nonce, proof.ath], [undefined, undefined])
      }
      assert.deepStrictEqual(proofs.map(({ iat }) => iat), [1_700_000_000, 1_700_003_600])
      assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 2)
      assert.deepStrictEqual([first.type, first.proofKey, second.proofKey], ["DPoP", key, key])
    }))

  it.effect("are dated by `Clock`, however late the machine's clock is looked at", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_999)
      const { calls, get } = yield* asking(inTurn(bound()))
      let now = Date.now()
      vi.spyOn(Date, "now").mockImplementation(() => now += 1000)
      yield* Effect.ensuring(get, Effect.sync(() => vi.restoreAllMocks()))
      assert.deepStrictEqual((yield* proofsIn(calls)).map(({ iat }) => iat), [1_700_000_000])
    }))

  it.effect("with `true`, all tokens of a source are bound to one new key", () =>
    Effect.gen(function*() {
      const one = yield* asking(inTurn(bound()), { dpop: true })
      const other = yield* asking(inTurn(bound()), { dpop: true })
      const [first, again] = [yield* one.get, yield* one.get]
      assert.strictEqual(first.proofKey, again.proofKey)
      yield* other.get
      const proofs = yield* proofsIn([...one.calls, ...other.calls])
      assert.strictEqual(new Set(proofs.map(({ jkt }) => jkt)).size, 2)
    }))

  it.effect.each([false, undefined])(
    "without the option, or with false, there are none, and no key",
    (dpop) =>
      Effect.gen(function*() {
        const { calls, get } = yield* asking(
          inTurn(json({ access_token: "a", token_type: "Bearer" })),
          { dpop }
        )
        const token = yield* get
        assert.deepStrictEqual([token.type, token.proofKey], ["Bearer", undefined])
        assert.isUndefined(calls[0]?.headers["dpop"])
      })
  )

  it.effect("are made in the other algorithms too", () =>
    Effect.forEach(
      ["ES384", "ES512", "Ed25519", "PS256", "RS256"] as const,
      (algorithm) =>
        Effect.gen(function*() {
          const key = yield* Dpop.generate({ algorithm })
          const { calls, get } = yield* asking(inTurn(bound()), { dpop: key })
          yield* get
          assert.strictEqual((yield* proofIn(calls[0]?.headers ?? {})).jkt, yield* Dpop.thumbprint(key))
        })
    ))

  it.effect("a server that doesn't bind is refused, and nothing is told as bound that is not", () =>
    Effect.gen(function*() {
      for (const token_type of ["Bearer", "bearer", undefined]) {
        const { get } = yield* asking(inTurn(bound({ token_type })))
        const error = yield* Effect.flip(get)
        expect(error).toMatchObject({ _tag: "Misconfigured", reason: "UnsupportedGrant" })
      }
    }))
})

describe("nonces of an authorization server", () => {
  it.effect.each<readonly [string, () => Response]>([
    ["in the body of a 400", demand("n-1")],
    [
      "in the body of a 401",
      json({ error: "use_dpop_nonce" }, { status: 401, headers: { "dpop-nonce": "n-1" } })
    ],
    [
      "in the challenge of a 401",
      () =>
        new Response(null, {
          status: 401,
          headers: { "www-authenticate": "DPoP error=\"use_dpop_nonce\"", "dpop-nonce": "n-1" }
        })
    ]
  ])("a demand is met at once: %s", ([, answer]) =>
    Effect.gen(function*() {
      const { calls, get } = yield* asking(inTurn(answer, bound()))
      yield* get
      yield* get
      const proofs = yield* proofsIn(calls)
      assert.deepStrictEqual(proofs.map(({ nonce }) => nonce), [undefined, "n-1", "n-1"])
      assert.strictEqual(new Set(proofs.map(({ jti }) => jti)).size, 3)
    }))

  it.effect("every answer brings the next one, a good one too", () =>
    Effect.gen(function*() {
      let count = 0
      const { calls, get } = yield* asking(() =>
        Effect.sync(() => bound({}, { "dpop-nonce": `n-${++count}` })())
      )
      yield* Effect.repeatN(get, 2)
      assert.deepStrictEqual((yield* proofsIn(calls)).map(({ nonce }) => nonce), [undefined, "n-1", "n-2"])
    }))

  it.effect("a demand without end is met once", () =>
    Effect.gen(function*() {
      let count = 0
      const { calls, get } = yield* asking(() => Effect.sync(() => demand(`n-${++count}`)()))
      const error = yield* Effect.flip(get)
      expect(error).toMatchObject({ _tag: "TransientFailure", reason: "ServerError" })
      assert.strictEqual(calls.length, 2)
    }))

  it.effect.each<readonly [string, string | undefined]>([
    ["none", undefined],
    ["empty", ""],
    ["a megabyte", "n".repeat(1_000_000)],
    ["over the bound", "n".repeat(2_049)],
    ["with a blank", "a b"],
    ["with a quotation mark", "a\"b"],
    ["with a backslash", "a\\b"],
    ["with a tab", "a\tb"],
    ["outside of ASCII", "ñ"]
  ])("a demand with a nonce that no proof could carry is not met: %s", ([, nonce]) =>
    Effect.gen(function*() {
      const headers = nonce === undefined ? {} : { "dpop-nonce": nonce }
      const { calls, get, server } = yield* asking(
        inTurn(json({ error: "use_dpop_nonce" }, { status: 400, headers }))
      )
      const error = yield* Effect.flip(get)
      assert.strictEqual(error._tag, "TransientFailure")
      assert.deepStrictEqual([calls.length, (yield* Ref.get(server.nonces)).size], [1, 0])
    }))

  it.effect("each origin has its own, and an old one is forgotten", () =>
    Effect.gen(function*() {
      const { calls, get, server } = yield* asking(inTurn(bound()))
      yield* Ref.set(
        server.nonces,
        new Map([
          ["https://other.test", { value: "other", at: 0 }],
          ["https://idp.test:444", { value: "port", at: 0 }],
          ["http://idp.test", { value: "scheme", at: 0 }]
        ])
      )
      yield* get
      yield* Ref.set(server.nonces, new Map([["https://idp.test", { value: "mine", at: 0 }]]))
      yield* get
      yield* TestClock.adjust("1 hour")
      yield* get
      assert.deepStrictEqual((yield* proofsIn(calls)).map(({ nonce }) => nonce), [
        undefined,
        "mine",
        undefined
      ])
    }))

  it.effect("interrupted while the demand is met, it stops", () =>
    Effect.gen(function*() {
      let asked = 0
      const { get } = yield* asking(() => ++asked === 1 ? Effect.sync(demand("n-1")) : Effect.never)
      const fiber = yield* Effect.fork(get)
      yield* Effect.repeat(Effect.promise(() => new Promise((done) => setImmediate(done))), {
        while: () => asked < 2
      })
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
    }))
})

describe("a clock that is wrong", () => {
  const refused = (date?: string) =>
    json({ error: "invalid_dpop_proof" }, { status: 400, headers: date === undefined ? {} : { date } })

  it.effect("is put right by the answer that refuses the proof", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const date = new Date(1_700_000_000_000 - 900_000).toUTCString()
      const { calls, get } = yield* asking(inTurn(refused(date), bound()))
      yield* get
      assert.deepStrictEqual((yield* proofsIn(calls)).map(({ iat }) => iat), [1_700_000_000, 1_699_999_100])
    }))

  it.effect("is not what is wrong where the answer shows the same time, or none", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      for (const date of [undefined, new Date(1_700_000_000_000).toUTCString()]) {
        const { calls, get } = yield* asking(inTurn(refused(date)))
        expect(yield* Effect.flip(get)).toMatchObject({ _tag: "Misconfigured", reason: "InvalidKey" })
        assert.strictEqual(calls.length, 1)
      }
    }))

  it.effect("and a nonce that is wanted too cost one repetition each", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const date = new Date(1_700_000_000_000 + 900_000).toUTCString()
      const { calls, get } = yield* asking(inTurn(refused(date), demand("n-1"), bound()))
      yield* get
      assert.strictEqual(calls.length, 3)
    }))
})

describe("proofs for resources", () => {
  it.effect("are bound to the token, the method and the address, by the origin's nonce and clock", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_700_000_000_000)
      const proofKey = yield* Dpop.generate()
      const token = Token.make({ value: Redacted.make("bound-access"), type: "DPoP", proofKey })
      const prover = yield* Dpop.prover("test")
      const prove = (url: string) =>
        Effect.flatMap(
          prover.prove({ token, method: "patch", url: new URL(url) }),
          (proof) => proofIn({ dpop: Redacted.value(proof) })
        )
      const date = new Date(1_700_000_000_000 + 120_000).toUTCString()
      const news = yield* prover.learn({
        url: new URL("https://api.test/other"),
        status: 401,
        headers: { "dpop-nonce": "n-1", date }
      })
      assert.deepStrictEqual(news, { nonce: true, clock: true })
      const mine = yield* prove("https://api.test:443/a%20b?secret=1#part")
      expect(mine).toMatchObject({
        htm: "PATCH",
        htu: "https://api.test/a%20b",
        nonce: "n-1",
        iat: 1_700_000_120,
        ath: createHash("sha256").update("bound-access").digest("base64url")
      })
      expect(yield* prove("https://api.test:444/")).toMatchObject({ nonce: undefined, iat: 1_700_000_000 })
    }))

  it.effect("need a token that has its key", () =>
    Effect.gen(function*() {
      const prover = yield* Dpop.prover("test")
      const prove = (proofKey: Redacted.Redacted<string> | undefined) =>
        Effect.flip(prover.prove({
          token: Token.make({ value: Redacted.make("t"), type: "DPoP", proofKey }),
          method: "GET",
          url: new URL("https://api.test")
        }))
      for (const key of [undefined, Redacted.make("x")]) {
        expect(yield* prove(key)).toMatchObject({
          _tag: "Misconfigured",
          reason: "InvalidKey",
          source: "test"
        })
      }
    }))

  it.effect("64 origins are remembered, and then the oldest is forgotten", () =>
    Effect.gen(function*() {
      const prover = yield* Dpop.prover("test")
      const proofKey = yield* Dpop.generate()
      const token = Token.make({ value: Redacted.make("t"), type: "DPoP", proofKey })
      const urls = Array.from({ length: 65 }, (_, index) => new URL(`https://api-${index}.test/`))
      yield* Effect.forEach(urls, (url) => prover.learn({ url, status: 200, headers: { "dpop-nonce": "n" } }))
      const nonces = yield* Effect.forEach(urls, (url) =>
        Effect.flatMap(prover.prove({ token, method: "GET", url }), (proof) =>
          Effect.map(proofIn({ dpop: Redacted.value(proof) }), ({ nonce }) =>
            nonce)))
      assert.deepStrictEqual(nonces, [
        undefined,
        ...Array.from({ length: 64 }, () =>
          "n")
      ])
    }))
})

describe.each([true, false])("a certified provider, nonces wanted: %s", (requireNonce) => {
  it.scoped("gives bound tokens for the client itself, whatever time it is here", () =>
    Effect.gen(function*() {
      // Our clock is hours ahead, and nothing has been learnt yet.
      yield* TestClock.setTime(new Date().getTime() + 3 * 3_600_000)
      const provider = yield* OidcProvider.make({
        features: {
          dPoP: requireNonce
            ? { enabled: true, nonceSecret: Buffer.alloc(32, 7), requireNonce: () => true }
            : { enabled: true }
        }
      })
      const server = yield* AuthorizationServer.make({
        issuer: provider.issuer,
        tokenEndpoint: `${provider.issuer}/token`
      })
      for (const algorithm of ["ES256", "Ed25519"] as const) {
        const source = yield* ClientCredentials.make({
          server,
          client: {
            id: "cc-jwt",
            auth: Client.privateKeyJwt({ key: Redacted.make(provider.clientKey.pem) })
          },
          dpop: yield* Dpop.generate({ algorithm })
        })
        const token = yield* source.get
        assert.strictEqual(token.type, "DPoP")
        const stored = yield* Effect.promise(() =>
          provider.provider.ClientCredentials.find(Redacted.value(token.value))
        )
        assert.strictEqual(
          (stored as { readonly jkt?: string } | undefined)?.jkt,
          yield* Dpop.thumbprint(token.proofKey ?? Redacted.make(""))
        )
      }
    }).pipe(Effect.provide(NodeHttpClient.layerUndici)))
})
