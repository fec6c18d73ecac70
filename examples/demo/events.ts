/** What the app tells on its standard output, one JSON text a line. */
import { Schema } from "effect"

export const AppEvent = Schema.Union(
  Schema.TaggedStruct("Prompt", { text: Schema.String, url: Schema.String }),
  Schema.TaggedStruct("Status", {
    health: Schema.String,
    generation: Schema.UndefinedOr(Schema.Number).pipe(Schema.optional),
    expiresAt: Schema.UndefinedOr(Schema.Number).pipe(Schema.optional),
    failure: Schema.UndefinedOr(Schema.String).pipe(Schema.optional)
  }),
  Schema.TaggedStruct("Call", { ok: Schema.Boolean, detail: Schema.String })
)
export type AppEvent = typeof AppEvent.Type

export const decode = Schema.decode(Schema.parseJson(AppEvent))
