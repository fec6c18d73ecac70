/**
 * A key from the environment, under the first of several names that is set, with a fallback behind it; and
 * what people are told when there is none. Run it with `npx tsx examples/environment.ts`.
 */
import { NodeRuntime } from "@effect/platform-node"
import { ConfigProvider, Console, Effect } from "effect"
import * as TokenChain from "effect-credentials/TokenChain"
import * as TokenSource from "effect-credentials/TokenSource"
import * as TokenStatus from "effect-credentials/TokenStatus"

class ModelKey extends TokenSource.Tag("app/ModelKey")<ModelKey>() {}

const ModelKeyLayer = ModelKey.layer(TokenChain.firstOf([
  TokenSource.env(["OPENAI_API_KEY", "AZURE_API_KEY"], { name: "own key" }),
  TokenSource.env("TEAM_API_KEY", { name: "key of the team" })
], { name: "model key" }))

const report = Effect.gen(function*() {
  const source = yield* ModelKey
  yield* source.get.pipe(
    Effect.matchEffect({
      onSuccess: () => Console.log("there is a key"),
      onFailure: (error) => Console.log(error.message)
    })
  )
  yield* Console.log(TokenStatus.render(yield* source.status))
})

/** Reports as if these were the environment variables; without it, the source reads the real ones. */
const reportWith = (title: string, variables: Readonly<Record<string, string>>) =>
  Console.log(`\n=== ${title}`).pipe(
    Effect.zipRight(report),
    Effect.provide(ModelKeyLayer),
    Effect.withConfigProvider(ConfigProvider.fromJson(variables))
  )

const program = Effect.all([
  reportWith("nothing is set", {}),
  reportWith("one is blank, the fallback is set", { OPENAI_API_KEY: "", TEAM_API_KEY: "secret-of-the-team" }),
  reportWith("both are set", { AZURE_API_KEY: "secret-of-mine", TEAM_API_KEY: "secret-of-the-team" })
], { discard: true })

NodeRuntime.runMain(program)
