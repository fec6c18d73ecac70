/** JSON from outside whose every field is an own one. */

/**
 * Options for `Schema.parseJson`. A field named `__proto__` would become what an object inherits from as soon
 * as it is copied, and bring in fields that no check has seen; no record of ours has one.
 */
export const ownFieldsOnly: { readonly reviver: (name: string, value: unknown) => unknown } = {
  reviver: (name, value) => {
    if (name === "__proto__") throw new SyntaxError("a field has a name that no record has")
    return value
  }
}
