/**
 * The JSON object that an answer should be.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const FieldsSchema = Schema.Record({ key: Schema.String, value: Schema.Unknown })

/** A JSON object of which nothing is known yet. */
export type Fields = Readonly<Record<string, unknown>>

/** The object, if the text is one. */
export const parse: (text: string) => Option.Option<Fields> = Schema.decodeOption(
  Schema.parseJson(FieldsSchema)
)

const isCoded = Schema.is(Schema.Struct({ code: Schema.NonEmptyString }))

/**
 * The OAuth error code in the body, which some servers wrap in an object. Where there is a token, it is no
 * error.
 */
export const errorCode = (text: string): string | undefined => {
  const { access_token: token, error } = Option.getOrElse(parse(text), (): Fields => ({}))
  if (typeof token === "string") return undefined
  if (typeof error === "string" && error !== "") return error
  return isCoded(error) ? error.code : undefined
}
