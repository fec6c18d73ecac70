/**
 * Instants in HTTP headers.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"

const imfFixdate = /^[A-Z][a-z]{2}, (\d{2}) ([A-Z][a-z]{2}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) GMT$/

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

const hour = 60 * 60 * 1000

/**
 * Unix milliseconds of an IMF-fixdate (RFC 9110 §5.6.7); the two obsolete forms count as absent, and so does
 * what no calendar and no clock shows.
 */
export const parse = (header: string | undefined): Option.Option<number> => {
  const [, day, name = "", year, hours, minutes, seconds] = imfFixdate.exec(header ?? "") ?? []
  const parts = {
    year: Number(year),
    month: months.indexOf(name) + 1,
    day: Number(day),
    hours: Number(hours),
    minutes: Number(minutes),
    seconds: Number(seconds)
  }
  return parts.month === 0
    ? Option.none()
    : Option.map(Option.filter(DateTime.make(parts), shows(parts)), DateTime.toEpochMillis)
}

/** Whether the parts are the instant's own, rather than such as overflow into it. */
const shows = (parts: Partial<DateTime.DateTime.Parts>) => (at: DateTime.Utc): boolean => {
  const own = DateTime.toPartsUtc(at)
  return own.day === parts.day && own.hours === parts.hours && own.minutes === parts.minutes &&
    own.seconds === parts.seconds
}

/**
 * The instant that `Retry-After` names (RFC 9110 §10.2.3), at most an hour from `now`. A date counts by the
 * server's own clock where the answer shows that.
 */
export const retryAt = (
  headers: Readonly<Record<string, string | undefined>>,
  now: number
): number | undefined => {
  const value = headers["retry-after"]?.trim()
  if (value === undefined) return undefined
  if (/^\d+$/.test(value)) return now + Math.min(Number(value) * 1000, hour)
  const serverNow = Option.getOrElse(parse(headers["date"]), () => now)
  return Option.getOrUndefined(
    Option.map(parse(value), (at) => now + Math.min(Math.max(at - serverNow, 0), hour))
  )
}
