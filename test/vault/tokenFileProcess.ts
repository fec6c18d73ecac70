/**
 * A process of its own that renews the login in a token file so many times, each time in a turn of its own,
 * and tells how often it had to try again because somebody had written.
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Grant from "effect-credentials/Grant"
import * as Token from "effect-credentials/Token"
import * as GrantRecord from "effect-credentials/vault/GrantRecord"
import * as TokenFileVault from "effect-credentials/vault/TokenFileVault"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"

const [path = "", times = "0"] = process.argv.slice(2)

const program = Effect.gen(function*() {
  const vault = yield* TokenFileVault.make({ path })
  const renew = Effect.gen(function*() {
    yield* vault.lease("login", { term: "5 seconds", wait: "20 seconds" })
    const { value, version } = Option.getOrThrow(yield* vault.get("login"))
    const record = yield* GrantRecord.decode(value, "test")
    const count = Number(Redacted.value(record.grant.token.value)) + 1
    const renewed = GrantRecord.renew(
      record,
      Grant.make({
        token: Token.make({ value: Redacted.make(String(count)), expiresAt: count }),
        refreshToken: Redacted.make(`rt-${count}`)
      })
    )
    yield* vault.compareAndSet("login", Option.some(version), yield* GrantRecord.encode(renewed, "test"))
  })
  yield* Effect.repeatN(Effect.scoped(renew), Number(times) - 1)
  process.stdout.write("done")
})

void Effect.runPromise(Effect.provide(program, NodeContext.layer))
