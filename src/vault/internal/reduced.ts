/** What of a grant can be left out so that the rest can be stored. */
import * as Redacted from "effect/Redacted"
import * as Grant from "../../Grant.js"
import * as Token from "../../Token.js"
import type { GrantRecord } from "../GrantRecord.js"

/**
 * The record, and then ever less of it: the refresh token stays to the end, because losing it is losing the
 * login. At the end there is no access token either, and the next call renews again.
 */
export const reduced = (self: GrantRecord): ReadonlyArray<GrantRecord> => [
  self,
  ...steps.map((_, index) => steps.slice(0, index + 1).reduce((record, step) => step(record), self))
]

const change = (self: GrantRecord, grant: Partial<Grant.Grant>): GrantRecord => ({
  ...self,
  grant: Grant.make({ ...self.grant, ...grant })
})

const withoutIdToken = (self: GrantRecord) => change(self, { idToken: undefined })

/** What a provider needs back is short. */
const withShortExtra = (self: GrantRecord) =>
  change(self, {
    extra: Object.fromEntries(
      Object.entries(self.grant.extra).filter((entry) => entry.join("").length <= 512).slice(0, 20)
    )
  })

const withoutExtra = (self: GrantRecord) => ({ ...change(self, { extra: {} }), rest: Redacted.make({}) })

const withFewScopes = (self: GrantRecord) =>
  change(self, {
    token: {
      ...self.grant.token,
      scopes: self.grant.token.scopes.filter((scope) => scope.length <= 256).slice(0, 100)
    }
  })

const withoutToken = (self: GrantRecord) =>
  change(self, {
    token: Token.make({
      value: Redacted.make(""),
      issuedAt: self.grant.token.issuedAt,
      expiresAt: 0,
      generation: self.generation,
      proofKey: self.grant.token.proofKey
    })
  })

const steps: ReadonlyArray<(self: GrantRecord) => GrantRecord> = [
  withoutIdToken,
  withShortExtra,
  withoutExtra,
  withFewScopes,
  withoutToken
]
