/**
 * Asking for a refresh token the way OpenID Connect has it (Core §11).
 *
 * @since 0.1.0
 */

const scope = "offline_access"

/**
 * The scopes with `offline_access`: always where that is wanted, and by default where it is known to the server.
 * To ask for it alone would make the server forget the scopes that it gives by itself, so the default doesn't.
 */
export const scopes = (
  asked: ReadonlyArray<string> | undefined,
  wanted: boolean | undefined,
  supported: ReadonlyArray<string> | undefined
): ReadonlyArray<string> | undefined => {
  if (wanted === false || asked?.includes(scope) === true) return asked
  const isKnown = asked !== undefined && asked.length > 0 && supported?.includes(scope) === true
  return wanted === true || isKnown ? [...asked ?? [], scope] : asked
}
