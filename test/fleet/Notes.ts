/** Everything that is known of a run, as it happens. */
import type { Relogin } from "./proof.js"
import type { Entry, Report } from "./protocol.js"
import type { Worker } from "./Workers.js"

/** Milliseconds. */
export const leaseTerm = 1_500
export const deadline = 8_000

export interface Member {
  readonly id: number
  worker: Worker | undefined
  isReady: boolean
  isStopped: boolean
  /** How it ended. */
  ending: string | undefined
}

/** A redemption as its sender told it. */
interface Sending {
  readonly id: number
  readonly key: string
  readonly hash: string
  readonly at: number
  isAnswered: boolean
}

const last = <A>(all: ReadonlyArray<A>, isMeant: (one: A) => boolean): A | undefined =>
  all.filter(isMeant).at(-1)

export class Notes {
  readonly members: Array<Member> = []
  readonly events: Array<string> = []
  readonly sendings: Array<Sending> = []
  readonly leases: Array<
    { readonly id: number; readonly key: string; readonly fence: number; released: boolean }
  > = []
  readonly relogins: Array<Relogin> = []
  /** Keys whose users were told to log in. */
  readonly toLogIn = new Set<string>()
  /** When which worker was killed or stopped, and when the store was away. */
  readonly blows: Array<{ readonly at: number; readonly id: number | undefined; readonly what: string }> = []
  readonly counters = {
    uses: 0,
    adoptions: 0,
    refusedTokens: 0,
    failures: 0,
    starts: 0,
    kills: 0,
    crashes: 0,
    stops: 0,
    skews: 0,
    outages: 0
  }
  private readonly began = Date.now()

  log(event: string): void {
    this.events.push(`${((Date.now() - this.began) / 1000).toFixed(2).padStart(7)} s  ${event}`)
  }

  blow(what: string, id?: number): void {
    this.blows.push({ at: Date.now(), id, what })
    this.log(id === undefined ? what : `worker ${id}: ${what}`)
  }

  hear(id: number, report: Report): void {
    switch (report._tag) {
      case "Used":
        this.counters.uses++
        if (report.adopted) this.counters.adoptions++
        if (report.refused) this.counters.refusedTokens++
        return
      case "Failed":
        this.counters.failures++
        this.log(`worker ${id}: ${report.key}: ${report.error} ${report.reason}`)
        if (report.error === "ReauthRequired" || report.error === "TokenUnavailable") {
          this.toLogIn.add(report.key)
        }
        return
      case "Died":
        this.counters.crashes++
        return this.blow(`killed at ${report.moment}`, id)
      case "Stands":
        this.counters.stops++
        return this.blow(`stands still at ${report.moment}`, id)
      case "Leased":
        return void this.leases.push({ id, key: report.key, fence: report.fence, released: false })
      case "Releasing": {
        const lease = last(this.leases, (one) => one.id === id && one.key === report.key)
        if (lease !== undefined) lease.released = true
        return
      }
      case "Sending":
        this.sendings.push({ ...report, id, at: Date.now(), isAnswered: false })
        return this.log(`worker ${id}: ${report.key}: sends ${report.hash.slice(0, 8)}`)
      case "Answered": {
        const sending = last(this.sendings, (one) => one.id === id && one.hash === report.hash)
        if (sending !== undefined) sending.isAnswered = true
        return this.log(`worker ${id}: ${report.key}: got the answer to ${report.hash.slice(0, 8)}`)
      }
    }
  }

  /** How often a lease was given although its last owner had not given it back. */
  get takeovers(): number {
    const inOrder = this.leases.slice().sort((a, b) =>
      a.key < b.key ? -1 : a.key > b.key ? 1 : a.fence - b.fence
    )
    return inOrder.filter(({ key }, index) =>
      inOrder[index - 1]?.key === key && !inOrder[index - 1]?.released
    ).length
  }
}

/** Why nobody could know whether this refresh token was spent. */
export const causeOf = (
  { blows, sendings }: Notes,
  log: ReadonlyArray<Entry>,
  { hash, since }: { readonly hash: string; readonly since: number }
): string | undefined => {
  const fault = log.find((entry) => entry.hash === hash && entry.fault !== undefined)?.fault
  if (fault !== undefined) return `the provider did not answer (${fault})`
  const senders = sendings.filter((one) => one.hash === hash)
  const blow = blows.find(({ at, id }) =>
    id === undefined
      ? at > since - 5_000 && at < since + deadline
      : senders.some((sender) => sender.id === id && at >= sender.at - leaseTerm * 3)
  )
  if (blow !== undefined) return blow.what
  return senders.length === 0
    ? blows.find(({ at, what }) => what.startsWith("killed") && Math.abs(at - since) < 1_000)?.what
    : undefined
}
