/** No error and no span of the grants without a person, of revocation and of introspection holds a secret. */
import type * as HttpClient from "@effect/platform/HttpClient"
import { assert, describe, it } from "@effect/vitest"
import * as Grant from "effect-credentials/Grant"
import * as AuthorizationServer from "effect-credentials/oauth/AuthorizationServer"
import * as Client from "effect-credentials/oauth/Client"
import * as ClientCredentials from "effect-credentials/oauth/ClientCredentials"
import * as CustomGrant from "effect-credentials/oauth/CustomGrant"
import * as Introspection from "effect-credentials/oauth/Introspection"
import * as JwtBearer from "effect-credentials/oauth/JwtBearer"
import * as Password from "effect-credentials/oauth/Password"
import * as Revocation from "effect-credentials/oauth/Revocation"
import * as TokenExchange from "effect-credentials/oauth/TokenExchange"
import * as Token from "effect-credentials/Token"
import type { TokenError } from "effect-credentials/TokenError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Redacted from "effect/Redacted"
import * as TestClock from "effect/TestClock"
import { inspect } from "node:util"
import { serve } from "../oauth/kit.js"
import type { Call, Handler } from "../oauth/kit.js"
import { recording } from "../support/spans.js"

const jwk = {
  kty: "OKP",
  crv: "Ed25519",
  d: "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
  x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}

const secrets = [
  "sesame+secret/1",
  "sesame+password/2",
  "sesame+subject/3",
  "sesame+actor/4",
  "sesame+field/5",
  "sesame+access/6",
  "sesame+refresh/7",
  "sesame+assertion/8",
  jwk.d
]

const written = (secret: string): ReadonlyArray<string> => [
  secret,
  encodeURIComponent(secret),
  Buffer.from(secret).toString("base64"),
  Buffer.from(secret).toString("base64url")
]

const redacted = (index: number) => Redacted.make(secrets[index] ?? "?")

const held = Grant.make({ token: Token.make({ value: redacted(5) }), refreshToken: redacted(6) })

const shared = Effect.map(
  AuthorizationServer.make({
    issuer: "https://idp.test",
    tokenEndpoint: "https://idp.test/token",
    revocationEndpoint: "https://idp.test/revoke",
    introspectionEndpoint: "https://idp.test/introspect"
  }),
  (server) => ({ server, client: { id: "app", auth: Client.post(redacted(0)) } })
)

type Flow = Effect.Effect<unknown, TokenError, HttpClient.HttpClient>

const flows: Readonly<Record<string, Flow>> = {
  "client_secret_jwt": Effect.flatMap(shared, ({ server }) =>
    Effect.flatMap(
      ClientCredentials.make({
        server,
        client: { id: "app", auth: Client.clientSecretJwt({ secret: redacted(0), algorithm: "HS384" }) }
      }),
      (source) => source.get
    )),
  "password": Effect.flatMap(shared, (shared) =>
    Effect.flatMap(
      Password.makeLogin({ ...shared, username: "al", password: redacted(1) }),
      ({ login }) => login
    )),
  "a signed assertion": Effect.flatMap(shared, (shared) =>
    Effect.flatMap(
      JwtBearer.make({ ...shared, assertion: { key: Redacted.make(jwk), issuer: "robot" } }),
      (source) => source.get
    )),
  "a given assertion": Effect.flatMap(shared, (shared) =>
    Effect.flatMap(
      JwtBearer.make({ ...shared, assertion: Effect.succeed(redacted(7)) }),
      (source) => source.get
    )),
  "token exchange": Effect.flatMap(shared, (shared) =>
    Effect.flatMap(
      TokenExchange.make({
        ...shared,
        subject: Effect.succeed(redacted(2)),
        actor: Effect.succeed(redacted(3))
      }),
      (source) => source.get
    )),
  "a custom grant": Effect.flatMap(shared, (shared) =>
    Effect.flatMap(
      CustomGrant.make({ ...shared, grantType: "own", fields: { key: redacted(4) } }),
      (source) => source.get
    )),
  "revocation": Effect.flatMap(
    shared,
    (shared) => Effect.flatMap(Revocation.make(shared), ({ revoke }) => revoke(held))
  ),
  "introspection": Effect.flatMap(
    shared,
    (shared) => Effect.flatMap(Introspection.make(shared), ({ introspect }) => introspect(redacted(5)))
  )
}

/** Everything that the server was told, for an answer that tells it back. */
const echo = (call: Call) =>
  [call.url, JSON.stringify(call.headers), call.form.toString(), JSON.stringify([...call.form]), ...secrets]
    .join("\n")

const send = (make: (call: Call) => Response): Handler => (call) => Effect.sync(() => make(call))

