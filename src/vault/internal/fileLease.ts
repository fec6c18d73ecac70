/**
 * Leases as files: made by exclusive creation, which network file systems keep where they do not keep locks,
 * and touched as a sign of life. Nobody's clock is compared with another's: who waits sees for a whole term
 * of its own time that nothing moves, and only then takes the lease over.
 *
 * File systems have no call that acts on a file only if it is still the one that was looked at. So a file is
 * taken away by giving it another name, looked at under that name, and put back if it is another's; an owner
 * looks once more after it has taken a lease or shown a sign of life. What remains: where a process stops
 * between a look and the renaming for so long that the lease changes hands, that lease is gone for the moment
 * until it is put back, and for good where the file system has no hard links. Who asks just then can take it;
 * its owner learns so from its next sign of life. A process that stops for as long while it writes its
 * fencing number can set that number back.
 */
import type * as PlatformError from "@effect/platform/Error"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Vault from "../Vault.js"
import type { VaultError } from "../VaultError.js"
import * as VaultKey from "../VaultKey.js"
import * as Directory from "./directory.js"
import type { Place } from "./directory.js"
import * as FileWrite from "./fileWrite.js"
import { freshId } from "./freshId.js"
import { ownFieldsOnly } from "./json.js"
import * as Leasing from "./leasing.js"

/** The `lease` of a vault in this directory. */
export const make = (place: Place): Vault.Service["lease"] => {
  const sightings: Sightings = new Map()
  const on = <A>(key: string, use: (desk: Desk) => Effect.Effect<A, PlatformError.PlatformError>) =>
    Effect.flatMap(
      place.only === undefined ? VaultKey.encode(key) : Effect.succeed(place.only),
      (stem) => Effect.mapError(use({ place, stem, sightings }), Directory.refuse(place, "lease"))
    )
  return Leasing.make(place.vault, {
    take: (key, owner, term) =>
      Effect.zipRight(Directory.guardOrMake(place, "lease"), on(key, (desk) => take(desk, { owner, term }))),
    extend: (key, owner) => on(key, (desk) => extend(desk, owner)),
    release: (key, owner): Effect.Effect<void, VaultError> => on(key, (desk) => release(desk, owner))
  })
}

/** What was seen of a file, and since when it has looked like that, in milliseconds that only pass. */
type Sightings = Map<string, { readonly look: string; readonly since: number }>

interface Desk {
  readonly place: Place
  readonly stem: string
  readonly sightings: Sightings
}

/** What a lease file says. */
interface Claim {
  readonly owner: string
  /** Milliseconds. */
  readonly term: number
}

const Claim = Schema.parseJson(
  Schema.Struct({
    owner: Schema.String.pipe(Schema.maxLength(128)),
    term: Schema.Number.pipe(Schema.between(Leasing.minTerm, Leasing.maxTerm))
  }),
  ownFieldsOnly
)
const decodeClaim = Schema.decodeUnknownOption(Claim)

const leaseOf = ({ place, stem }: Desk): string => Directory.locate(place, Directory.leaseFile(stem))
const takeoverOf = ({ place, stem }: Desk): string => Directory.locate(place, Directory.takeoverFile(stem))
const fenceOf = ({ place, stem }: Desk): string => Directory.locate(place, Directory.fenceFile(stem))
const temporaryOf = ({ place, stem }: Desk): Effect.Effect<string> =>
  Effect.map(freshId, (id) => Directory.locate(place, Directory.temporaryFile(stem, `${id}-l`)))

/** Looks at the end: who stopped on the way has perhaps lost it again. */
const take = Effect.fnUntraced(function*(desk: Desk, claim: Claim) {
  const isTaken = (yield* create(desk, leaseOf(desk), claim)) || (yield* takeOver(desk, claim))
  if (!isTaken) return Option.none<Leasing.Taken>()
  const taken = yield* number(desk)
  return (yield* isOwn(desk, claim.owner)) ? Option.some(taken) : Option.none()
})

/** Whether the file is there now because of this call. */
const create = (
  desk: Desk,
  path: string,
  claim: Claim
): Effect.Effect<boolean, PlatformError.PlatformError> => {
  const { fs } = desk.place
  const write = fs.open(path, { flag: "wx", mode: 0o600 }).pipe(
    Effect.flatMap((file) =>
      Effect.onError(
        file.writeAll(new TextEncoder().encode(JSON.stringify(claim))),
        () => Effect.ignore(fs.remove(path, { force: true }))
      )
    ),
    Effect.scoped,
    Effect.as(true)
  )
  return Effect.catchIf(write, Directory.isTaken, () => Effect.succeed(false))
}

/** The fencing number and the file system's time. The number outlives the lease in a file of its own. */
const number = Effect.fnUntraced(function*(desk: Desk) {
  const { fs } = desk.place
  const last = yield* Effect.orElseSucceed(fs.readFileString(fenceOf(desk)), () => "0")
  const fence = /^\d{1,15}$/.test(last) ? Number(last) + 1 : 1
  yield* overwrite(desk, fenceOf(desk), String(fence))
  const { mtime } = yield* fs.stat(leaseOf(desk))
  const at = Option.isSome(mtime) ? mtime.value.getTime() : yield* Clock.currentTimeMillis
  return { fence, at }
})

const overwrite = (
  desk: Desk,
  path: string,
  text: string
): Effect.Effect<void, PlatformError.PlatformError> =>
  Effect.flatMap(temporaryOf(desk), (temporary) => {
    const { fs } = desk.place
    return fs.writeFileString(temporary, text, { flag: "wx", mode: 0o600 }).pipe(
      Effect.zipRight(fs.rename(temporary, path)),
      Effect.onError(() => FileWrite.discard(desk.place, temporary))
    )
  })

