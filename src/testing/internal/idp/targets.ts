/**
 * What tokens may be asked for: scopes, and the resources that they are for (RFC 8707).
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Answer from "./answer.js"
import * as Incoming from "./incoming.js"
import type { Client, Settings } from "./settings.js"
import type { State } from "./state.js"

export const isWithin = (
  asked: ReadonlyArray<string>,
  allowed: ReadonlyArray<string> | undefined
): boolean => allowed === undefined || asked.every((one) => allowed.includes(one))

/** Those that are allowed. */
export const within = (
  scopes: ReadonlyArray<string>,
  allowed: ReadonlyArray<string> | undefined
): ReadonlyArray<string> => scopes.filter((one) => isWithin([one], allowed))

/** Absolute, without a fragment, and one of those that there are, where the provider knows which. */
export const isTarget = ({ resources }: Settings, target: string): boolean => {
  const url = Either.getOrUndefined(Either.try(() => new URL(target)))
  return url !== undefined && !target.includes("#") &&
    (resources.length === 1 || resources.some(({ id }) => id === target))
}

/** What was asked for, and nothing that the client may not have. */
export interface Asked {
  readonly scopes: ReadonlyArray<string>
  readonly resources: ReadonlyArray<string>
}

export const asked = (
  { client, incoming, settings }: {
    readonly client: Client
    readonly incoming: Incoming.Incoming
    readonly settings: Settings
  }
): Either.Either<Asked, "invalid_scope" | "invalid_target"> => {
  const scopes = Incoming.list(incoming, "scope")
  const resources = Incoming.resources(incoming)
  if (!isWithin(scopes, client.scopes)) return Either.left("invalid_scope")
  return resources.every((one) => isTarget(settings, one))
    ? Either.right({ scopes, resources })
    : Either.left("invalid_target")
}

/** Goes on with what was asked for, or refuses it. */
export const orRefuse = <A>(
  judged: Either.Either<A, string>,
  state: State,
  next: (value: A) => Answer.Step
): Answer.Step =>
  Either.match(judged, { onLeft: (error) => [Answer.refuse(error), state] as const, onRight: next })

/** The resources that a token is for: those named now, each of which has to be among those granted. */
export const narrowed = (
  settings: Settings,
  resources: ReadonlyArray<string>,
  granted: ReadonlyArray<string>
): Either.Either<ReadonlyArray<string>, "invalid_target"> => {
  const fine = resources.every((one) => isTarget(settings, one)) &&
    (granted.length === 0 || isWithin(resources, granted))
  return fine ? Either.right(resources.length === 0 ? granted : resources) : Either.left("invalid_target")
}
