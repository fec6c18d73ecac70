/**
 * A client of an MCP server of which it knows the address only. The rest is found out: where the server's metadata is,
 * which authorization server gives tokens for it, which client this program becomes there, which scopes to ask for. A
 * person logs in once in a browser, and a second time when a tool needs more than that; the second start finds all of
 * it in the vault. The server is made of the official SDK, on loopback, and the browser is a script.
 * Run it with `npx tsx examples/mcp-client.ts`.
 */
import { FetchHttpClient, FileSystem, HttpClient, HttpClientRequest } from "@effect/platform"
import { NodeContext, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Schema } from "effect"
import * as BrowserLauncher from "effect-credentials/login/BrowserLauncher"
import * as BrowserLogin from "effect-credentials/login/BrowserLogin"
import * as LoginPrompt from "effect-credentials/login/LoginPrompt"
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as ResourceAccess from "effect-credentials/manager/ResourceAccess"
import * as RefreshScheduler from "effect-credentials/RefreshScheduler"
import * as FileVault from "effect-credentials/vault/FileVault"
import * as DemoServer from "./demo/mcpServer.js"
import * as Person from "./demo/person.js"

/** Access to the server. Requests may open a login here, since somebody is sitting in front of this program. */
const access = (url: string) =>
  ResourceAccess.make({
    url,
    client: { metadata: { name: "Example client", redirectUris: ["http://127.0.0.1/callback"] } },
    login: BrowserLogin.make,
    interactive: true
  })

/** A real program takes `SystemBrowser.layer` and `LoginPrompt.layerConsole` here. */
const BrowserLayer = Layer.mergeAll(
  NodeCallbackListener.layer,
  LoginPrompt.layerSilent,
  BrowserLauncher.layerTest((url) =>
    Effect.gen(function*() {
      yield* Console.log(`  (a login for ${new URL(url).searchParams.get("scope")})`)
      yield* Effect.forkDaemon(Person.approve(url))
    })
  )
)

const Answer = Schema.Struct({
  result: Schema.Struct({
    serverInfo: Schema.optional(Schema.Struct({ name: Schema.String })),
    tools: Schema.optional(Schema.Array(Schema.Struct({ name: Schema.String }))),
    content: Schema.optional(Schema.Array(Schema.Struct({ text: Schema.String })))
  })
})

/** One message of the protocol, over any HttpClient. */
const say = <E>(http: HttpClient.HttpClient.With<E>, url: string, method: string, params: object = {}) =>
  HttpClientRequest.post(url, { headers: { accept: "application/json, text/event-stream" } }).pipe(
    HttpClientRequest.bodyUnsafeJson({ jsonrpc: "2.0", id: 1, method, params }),
    http.execute,
    Effect.flatMap((response) => response.json),
    Effect.flatMap(Schema.decodeUnknown(Answer)),
    Effect.map(({ result }) => result)
  )

const session = (url: string) =>
  Effect.gen(function*() {
    const api = yield* access(url)
    const http = api.http(yield* HttpClient.HttpClient)
    const { serverInfo } = yield* say(http, url, "initialize", {
      protocolVersion: "2025-06-18",
      capabilities: {},
      clientInfo: { name: "example", version: "1.0.0" }
    })
    yield* Console.log(`connected to ${serverInfo?.name}`)
    const { tools } = yield* say(http, url, "tools/list")
    yield* Console.log(`tools: ${tools?.map(({ name }) => name).join(", ")}`)
    const { content } = yield* say(http, url, "tools/call", { name: "greet", arguments: {} })
    yield* Console.log(`greet: ${content?.map(({ text }) => text).join(" ")}`)
  }).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  const server = yield* DemoServer.make
  const directory = yield* Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped())
  const vault = FileVault.layer({ directory: `${directory}/vault` })
  yield* Console.log("=== first start")
  yield* Effect.provide(session(server.url), vault)
  yield* Console.log("=== second start")
  yield* Effect.provide(session(server.url), vault)
  const count = (path: string) => server.seen.filter((seen) => seen === path).length
  yield* Console.log(`=== ${count("/register")} registration, ${count("/authorize")} logins`)
})

program.pipe(
  Effect.scoped,
  Effect.provide([FetchHttpClient.layer, NodeContext.layer, RefreshScheduler.layer, BrowserLayer]),
  NodeRuntime.runMain
)