/**
 * Replaces the lease of an owner that has not moved for its term. Those who would do so at the same time take
 * turns by another exclusive file, and look again once it is theirs, so that nobody replaces a lease that was
 * just taken over.
 */
const takeOver = Effect.fnUntraced(function*(desk: Desk, claim: Claim) {
  const dead = yield* standing(desk, claim)
  if (dead === undefined) return false
  if (!(yield* create(desk, takeoverOf(desk), claim))) {
    yield* clear(desk)
    return false
  }
  return yield* Effect.ensuring(
    Effect.if(remove(desk, leaseOf(desk), ({ look }) => look === dead), {
      onTrue: () => create(desk, leaseOf(desk), claim),
      onFalse: () => Effect.succeed(false)
    }),
    Effect.ignore(remove(desk, takeoverOf(desk), isOf(claim.owner)))
  )
})

/** How a lease looks that has stood still for its term; nothing while its owner may live. */
const standing = Effect.fnUntraced(function*(desk: Desk, claim: Claim) {
  const seen = yield* lookAt(desk, leaseOf(desk))
  if (seen === undefined) return undefined
  const term = Option.match(decodeClaim(seen.text), { onNone: () => claim.term, onSome: ({ term }) => term })
  return (yield* stillFor(desk, leaseOf(desk), seen.look)) >= term ? seen.look : undefined
})

/** A turn to take over lasts for a few calls of the file system at most, unless its owner died in it. */
const clear = Effect.fnUntraced(function*(desk: Desk) {
  const seen = yield* lookAt(desk, takeoverOf(desk))
  if (seen === undefined || (yield* stillFor(desk, takeoverOf(desk), seen.look)) < 5_000) return
  yield* remove(desk, takeoverOf(desk), ({ look }) => look === seen.look)
})

/**
 * Takes away what is meant, and whether it did: what has come into its place after the look is put back. What
 * is no file stays under the other name.
 */
const remove = Effect.fnUntraced(function*(desk: Desk, path: string, isMeant: (seen: Seen) => boolean) {
  const { fs } = desk.place
  const seen = yield* lookAt(desk, path)
  if (seen === undefined || !isMeant(seen)) return false
  const aside = yield* temporaryOf(desk)
  const isMoved = yield* Effect.catchIf(
    Effect.as(fs.rename(path, aside), true),
    Directory.isMissing,
    () => Effect.succeed(false)
  )
  if (!isMoved) return false
  const moved = yield* Effect.orElseSucceed(lookAt(desk, aside), () => undefined)
  const isDone = moved !== undefined && isMeant(moved)
  if (!isDone) yield* Effect.ignore(fs.link(aside, path))
  yield* FileWrite.discard(desk.place, aside)
  return isDone
}, Effect.uninterruptible)

/** For how many milliseconds the file has looked like this to this process. */
const stillFor = ({ sightings }: Desk, path: string, look: string): Effect.Effect<number> =>
  Effect.map(Leasing.steady, (now) => {
    const before = sightings.get(path)
    if (before?.look === look) return now - before.since
    sightings.set(path, { look, since: now })
    return 0
  })

interface Seen {
  /** What the file says; nothing where it is no file. */
  readonly text: string
  /** All that a sign of life changes, and no change of the name. */
  readonly look: string
}

const maxBytes = 1024

/** Nothing where there is nothing; a link that leads nowhere is something that nobody will ever move. */
const lookAt = (
  { place }: Desk,
  path: string
): Effect.Effect<Seen | undefined, PlatformError.PlatformError> =>
  Effect.flatMap(place.fs.stat(path), ({ mtime, type }) => {
    const look = `${type} ${Option.match(mtime, { onNone: () => 0, onSome: Number })}`
    return type === "File"
      ? Effect.map(firstBytes(place.fs, path), (text) => ({ text, look: `${look} ${text}` }))
      : Effect.succeed({ text: "", look })
  }).pipe(
    Effect.catchAll((error) =>
      Effect.matchEffect(place.fs.readLink(path), {
        onSuccess: (target) => Effect.succeed({ text: "", look: `link ${target}` }),
        onFailure: () => Directory.isMissing(error) ? Effect.succeed(undefined) : Effect.fail(error)
      })
    )
  )

const firstBytes = (fs: Place["fs"], path: string): Effect.Effect<string, PlatformError.PlatformError> =>
  fs.open(path, { flag: "r" }).pipe(
    Effect.flatMap((file) => file.readAlloc(maxBytes)),
    Effect.map((bytes) => new TextDecoder().decode(Option.getOrUndefined(bytes))),
    Effect.scoped
  )

const isOf = (owner: string) => ({ text }: Seen): boolean =>
  Option.exists(decodeClaim(text), (claim) => claim.owner === owner)

const isOwn = (desk: Desk, owner: string): Effect.Effect<boolean, PlatformError.PlatformError> =>
  Effect.map(lookAt(desk, leaseOf(desk)), (seen) => seen !== undefined && isOf(owner)(seen))

/** Looks after the touch: before it, it would not notice who takes over in between. */
const extend = (desk: Desk, owner: string): Effect.Effect<boolean, PlatformError.PlatformError> =>
  Clock.currentTimeMillis.pipe(
    Effect.flatMap((now) => desk.place.fs.utimes(leaseOf(desk), now / 1000, now / 1000)),
    Effect.zipRight(isOwn(desk, owner)),
    Effect.catchIf(Directory.isMissing, () => Effect.succeed(false))
  )

const release = (desk: Desk, owner: string): Effect.Effect<void, PlatformError.PlatformError> =>
  Effect.asVoid(remove(desk, leaseOf(desk), isOf(owner)))
