/**
 * A binary heap of things that are due at an instant. Each entry carries its own place, so that moving or removing it
 * needs no search and scheduling allocates nothing.
 *
 * @since 0.1.0
 */

/** Something that is due. Only the heap writes these fields. */
export interface Entry {
  /** Unix milliseconds. */
  dueAt: number
  /** The place in the heap that it is in, -1 when it is in none. */
  place: number
}

/** The earliest entry is at the top. */
export class DeadlineHeap<E extends Entry> {
  private readonly entries: Array<E> = []

  /** The earliest instant, `Infinity` when it is empty. */
  get next(): number {
    return this.entries[0]?.dueAt ?? Infinity
  }

  get size(): number {
    return this.entries.length
  }

  has(entry: E): boolean {
    return this.entries[entry.place] === entry
  }

  /** Adds the entry, or moves it if it is in here already. */
  put(entry: E, dueAt: number): void {
    const earlier = dueAt < entry.dueAt
    entry.dueAt = dueAt
    if (!this.has(entry)) {
      entry.place = this.entries.push(entry) - 1
      this.up(entry)
    } else if (earlier) this.up(entry)
    else this.down(entry)
  }

  remove(entry: E): void {
    if (!this.has(entry)) return
    const place = entry.place
    const last = this.entries.pop()
    entry.place = -1
    if (last === undefined || last === entry) return
    this.settle(last, place)
    this.up(last)
    this.down(last)
  }

  /** Takes the earliest entry out if it is due. */
  take(now: number): E | undefined {
    const first = this.entries[0]
    if (first === undefined || first.dueAt > now) return undefined
    this.remove(first)
    return first
  }

  private settle(entry: E, place: number): void {
    this.entries[place] = entry
    entry.place = place
  }

  private up(entry: E): void {
    let place = entry.place
    while (place > 0) {
      const parent = this.entries[(place - 1) >> 1]
      if (parent === undefined || parent.dueAt <= entry.dueAt) break
      const above = parent.place
      this.settle(parent, place)
      place = above
    }
    this.settle(entry, place)
  }

  private down(entry: E): void {
    let place = entry.place
    for (;;) {
      const child = this.smallerChild(place)
      if (child === undefined || child.dueAt >= entry.dueAt) break
      const below = child.place
      this.settle(child, place)
      place = below
    }
    this.settle(entry, place)
  }

  private smallerChild(place: number): E | undefined {
    const left = this.entries[2 * place + 1]
    const right = this.entries[2 * place + 2]
    return left !== undefined && right !== undefined && right.dueAt < left.dueAt ? right : left
  }
}
