/**
 * What a Redis server is asked to do in one step. A record is a hash of three fields; everything that belongs
 * to one key of the vault is in one hash slot. A script that is sent twice by accident does its work once.
 */

/** What `format` says in a record of ours. */
export const format = "effect-credentials/1"

/** Tells what is under the key: `-` for nothing, `=` and the version for a record, nil for anything else. */
const found = `
local function found(key)
  local kind = redis.call('TYPE', key).ok
  if kind == 'none' then return '-' end
  if kind ~= 'hash' then return nil end
  local record = redis.call('HMGET', key, 'format', 'version')
  if record[1] ~= '${format}' or not record[2] then return nil end
  if redis.call('HEXISTS', key, 'value') == 0 then return nil end
  return '=' .. record[2]
end
`

/** What a script that writes is told that it must find. */
export const anything = "*"
export const nothing = "-"
export const version = (version: string): string => `=${version}`

/** What a script that writes answers. */
export type Verdict = "done" | "conflict" | "foreign"

/** Keys: record. Arguments: the longest value. Gives nothing, `foreign`, or version and value. */
export const read: string = `${found}
local now = found(KEYS[1])
if now == '-' then return false end
if now == nil or #now > 200 or redis.call('HSTRLEN', KEYS[1], 'value') > tonumber(ARGV[1]) then
  return 'foreign'
end
return redis.call('HMGET', KEYS[1], 'version', 'value')
`

/**
 * Keys: record, where to move what is no record of ours. Arguments: what must be found, the new
 * version, the value, how long to keep it in milliseconds (0 for ever), channel and name to announce.
 * It writes first and shortens lives last, so that a server without memory refuses before it has done half.
 */
export const write: string = `${found}
local now = found(KEYS[1])
if now == '=' .. ARGV[2] then return 'done' end
if ARGV[1] ~= '*' then
  if now == nil then return 'foreign' end
  if now ~= ARGV[1] then return 'conflict' end
end
redis.call('PUBLISH', ARGV[5], ARGV[6])
if now == nil then redis.call('RENAME', KEYS[1], KEYS[2]) end
redis.call('HSET', KEYS[1], 'format', '${format}', 'version', ARGV[2], 'value', ARGV[3])
if ARGV[4] == '0' then redis.call('PERSIST', KEYS[1]) else redis.call('PEXPIRE', KEYS[1], ARGV[4]) end
return 'done'
`

/** Keys: record, what was moved aside. Arguments: what must be found, channel and name to announce. */
export const remove: string = `${found}
local now = found(KEYS[1])
if ARGV[1] == '*' then
  redis.call('DEL', KEYS[2])
else
  if now == nil then return 'foreign' end
  if now ~= '-' and now ~= ARGV[1] then return 'conflict' end
end
if now == '-' then return 'done' end
redis.call('PUBLISH', ARGV[2], ARGV[3])
redis.call('DEL', KEYS[1])
return 'done'
`

/**
 * Keys: lease, fence. Arguments: owner, term, how long to remember the fence. Gives nothing, or fence and time
 * in milliseconds. The fence is the server's time in microseconds, or one more than the last where the clock
 * has not moved on: so it grows even if the server has lost its data.
 */
export const take: string = `
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return false end
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
