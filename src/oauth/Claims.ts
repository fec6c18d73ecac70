/**
 * What a server says of a person (OpenID Connect Core §2, §5.1), under the names of the standard. Texts come from
 * outside: whoever shows one makes it printable first.
 *
 * @since 0.1.0
 */

/**
 * What is known of a person. Each text is of at most 2048 characters; a field of another type counts as absent.
 *
 * @since 0.1.0
 * @category models
 */
export interface Profile {
  readonly name: string | undefined
  readonly given_name: string | undefined
  readonly family_name: string | undefined
  readonly nickname: string | undefined
  readonly preferred_username: string | undefined
  readonly picture: string | undefined
  readonly email: string | undefined
  readonly email_verified: boolean | undefined
  readonly phone_number: string | undefined
  readonly phone_number_verified: boolean | undefined
  readonly locale: string | undefined
  readonly zoneinfo: string | undefined
}

/**
 * What an ID token says. Instants are in seconds, as the standard has them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Claims extends Profile {
  readonly iss: string
  /** Who it is about: the one name of a person that never changes, together with `iss`. */
  readonly sub: string
  readonly aud: ReadonlyArray<string>
  readonly exp: number
  readonly iat: number
  readonly auth_time: number | undefined
  readonly nonce: string | undefined
  readonly acr: string | undefined
  readonly amr: ReadonlyArray<string> | undefined
  readonly azp: string | undefined
  readonly sid: string | undefined
  /** Everything that it says, as it was. */
  readonly raw: Readonly<Record<string, unknown>>
}
