/** A worker of a cluster that listens at the port it is given, tells what came of it, and stays. */
import * as NodeCallbackListener from "effect-credentials/login/NodeCallbackListener"
import * as Effect from "effect/Effect"

const listening = Effect.gen(function*() {
  yield* NodeCallbackListener.make.listen({
    path: "/callback",
    resultPath: "/callback/done",
    port: Number(process.env["PORT"])
  })
  process.send?.("listens")
  return yield* Effect.never
})

void Effect.runPromise(
  Effect.catchAll(Effect.scoped(listening), ({ reason }) => Effect.sync(() => process.send?.(reason)))
)
