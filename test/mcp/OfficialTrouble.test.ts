/**
 * What the official client and ours do when a server refuses or fails after the first login. Where ours does something
 * else, the point is explained in docs/mcp.md under the same words.
 */
import { describe, expect, it } from "@effect/vitest"
import type { TokenError } from "effect-credentials/TokenError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import { readFileSync } from "node:fs"
import type { Request } from "../oauth/siteKit.js"
import * as Mcp from "./kit.js"
import * as Official from "./official.js"
import * as Web from "./web.js"

type World = ReturnType<typeof makeWorld>

/** The servers, which can get into trouble. */
const makeWorld = () => {
  const trouble: Trouble = { api: undefined, renewal: undefined }
  const refused = new Set<string | undefined>()
  const last = { token: undefined as string | undefined }
  const web: Web.Web = Web.make({
    "api.test/mcp": (request) => {
      const token = request.headers["authorization"]
      if (token === undefined || refused.has(token)) return unauthorized()
      last.token = token
      return JSON.parse(request.body || "{}").method === "tools/call" && trouble.api?.(request) ||
        Web.protocol(request)
    },
    "idp.test/token": ({ body }) => {
      const form = new URLSearchParams(body)
      const answer = form.has("refresh_token") ? trouble.renewal?.(form) : undefined
      return answer ?? Response.json({ ...tokens(), refresh_token: `refresh-${count}` })
    }
  })
  let count = 0
  const tokens = () => ({ access_token: `access-${++count}`, token_type: "Bearer", expires_in: 3600 })
  return {
    web,
    trouble,
    tokens,
    /** The API takes the present token no more. */
    expire: () => void refused.add(last.token),
    /** What the server was asked for tokens with, after the code. */
    renewals: () =>
      web.sent.filter(([address]) => address === "idp.test/token")
        .map(([, body]) => new URLSearchParams(body).get("refresh_token"))
        .filter((spent) => spent !== null)
  }
}

interface Trouble {
  /** What a call of a tool gets instead. */
  api: ((request: Request) => Response) | undefined
  /** What a renewal gets instead. */
  renewal: ((form: URLSearchParams) => Response) | undefined
}

const unauthorized = () =>
  new Response("", { status: 401, headers: { "www-authenticate": "Bearer error=\"invalid_token\"" } })

const insufficient = (scope: string) =>
  new Response("", {
    status: 403,
    headers: { "www-authenticate": `Bearer error="insufficient_scope", scope="${scope}"` }
  })

interface Running {
  /** One call of a tool; what came of it. */
  readonly call: Effect.Effect<string>
  readonly authorize: ReadonlyArray<URL>
}

type Runner = (web: Web.Web) => Effect.Effect<Running, TokenError, Scope.Scope>

const theirs: Runner = (web) =>
  Effect.sync(() => {
    const authorize: Array<URL> = []
    const held: Official.Held = {}
    const person = () => Promise.resolve("code-1")
    const options: Official.Options = { url: Web.url, authorize, held, person, fetch: Web.fetchOf(web) }
    const call = Effect.promise(async () => {
      try {
        const client = await Official.connect(options)
        await client.callTool({ name: "greet", arguments: {} })
        await client.close()
        return "answered"
      } catch (error) {
        return String(error)
      }
    })
    return { authorize, call }
  })

const ours: Runner = (web) =>
  Effect.map(Web.access(web), ({ authorize, http }) => ({
    authorize,
    call: Effect.match(Mcp.say(http, Web.url, "tools/call", { name: "greet", arguments: {} }), {
      onFailure: (error) => `${error._tag} ${error.reason}`,
      onSuccess: ({ status }) => status === 200 ? "answered" : `HTTP ${status}`
    })
  }))

interface Outcome {
  readonly ends: string | RegExp
  /** The refresh tokens that the server was sent. */
  readonly renewals: ReadonlyArray<string>
  readonly logins: number
}

interface Case {
  readonly point: string
  readonly theirFunction: string
  /** Before each call. */
  readonly happens: (world: World) => void
  /** How often the tool is called then. Default once. */
  readonly calls?: number
  /** Before each of them. Default no time at all. */
  readonly passes?: Duration.DurationInput
  readonly theirs: Outcome
  readonly ours?: Outcome
}

const error = (code: string, status = 400) => Response.json({ error: code }, { status })

