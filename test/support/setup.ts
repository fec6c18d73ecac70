/**
 * Runs before each file. `layer` of @effect/vitest puts its own `it.effect` and `it.scoped` in the place of those
 * that all files of a process share; this puts them back.
 */
import { it, makeMethods } from "@effect/vitest"

makeMethods(it)