const answers: ReadonlyArray<readonly [what: string, handler: Handler]> = [
  ["a dropped connection", () => Effect.fail("dropped" as const)],
  ["no answer", () => Effect.never],
  ...[400, 401, 403, 404, 429, 500].flatMap((status): Array<readonly [string, Handler]> => [
    [`${status} with a page`, send((call) => new Response(`<html>${echo(call)}`, { status }))],
    [
      `${status} with a description`,
      send((call) =>
        Response.json({ error: "invalid_request", error_description: echo(call), error_uri: echo(call) }, {
          status
        })
      )
    ],
    [`${status} with a code that is none`, send((call) => Response.json({ error: echo(call) }, { status }))]
  ]),
  ...["invalid_grant", "invalid_client", "access_denied", "unsupported_token_type", "invalid_scope"].map(
    (error): readonly [string, Handler] => [
      error,
      send((call) => Response.json({ error, error_description: echo(call) }, { status: 400 }))
    ]
  )
]

/** Runs it, and gives all that an outsider could see of it. */
const seen = (flow: Flow, handler: Handler) =>
  Effect.gen(function*() {
    const { spans, tracer } = yield* recording
    const effect = Effect.withTracer(Effect.provide(flow, serve(handler)), tracer)
    const fiber = yield* Effect.fork(Effect.exit(effect))
    for (let step = 0; fiber.unsafePoll() === null && step < 500; step++) {
      yield* TestClock.adjust(Duration.seconds(1))
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
    const exit = yield* Fiber.join(fiber)
    const errors = Exit.isFailure(exit) ? [...Cause.failures(exit.cause), ...Cause.defects(exit.cause)] : []
    const text = [
      inspect(exit, { depth: null, showHidden: true }),
      JSON.stringify(exit),
      ...errors.flatMap((error) => [String(error), JSON.stringify(error), inspect(error, { depth: null })]),
      Exit.isFailure(exit) ? Cause.pretty(exit.cause, { renderErrorCause: true }) : "",
      ...spans.map((span) =>
        inspect([span.name, [...span.attributes], span.links, span.status], { depth: null })
      )
    ].join("\n")
    return { exit, errors, spans, text }
  })

describe("F24 no failure and no span tells a secret", () => {
  for (const [name, flow] of Object.entries(flows)) {
    it.effect(name, () =>
      Effect.forEach(answers, ([what, answer]) =>
        Effect.gen(function*() {
          let told = ""
          const { errors, spans, text } = yield* seen(flow, (call) => {
            told += echo(call)
            return answer(call)
          })
          assert.strictEqual(errors.length, 1, what)
          assert.isAtLeast(spans.length, 1)
          assert.include(told, "sesame")
          for (const form of secrets.flatMap(written)) assert.notInclude(text, form, `${what}: ${form}`)
        }), { discard: true }))
  }

  const good = (call: Call) =>
    call.url.endsWith("/introspect")
      ? Response.json({ active: true, sub: "al" })
      : Response.json({ access_token: "sesame+access/6", refresh_token: "sesame+refresh/7" })

  for (const [name, flow] of Object.entries(flows)) {
    it.effect(`nor does success: ${name}`, () =>
      Effect.gen(function*() {
        const { exit, spans, text } = yield* seen(flow, send(good))
        assert.isTrue(Exit.isSuccess(exit))
        const allowed = ["http.response.status_code", "oauth.grant", "oauth.outcome", "oauth.source"]
        for (const span of spans) assert.includeMembers(allowed, [...span.attributes.keys()])
        for (const form of secrets.flatMap(written)) assert.notInclude(text, form)
      }))
  }
})

describe("F24 nor does what a program holds, and may log", () => {
  const made = Effect.flatMap(shared, (shared) => {
    const assertion = { key: Redacted.make(jwk), issuer: "robot" }
    const tokens = { subject: Effect.succeed(redacted(2)), actor: Effect.succeed(redacted(3)) }
    const custom = { ...shared, grantType: "own", fields: { key: redacted(4) } }
    return Effect.all({
      "a client": Effect.succeed(shared.client),
      "a password login": Password.makeLogin({ ...shared, username: "al", password: redacted(1) }),
      "a password source": Password.make({ ...shared, username: "al", password: redacted(1) }),
      "a login with an assertion": JwtBearer.makeLogin({ ...shared, assertion }),
      "a login with a given assertion": JwtBearer.makeLogin({
        ...shared,
        assertion: Effect.succeed(redacted(7))
      }),
      "a token exchange": TokenExchange.makeLogin({ ...shared, ...tokens }),
      "a custom login": CustomGrant.makeLogin(custom),
      "a custom login with fields of an effect": CustomGrant.makeLogin({
        ...custom,
        fields: Effect.succeed(custom.fields)
      }),
      "a revocation": Revocation.make(shared),
      "an introspection": Introspection.make(shared)
    })
  })

  it.effect("the logins and sources of the grants", () =>
    Effect.gen(function*() {
      for (const [what, value] of Object.entries(yield* made)) {
        const login = "login" in value ? String(value.login) : ""
        const text = [inspect(value, { depth: null }), JSON.stringify(value), login].join("\n")
        for (const form of secrets.flatMap(written)) assert.notInclude(text, form, `${what}: ${form}`)
      }
    }).pipe(Effect.provide(serve(send(() => Response.json({}))))))
})