const cases: ReadonlyArray<Case> = [
  {
    point: "the server keeps its refresh tokens",
    theirFunction: "refreshAuthorization",
    happens: ({ expire, tokens, trouble }) => {
      trouble.renewal = () => Response.json(tokens())
      expire()
    },
    calls: 2,
    passes: "5 minutes",
    theirs: { ends: "answered", renewals: ["refresh-1", "refresh-1"], logins: 1 }
  },
  {
    point: "the refresh token is refused",
    theirFunction: "auth",
    happens: ({ expire, trouble }) => {
      trouble.renewal = () => error("invalid_grant")
      expire()
    },
    theirs: { ends: "answered", renewals: ["refresh-1"], logins: 2 }
  },
  {
    point: "the server is out of order at a renewal",
    theirFunction: "authInternal",
    happens: ({ expire, trouble }) => {
      trouble.renewal = () => new Response("", { status: 503 })
      expire()
    },
    theirs: { ends: "answered", renewals: ["refresh-1"], logins: 2 },
    ours: { ends: "TransientFailure ServerError", renewals: ["refresh-1"], logins: 1 }
  },
  {
    point: "the client may not renew tokens",
    theirFunction: "auth",
    happens: ({ expire, trouble }) => {
      trouble.renewal = () => error("unauthorized_client")
      expire()
    },
    theirs: { ends: "answered", renewals: ["refresh-1"], logins: 2 },
    ours: { ends: "Misconfigured UnsupportedGrant", renewals: ["refresh-1"], logins: 1 }
  },
  {
    point: "the API refuses each new token",
    theirFunction: "StreamableHTTPClientTransport.send",
    happens: ({ trouble }) => {
      trouble.api = unauthorized
    },
    theirs: { ends: /401 after successful authentication/, renewals: ["refresh-1"], logins: 1 },
    ours: { ends: "HTTP 401", renewals: ["refresh-1"], logins: 1 }
  },
  {
    point: "the API refuses each new token of many calls",
    theirFunction: "StreamableHTTPClientTransport.send",
    happens: ({ trouble }) => {
      trouble.api = unauthorized
    },
    calls: 10,
    theirs: {
      ends: /401 after successful authentication/,
      renewals: Array.from({ length: 10 }, (_, index) => `refresh-${index + 1}`),
      logins: 1
    },
    ours: { ends: "TransientFailure RejectedWhileFresh", renewals: ["refresh-1"], logins: 1 }
  },
  {
    point: "a call wants more scopes, and again the same",
    theirFunction: "StreamableHTTPClientTransport.send",
    happens: ({ trouble }) => {
      trouble.api = () => insufficient("more")
    },
    theirs: { ends: /403 after trying upscoping/, renewals: ["refresh-1"], logins: 1 },
    ours: { ends: "HTTP 403", renewals: [], logins: 2 }
  },
  {
    point: "each call wants other scopes without end",
    theirFunction: "StreamableHTTPClientTransport.send",
    happens: ({ trouble }) => {
      let demands = 0
      trouble.api ??= (request) => demands++ < 20 ? insufficient(`more-${demands}`) : Web.protocol(request)
    },
    calls: 5,
    theirs: {
      ends: "answered",
      renewals: Array.from({ length: 20 }, (_, index) => `refresh-${index + 1}`),
      logins: 1
    },
    ours: { ends: "RequestRejected InvalidScope", renewals: [], logins: 4 }
  }
]

const doc = readFileSync(new URL("../../docs/mcp.md", import.meta.url), "utf8")

describe("in trouble", () => {
  it("what differs is explained", () => {
    const differing = cases.filter(({ ours }) => ours !== undefined).map(({ point }) => point)
    expect(differing.filter((point) => !doc.includes(`| ${point} |`))).toEqual([])
  })

  for (const { calls = 1, happens, passes = 0, point, theirFunction, ...expected } of cases) {
    for (const [name, run] of [["theirs", theirs], ["ours", ours]] as const) {
      it.scoped(`${point}: ${name} (${theirFunction})`, () =>
        Effect.gen(function*() {
          const world = makeWorld()
          const { authorize, call } = yield* run(world.web)
          expect(yield* call).toBe("answered")
          let last = ""
          for (let index = 0; index < calls; index++) {
            // A token that is refused as soon as it is there is another matter.
            yield* TestClock.adjust(passes)
            happens(world)
            last = yield* call
          }
          const { ends, logins, renewals } = expected[name] ?? expected.theirs
          expect(last).toMatch(ends)
          expect(world.renewals()).toEqual(renewals)
          expect(authorize).toHaveLength(logins)
        }))
    }
  }
})
