/** The address of an API as some issuers tell it with the token, in the field `resource_url`. */
import * as Option from "effect/Option"

/**
 * The `https` URL in this text, without a slash at its end. A text without a scheme means `https`. One with
 * another scheme, with credentials, a query or a fragment is none.
 */
export const parse = (text: string): Option.Option<string> => {
  if (text.length > 2048 || !/^[a-z0-9[][^\s\\\p{Cc}]*$/iu.test(text)) return Option.none()
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`
  if (!URL.canParse(full)) return Option.none()
  const { hash, host, href, password, protocol, search, username } = new URL(full)
  return protocol === "https:" && host !== "" && username + password + search + hash === ""
    ? Option.some(href.replace(/[?#]*$/, "").replace(/\/$/, ""))
    : Option.none()
}
