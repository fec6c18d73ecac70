import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"
import type { TestSpecification } from "vitest/node"
import { BaseSequencer } from "vitest/node"

const src = fileURLToPath(new URL("src", import.meta.url))

/** The slowest files, which begin first, so that none of them is left alone at the end. */
const slowest = [
  "test/examples.test.ts",
  "test/vault/PostgresVault.test.ts",
  "test/vault/PassVault.conformance.test.ts",
  "test/login/Chromium.test.ts",
  "test/vault/KeychainVault.conformance.test.ts",
  "test/vault/EncryptionKey.test.ts",
  "test/failures/F16.test.ts",
  "test/vault/VaultConformance.test.ts",
  "test/vault/RedisVault.test.ts",
  "test/vault/PassVault.test.ts",
  "test/vault/PostgresVault.conformance.test.ts",
  "test/failures/F5.test.ts"
]

class SlowestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = slowest.findIndex((path) => moduleId.endsWith(`/${path}`))
      return index < 0 ? slowest.length : index
    }
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b))
  }
}

/** What replaces modules: these share none with other files. */
const apart = ["test/**/*Missing.test.ts", "test/login/CallbackListenerFamilies.test.ts"]

export default defineConfig({
  resolve: {
    // Tests import the package by its own name and run on the sources, without a build.
    alias: [
      { find: /^effect-credentials$/, replacement: `${src}/index.ts` },
      { find: /^effect-credentials\/(.+)$/, replacement: `${src}/$1.ts` }
    ]
  },
  test: {
    pool: "forks",
    // Loading the modules takes longer than most tests, so the files of a process share them. As many at least as
    // at most: the pool stumbles over a process that it ends for want of work.
    poolOptions: { forks: { isolate: false, minForks: 4, maxForks: 4 } },
    sequence: { sequencer: SlowestFirst },
    setupFiles: ["test/support/setup.ts"],
    // On the virtual clock a test takes milliseconds; these limits are for tests on real parts.
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000,
    projects: [
      {
        extends: true,
        test: { name: "apart", include: apart, poolOptions: { forks: { isolate: true } } }
      },
      {
        extends: true,
        test: {
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...apart]
        }
      }
    ]
  }
})
