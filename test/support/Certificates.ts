/** A certificate authority of one's own, and what it has signed, made by the openssl command. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"

/** A certificate and its key, as PEM. */
export interface Pair {
  readonly cert: string
  readonly key: string
}

export interface Certificates {
  /** The authority's certificate. */
  readonly ca: string
  /** For 127.0.0.1. */
  readonly server: Pair
  /** Signed by the authority. */
  readonly client: Pair
  /** Signed by itself. */
  readonly stranger: Pair
}

const run = promisify(execFile)

export const make: Effect.Effect<Certificates, never, Scope.Scope> = Effect.flatMap(
  Effect.acquireRelease(
    Effect.promise(() => mkdtemp(join(tmpdir(), "certificates-"))),
    (directory) => Effect.promise(() => rm(directory, { recursive: true, force: true }))
  ),
  (directory) => Effect.promise(() => makeIn(directory))
)

const makeIn = async (directory: string): Promise<Certificates> => {
  const openssl = (...args: ReadonlyArray<string>) => run("openssl", args, { cwd: directory })
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  const selfSigned = (name: string) =>
    openssl(
      "req",
      "-x509",
      ...curve,
      "-days",
      "2",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.crt`
    )
  const signed = async (name: string, extension: string) => {
    await openssl("req", ...curve, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`)
    await writeFile(join(directory, `${name}.ext`), extension)
    const authority = ["-CA", "authority.crt", "-CAkey", "authority.key", "-CAcreateserial"]
    const files = ["-in", `${name}.csr`, "-extfile", `${name}.ext`, "-out", `${name}.crt`]
    await openssl("x509", "-req", "-days", "2", ...authority, ...files)
  }
  await Promise.all([selfSigned("authority"), selfSigned("stranger")])
  await signed("server", "subjectAltName=IP:127.0.0.1")
  await signed("client", "extendedKeyUsage=clientAuth")
  const read = (file: string) => readFile(join(directory, file), "utf8")
  const pair = async (name: string) => ({ cert: await read(`${name}.crt`), key: await read(`${name}.key`) })
  return {
    ca: await read("authority.crt"),
    server: await pair("server"),
    client: await pair("client"),
    stranger: await pair("stranger")
  }
}
