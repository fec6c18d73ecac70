/** Where the built library is. */
export const dist = new URL(process.env.BENCH_DIST ?? "../../dist/", import.meta.url)
