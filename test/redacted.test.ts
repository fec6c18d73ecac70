import { expect, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const src = fileURLToPath(new URL("../src/", import.meta.url))

/** Every file of `src` in which a secret is unwrapped: how often, and why it has to be. */
const places: Readonly<Record<string, readonly [count: number, reason: string]>> = {
  "Token.ts": [2, "two secrets are compared: a token's identity"],
  "TokenSource.ts": [1, "blanks around a given secret are cut off"],
  "http/Placement.ts": [2, "the header or the field that carries the token"],
  "http/internal/basic.ts": [2, "user name and password of an Authorization header"],
  "http/internal/dpop.ts": [1, "the proof becomes a header"],
  "internal/environment.ts": [1, "blanks around a configured secret are cut off"],
  "login/internal/browserFlow.ts": [2, "the query of a callback and a pasted line are read"],
  "manager/internal/clientRecord.ts": [1, "the stored record of a client is read"],
  "manager/internal/resourceTrace.ts": [1, "a digest is read that names a grant without telling it"],
  "oauth/AuthorizationCode.ts": [2, "code verifier and state in the token request"],
  "oauth/CustomGrant.ts": [1, "secret fields in the token request"],
  "oauth/DeviceCode.ts": [2, "device code and code verifier in the token request"],
  "oauth/Dpop.ts": [1, "the hash of the access token goes into the proof"],
  "oauth/EndSession.ts": [2, "hint and state become part of the address"],
  "oauth/IdToken.ts": [3, "the ID token is read, and its nonce compared"],
  "oauth/Introspection.ts": [1, "the token in question, in the request"],
  "oauth/JwtBearer.ts": [1, "the assertion in the token request"],
  "oauth/Password.ts": [1, "the password in the token request"],
  "oauth/RefreshToken.ts": [1, "the refresh token in the token request"],
  "oauth/Registration.ts": [1, "the initial access token in the request"],
  "oauth/Revocation.ts": [2, "the tokens to revoke, in the requests"],
  "oauth/TokenExchange.ts": [2, "subject and actor token in the token request"],
  "oauth/UserInfo.ts": [1, "the access token in the request"],
  "oauth/internal/authorizationCallback.ts": [5, "state and code of a callback are compared and sent on"],
  "oauth/internal/authorizationRequest.ts": [3, "state, nonce and verifier make the request"],
  "oauth/internal/clientAuth.ts": [1, "the client's secret, for its authentication"],
  "oauth/internal/dpopKey.ts": [1, "a key is imported"],
  "oauth/internal/privateKey.ts": [1, "a key is imported"],
  "oauth/internal/registrationAnswer.ts": [1, "an empty secret is none"],
  "testing/Journal.ts": [1, "only a hash of it is kept"],
  "testing/internal/idp/clientAuth.ts": [2, "the client's secret is compared, and keys a signature"],
  "testing/internal/idp/control.ts": [1, "the token to revoke is looked up"],
  "testing/internal/idp/grants.ts": [1, "a password is compared"],
  "testing/internal/idp/registration.ts": [1, "the initial access token is compared"],
  "testing/internal/vaultCase.ts": [1, "what comes out of a vault is compared"],
  "vault/EncryptionKey.ts": [1, "bytes become a key"],
  "vault/GrantRecord.ts": [4, "the text that a vault keeps is written and read; an empty token is none"],
  "vault/PassphraseKey.ts": [1, "a passphrase becomes a key"],
  "vault/PostgresVault.ts": [1, "host and database of the URL make the identity"],
  "vault/RedisVault.ts": [1, "the URL is taken apart for the client"],
  "vault/internal/contract.ts": [1, "its size is measured"],
  "vault/internal/encryptionEnvelope.ts": [2, "what is stored is taken apart, and what is read is sealed"],
  "vault/internal/encryptionRecord.ts": [1, "the record of a key is read"],
  "vault/internal/fileRecord.ts": [2, "the text that a file keeps, and its checksum"],
  "vault/internal/redisStore.ts": [1, "the value goes to the server"],
  "vault/internal/sqlRecords.ts": [1, "the value goes to the database"],
  "vault/internal/tokenFile.ts": [2, "the text of a grant is read, and its file is written"],
  "vault/internal/uri.ts": [2, "a password goes to its backend"],
  "vault/internal/uriParse.ts": [1, "the text of a URI is taken apart"]
}

const files = readdirSync(src, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"))
  .map((path) => ({ path, text: readFileSync(src + path, "utf8") }))

it("a secret is unwrapped in these places and in no other", () => {
  const found = files
    .map(({ path, text }) => [path, text.match(/\bRedacted\s*\.\s*value\b/g)?.length ?? 0] as const)
    .filter(([, count]) => count > 0)
  const named = Object.entries(places).map(([path, [count]]) => [path, count])
  expect(Object.fromEntries(found)).toEqual(Object.fromEntries(named))
})

it("and Redacted has one name everywhere, so that the list is complete", () => {
  const imports = files.flatMap(({ path, text }) =>
    Array.from(text.matchAll(/import[^"';]*?from\s+["']effect(?:\/Redacted)?["']/g), ([statement]) => ({
      path,
      statement: statement.replaceAll("'", "\"")
    }))
  )
  expect(imports.length).toBeGreaterThan(10)
  for (const { path, statement } of imports) {
    expect([path, statement]).toEqual([
      path,
      expect.stringMatching(/^import (type )?\* as Redacted from "effect\/Redacted"$/)
    ])
  }
  // No way around the name: a destructured `value`, an access by string, or an alias of the module.
  const aliases = files.filter(({ text }) => /=\s*Redacted\b(?!\.)|\bRedacted\s*(\[|\?\.)/.test(text))
  expect(aliases.map(({ path }) => path)).toEqual([])
})
