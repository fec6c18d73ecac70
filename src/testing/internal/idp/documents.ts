/**
 * Clients whose id is the address of a document about them (OAuth Client ID Metadata Document): the provider
 * reads it before it judges their requests.
 *
 * @since 0.1.0
 */
import type * as HttpClient from "@effect/platform/HttpClient"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Ref from "effect/Ref"
import * as Incoming from "./incoming.js"
import * as Registration from "./registration.js"
import type { Settings } from "./settings.js"
import * as State from "./state.js"

/** What this needs of a provider. */
interface Reader {
  readonly settings: Settings
  readonly state: Ref.Ref<State.State>
  readonly elsewhere: HttpClient.HttpClient | undefined
}

/** Makes the client known, if its id is the address of a sound document; a login reads it anew. */
export const introduce: (reader: Reader, incoming: Incoming.Incoming) => Effect.Effect<void> = Effect
  .fnUntraced(
    function*(reader, incoming) {
      const id = Incoming.field(incoming, "client_id")
      if (id === undefined || !reader.settings.clientIdDocuments || !isAddress(id)) return
      const known = State.clientOf(yield* Ref.get(reader.state), reader.settings, id)
      if (known !== undefined && !startsLogin(incoming)) return
      const document = yield* read(reader, id)
      const client = Registration.readDocument(reader.settings, id, document)
      if (client !== undefined) {
        yield* Ref.update(reader.state, (state) => State.register(state, client, "Document"))
      }
    }
  )

const startsLogin = ({ endpoint }: Incoming.Incoming): boolean =>
  endpoint === "authorization" || endpoint === "pushed_authorization_request"

/** https, with a path, and nothing that hides where it leads. */
const isAddress = (id: string): boolean => {
  const url = Either.getOrUndefined(Either.try(() => new URL(id)))
  return url?.protocol === "https:" && url.pathname !== "/" && url.href === id && url.hash === "" &&
    url.username === "" && url.password === ""
}

const read = ({ elsewhere, settings }: Reader, id: string): Effect.Effect<unknown> => {
  if (settings.documents.has(id)) return Effect.succeed(settings.documents.get(id))
  if (elsewhere === undefined) return Effect.void
  return elsewhere.get(id).pipe(
    Effect.flatMap((response) => response.status === 200 ? response.json : Effect.void),
    Effect.orElseSucceed(() => undefined)
  )
}
