/**
 * What a Redis server is asked to do in one step. A record is a hash of three fields; everything that belongs
 * to one key of the vault is in one hash slot. A script that is sent twice by accident does its work once.
 */

/** What `format` says in a record of ours. */
export const format = "effect-credentials/1"

/** Tells what is under the key: `-` for nothing, `=` and the version for a record, `?` for anything else. */
const found = `
local function found(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return '-' end
  if kind ~= 'hash' then return '?' end
  local record = redis.call('HMGET', key, 'format', 'version')
  if record[1] ~= '${format}' or not record[2] then return '?' end
  if redis.call('HEXISTS', key, 'value') == 0 then return '?' end
  return '=' .. record[2]
end
`

/** What a script that writes is told that it must find. */
export const nothing = "-"
export const version = (version: string): string => `=${version}`

/** What a script that writes answers. */
export type Verdict = "done" | "conflict" | "foreign"

/** Keys: record. Arguments: the longest value. Gives nothing, `foreign`, or version and value. */
export const read: string = `${found}
local now = found(KEYS[1])
if now == '-' then return false end
if now == '?' or #now > 200 or redis.call('HSTRLEN', KEYS[1], 'value') > tonumber(ARGV[1]) then
  return 'foreign'
end
return redis.call('HMGET', KEYS[1], 'version', 'value')
`

/** Keys: record. Gives what a script that writes is to be told to find there. */
export const look: string = `${found}
return found(KEYS[1])
`

/**
 * Keys: record, where to move what is no record of ours, and one that never exists. Arguments: what must be
 * found, the new version, the value, how long to keep it in milliseconds (0 for ever), channel and name to
 * announce. Rights are checked command by command, and memory at the first that writes and may be refused for
 * it: so those are tried where they do nothing, before anything is done.
 */
export const write: string = `${found}
local function live(key)
  if ARGV[4] == '0' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, ARGV[4]) end
end
local now = found(KEYS[1])
if now == '=' .. ARGV[2] then return 'done' end
if now ~= ARGV[1] then return now == '?' and 'foreign' or 'conflict' end
redis.call('SET', KEYS[3], '', 'XX')
live(KEYS[3])
redis.call('PUBLISH', ARGV[5], ARGV[6])
if now == '?' then redis.call('RENAME', KEYS[1], KEYS[2]) end
local set = redis.pcall('HSET', KEYS[1], 'format', '${format}', 'version', ARGV[2], 'value', ARGV[3])
if type(set) == 'table' and set.err then
  if now == '?' then redis.call('RENAME', KEYS[2], KEYS[1]) end
  return set
end
live(KEYS[1])
return 'done'
`

/**
 * Keys: record, what was moved aside. Arguments: what must be found, channel and name to announce, whether
 * (1 or 0) what was moved aside goes too.
 */
export const remove: string = `${found}
local now = found(KEYS[1])
if now ~= '-' and now ~= ARGV[1] then return now == '?' and 'foreign' or 'conflict' end
if ARGV[4] == '1' then redis.call('DEL', KEYS[2]) end
if now == '-' then return 'done' end
redis.call('PUBLISH', ARGV[2], ARGV[3])
redis.call('DEL', KEYS[1])
return 'done'
`

/**
 * Keys: lease, fence, and one that never exists. Arguments: owner, term, how long to remember the fence. Gives
 * nothing, or fence and time in milliseconds. Who could not extend a lease, or give it back, gets none. The fence is the server's time in microseconds, or one more than the last where the clock
 * has not moved on: so it grows even if the server has lost its data.
 */
export const take: string = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return false end
redis.call('SET', KEYS[3], '', 'XX')
redis.call('PEXPIRE', KEYS[3], ARGV[2])
redis.call('DEL', KEYS[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local fence = math.max(now, (tonumber(redis.call('GET', KEYS[2]) or '0') or 0) + 1)
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], string.format('%.0f', fence), 'PX', ARGV[3])
return { string.format('%.0f', fence), string.format('%.0f', math.floor(now / 1000)) }
`

/** Keys: lease. Arguments: owner, term. Gives 1, or 0 when it is not this owner's any more. */
export const extend: string = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
`

/** Keys: lease. Arguments: owner. */
export const release: string = `
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
`
