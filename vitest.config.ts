import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("src", import.meta.url))

export default defineConfig({
  resolve: {
    // Tests import the package by its own name and run on the sources, without a build.
    alias: [
      { find: /^effect-credentials$/, replacement: `${src}/index.ts` },
      { find: /^effect-credentials\/(.+)$/, replacement: `${src}/$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts"],
    pool: "forks",
    poolOptions: { forks: { minForks: 1, maxForks: 3 } },
    // On the virtual clock a test takes milliseconds; these limits are for tests on real parts.
    testTimeout: 20_000,
    hookTimeout: 60_000,
    teardownTimeout: 20_000
  }
})
