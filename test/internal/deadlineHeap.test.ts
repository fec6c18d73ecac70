import { describe, expect, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { DeadlineHeap } from "../../src/internal/deadlineHeap.js"

interface Item {
  readonly id: number
  dueAt: number
  place: number
}

const items = (count: number): ReadonlyArray<Item> =>
  Array.from({ length: count }, (_, id) => ({ id, dueAt: Infinity, place: -1 }))

const size = 12
const instant = FastCheck.oneof(
  FastCheck.integer({ min: -3, max: 9 }),
  FastCheck.constantFrom(0, Infinity, -Infinity, 1.5)
)
const command = FastCheck.oneof(
  FastCheck.record({
    kind: FastCheck.constant("put" as const),
    id: FastCheck.nat(size - 1),
    at: instant
  }),
  FastCheck.record({
    kind: FastCheck.constant("remove" as const),
    id: FastCheck.nat(size - 1),
    at: FastCheck.constant(0)
  }),
  FastCheck.record({ kind: FastCheck.constant("take" as const), id: FastCheck.constant(0), at: instant })
)

describe("DeadlineHeap", () => {
  it("does what a sorted array does, whatever happens to it", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(command, { maxLength: 80 }), (commands) => {
        const heap = new DeadlineHeap<Item>()
        const all = items(size)
        const model = new Map<Item, number>()
        const earliest = (): number => Math.min(Infinity, ...model.values())
        for (const { at, id, kind } of commands) {
          const item = all[id]
          if (item === undefined) continue
          if (kind === "put") {
            heap.put(item, at)
            model.set(item, at)
          } else if (kind === "remove") {
            heap.remove(item)
            model.delete(item)
          } else {
            const taken = heap.take(at)
            if (earliest() > at || model.size === 0) expect(taken).toBeUndefined()
            else {
              if (taken === undefined) throw new Error("it kept what was due")
              expect(model.get(taken)).toBe(earliest())
              expect(taken.place).toBe(-1)
              model.delete(taken)
            }
          }
          expect(heap.size).toBe(model.size)
          expect(heap.next).toBe(earliest())
          for (const item of all) expect(heap.has(item)).toBe(model.has(item))
        }
        const rest = [...model.values()].sort((a, b) => a - b)
        expect(rest.map(() => heap.take(Infinity)?.dueAt)).toEqual(rest)
        expect(heap.size).toBe(0)
      }),
      { numRuns: 500 }
    )
  })

  it("keeps apart from another heap that holds the same places", () => {
    const [one, two] = [new DeadlineHeap<Item>(), new DeadlineHeap<Item>()]
    const [a, b] = items(2) as [Item, Item]
    one.put(a, 5)
    two.put(b, 7)
    two.remove(a)
    one.remove(b)
    expect([one.size, two.size]).toEqual([1, 1])
    one.remove(a)
    one.remove(a)
    two.put(a, 1)
    expect([one.size, two.size, two.next]).toEqual([0, 2, 1])
    expect(two.take(0)).toBeUndefined()
    expect(two.take(1)).toBe(a)
  })

  it("takes what is due at exactly that instant and nothing later", () => {
    const heap = new DeadlineHeap<Item>()
    const [a] = items(1) as [Item]
    heap.put(a, 10)
    expect(heap.take(9)).toBeUndefined()
    expect(heap.take(10)).toBe(a)
    expect(heap.take(10)).toBeUndefined()
    expect(heap.next).toBe(Infinity)
  })
})
