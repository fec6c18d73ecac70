/**
 * What a source shows when it is logged or inspected: its name. What it closes over is the app's own services and
 * secrets, and none of anybody's business.
 *
 * @since 0.1.0
 */
import * as Inspectable from "effect/Inspectable"

/** The base of everything that is a source. */
export abstract class NamedSource extends Inspectable.Class {
  abstract readonly name: string

  override toJSON(): unknown {
    return { _id: "effect-credentials/TokenSource", name: this.name }
  }
}
