/**
 * Leases as files: made by exclusive creation, which network file systems keep where they do not keep locks,
 * and touched as a sign of life. Nobody's clock is compared with another's: who waits sees for a whole term
 * of its own time that nothing moves, and only then takes the lease over.
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
    term: Schema.Number.pipe(Schema.between(100, 60 * 60 * 1000))
  }),
  ownFieldsOnly
)
const decodeClaim = Schema.decodeUnknownOption(Claim)

const leaseOf = ({ place, stem }: Desk): string => Directory.locate(place, Directory.leaseFile(stem))
const takeoverOf = ({ place, stem }: Desk): string => Directory.locate(place, Directory.takeoverFile(stem))
const fenceOf = ({ place, stem }: Desk): string => Directory.locate(place, Directory.fenceFile(stem))

const take = (
  desk: Desk,
  claim: Claim
): Effect.Effect<Option.Option<Leasing.Taken>, PlatformError.PlatformError> =>
  Effect.flatMap(
    Effect.if(create(desk, leaseOf(desk), claim), {
      onTrue: () => Effect.succeed(true),
      onFalse: () => takeOver(desk, claim)
    }),
    (isOurs) => isOurs ? Effect.asSome(number(desk)) : Effect.succeedNone
  )

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
  Effect.flatMap(freshId, (id) => {
    const { fs } = desk.place
    const temporary = Directory.locate(desk.place, Directory.temporaryFile(desk.stem, `${id}-l`))
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
    Effect.flatMap(lookAt(desk, leaseOf(desk)), (now) =>
      now?.look === dead
        ? Effect.as(overwrite(desk, leaseOf(desk), JSON.stringify(claim)), true)
        : Effect.succeed(false)),
    Effect.ignore(desk.place.fs.remove(takeoverOf(desk), { force: true }))
  )
})

/** How a lease looks that has stood still for its term; nothing while its owner may live. */
const standing = Effect.fnUntraced(function*(desk: Desk, claim: Claim) {
  const seen = yield* lookAt(desk, leaseOf(desk))
  if (seen === undefined) return undefined
  const term = Option.match(decodeClaim(seen.text), { onNone: () => claim.term, onSome: ({ term }) => term })
  return (yield* stillFor(desk, leaseOf(desk), seen.look)) >= term ? seen.look : undefined
})

/** A turn to take over lasts for no longer than two calls of the file system, unless its owner died in it. */
const clear = Effect.fnUntraced(function*(desk: Desk) {
  const seen = yield* lookAt(desk, takeoverOf(desk))
  if (seen === undefined || (yield* stillFor(desk, takeoverOf(desk), seen.look)) < 5_000) return
  yield* desk.place.fs.remove(takeoverOf(desk), { force: true })
})

/** For how many milliseconds the file has looked like this to this process. */
const stillFor = ({ sightings }: Desk, path: string, look: string): Effect.Effect<number> =>
  Effect.map(Leasing.elapsing, (now) => {
    const before = sightings.get(path)
    if (before?.look === look) return now - before.since
    sightings.set(path, { look, since: now })
    return 0
  })

const maxBytes = 1024

/** What the file says, and all that a sign of life changes; nothing where there is none. */
const lookAt = ({ place: { fs } }: Desk, path: string) =>
  Effect.zipWith(fs.stat(path), Effect.scoped(firstBytes(fs, path)), ({ ino, mtime }, text) => ({
    text,
    look: `${Option.getOrElse(ino, () => 0)} ${
      Option.match(mtime, { onNone: () => 0, onSome: Number })
    } ${text}`
  })).pipe(Effect.catchIf(Directory.isMissing, () => Effect.succeed(undefined)))

const firstBytes = (fs: Place["fs"], path: string) =>
  Effect.flatMap(
    fs.open(path, { flag: "r" }),
    (file) =>
      Effect.map(file.readAlloc(maxBytes), (bytes) => new TextDecoder().decode(Option.getOrUndefined(bytes)))
  )

const isOwn = (desk: Desk, owner: string): Effect.Effect<boolean, PlatformError.PlatformError> =>
  Effect.map(
    lookAt(desk, leaseOf(desk)),
    (seen) => seen !== undefined && Option.exists(decodeClaim(seen.text), (claim) => claim.owner === owner)
  )

const extend = (desk: Desk, owner: string): Effect.Effect<boolean, PlatformError.PlatformError> =>
  Effect.tap(isOwn(desk, owner), (isOurs) =>
    isOurs
      ? Effect.flatMap(Clock.currentTimeMillis, (now) =>
        desk.place.fs.utimes(leaseOf(desk), now / 1000, now / 1000))
      : Effect.void)

const release = (desk: Desk, owner: string): Effect.Effect<void, PlatformError.PlatformError> =>
  Effect.flatMap(
    isOwn(desk, owner),
    (isOurs) => isOurs ? desk.place.fs.remove(leaseOf(desk), { force: true }) : Effect.void
  )
