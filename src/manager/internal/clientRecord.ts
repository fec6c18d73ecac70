/** A registered client as the text that is kept in a vault. */
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Client from "../../oauth/Client.js"
import type * as Registration from "../../oauth/Registration.js"

const Secret = Schema.Redacted(Schema.NonEmptyString)

/** A key is not stored: whoever signs has it. */
const Auth = Schema.Union(
  Schema.TaggedStruct("None", {}),
  Schema.TaggedStruct("Basic", { secret: Secret }),
  Schema.TaggedStruct("Post", { secret: Secret }),
  Schema.TaggedStruct("PrivateKeyJwt", {})
)

const Stored = Schema.parseJson(Schema.Struct({
  schema: Schema.Literal(1),
  issuer: Schema.String,
  id: Schema.NonEmptyString,
  auth: Auth,
  redirectUris: Schema.Array(Schema.String),
  registeredAt: Schema.NonNegative,
  /** Absent: never. */
  secretExpiresAt: Schema.optional(Schema.NonNegative),
  management: Schema.optional(Schema.Struct({ uri: Schema.String, token: Secret }))
}))

const encodeStored = Schema.encodeSync(Stored)
const decodeStored = Schema.decodeOption(Stored)

export const encode = (registration: Registration.RegisteredClient): Redacted.Redacted<string> => {
  const { client, issuer, management, redirectUris, registeredAt, secretExpiresAt } = registration
  return Redacted.make(encodeStored({
    schema: 1,
    issuer,
    id: client.id,
    auth: fromAuth(client.auth),
    redirectUris,
    registeredAt,
    secretExpiresAt: secretExpiresAt === Infinity ? undefined : secretExpiresAt,
    management
  }))
}

/** The client, if it is one of this issuer. */
export const decode = (
  value: Redacted.Redacted<string>,
  issuer: string,
  privateKey: Client.PrivateKeyJwt | undefined
): Option.Option<Registration.RegisteredClient> =>
  decodeStored(Redacted.value(value)).pipe(
    Option.filter((stored) => stored.issuer === issuer),
    Option.flatMap(({ auth, id, schema: _, secretExpiresAt, ...rest }) =>
      Option.map(toAuth(auth, privateKey), (auth) => ({
        ...rest,
        client: { id, auth },
        secretExpiresAt: secretExpiresAt ?? Infinity,
        management: rest.management
      }))
    )
  )

/** No other kinds come from a registration. */
const fromAuth = (auth: Client.ClientAuth | undefined): typeof Auth.Type => {
  switch (auth?._tag) {
    case "Basic":
    case "Post":
      return { _tag: auth._tag, secret: auth.secret }
    case "PrivateKeyJwt":
      return { _tag: "PrivateKeyJwt" }
    default:
      return { _tag: "None" }
  }
}

const toAuth = (
  auth: typeof Auth.Type,
  privateKey: Client.PrivateKeyJwt | undefined
): Option.Option<Client.ClientAuth> => {
  switch (auth._tag) {
    case "None":
      return Option.some(Client.none)
    case "Basic":
      return Option.some(Client.basic(auth.secret))
    case "Post":
      return Option.some(Client.post(auth.secret))
    case "PrivateKeyJwt":
      return Option.fromNullable(privateKey)
  }
}
