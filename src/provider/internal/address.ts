/**
 * The parts of a provider's addresses that a caller names. What is none gives an empty text, from which no address can
 * be made: the server made of it is refused as misconfigured, and nothing is sent to where nobody meant it to go.
 *
 * @since 0.1.0
 */

/** A scheme, a host and a port: no path, query, user or fragment. A slash at the end does no harm. */
export const origin = (text: string): string => {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && url.href === `${url.origin}/` ? url.origin : ""
}

/** One segment of a path, whatever it is called: it can't climb out of its place. */
export const segment = (name: string): string =>
  name.trim() === "" || /^\.{1,2}$|\p{Cs}/u.test(name) ? "" : encodeURIComponent(name)
