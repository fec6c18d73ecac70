/** The grammars of the vaults that this library has, and the schemes that it is to have. */
import type { Grammar } from "./uri.js"

export const memory: Grammar = {
  schemes: ["memory"],
  form: { _tag: "Nothing" },
  parameters: {},
  example: "memory:"
}

export const file: Grammar = {
  schemes: ["file"],
  form: { _tag: "Path" },
  parameters: {},
  example: "file:///var/lib/app/vault"
}

export const environment: Grammar = {
  schemes: ["env"],
  form: { _tag: "Name", nested: false },
  parameters: {},
  example: "env://APP_SECRET_"
}

export const keychain: Grammar = {
  schemes: ["keychain"],
  form: { _tag: "Name", nested: false },
  parameters: {},
  example: "keychain://com.example.app"
}

export const pass: Grammar = {
  schemes: ["pass"],
  form: { _tag: "Name", nested: true },
  parameters: {},
  example: "pass://apps/example"
}

export const sqlite: Grammar = {
  schemes: ["sqlite"],
  form: { _tag: "Path" },
  parameters: { prefix: "Plain" },
  example: "sqlite:///var/lib/app/vault.db"
}

export const redis: Grammar = {
  schemes: ["redis", "rediss"],
  form: { _tag: "Server", database: "OptionalNumber" },
  parameters: { prefix: "Plain" },
  example: "rediss://user:password@host:6379/0?prefix=app"
}

export const postgres: Grammar = {
  schemes: ["postgres", "postgresql"],
  form: { _tag: "Server", database: "RequiredName" },
  parameters: { prefix: "Plain", sslmode: ["disable", "require", "verify-ca", "verify-full"] },
  example: "postgres://user:password@host:5432/database?sslmode=verify-full"
}

export const all: ReadonlyArray<Grammar> = [
  memory,
  file,
  environment,
  keychain,
  pass,
  sqlite,
  redis,
  postgres
]

/** Those that later releases have. */
export const planned: ReadonlyArray<string> = [
  "vault",
  "openbao",
  "op",
  "bw",
  "aws-sm",
  "azure-kv",
  "gcp-sm"
]
