/** A secret on its way to a Redis server. */

/**
 * The bytes of the text, for a client that shows what it sends to whoever traces or debugs it: they are sent
 * as they are, and shown as nothing.
 */
export const hidden = (text: string): Buffer =>
  Object.defineProperties(Buffer.from(text, "utf8"), {
    toString: { value: () => shown },
    toJSON: { value: () => shown },
    [Symbol.for("nodejs.util.inspect.custom")]: { value: () => shown }
  })

const shown = "<redacted>"
