/**
 * An exchange, in the order that `Engine` describes and with the outcome of
 * `_ledger.ts`. Under the base name of a key there are
 *
 * - `sessions`: sorted set of session → when it expires, in ms
 * - `held`: hash of token → `session:entry`
 * - `queue`: list of `session:entry`, and `counts`: hash of these → permits waited for
 * - `meta`: hash of `fence`, `time`, `peak`, `waiting` (the sum of `counts`)
 * - `askable`: sorted set of session → when it was last asked, and `asked`: set of sessions
 * - `mail:SESSION`: list of `token:entry`, granted in exchanges of others
 * - `wake:SESSION`: list on which the session blocks
 *
 * What is empty Redis removes by itself; `meta` goes a day after its last use.
 * Numbers are formatted here: Lua would round a token to 14 digits.
 */
export const EXCHANGE = `
local call, base, me = redis.call, KEYS[1], ARGV[1]
local permits, ttl = tonumber(ARGV[2]), tonumber(ARGV[3])
local releases, cancels, acquire, attempt, offer, entries, leave =
  ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8], ARGV[9], ARGV[10]
local S, H, Q, C, M = base..':sessions', base..':held', base..':queue', base..':counts', base..':meta'
local Y, A, MAIL, WAKE = base..':askable', base..':asked', base..':mail:', base..':wake:'
local function int(n) return string.format('%.0f', n) end

local t = call('TIME')
local micros = t[1] * 1000000 + t[2]
local now = math.floor(micros / 1000)
local meta = call('HMGET', M, 'fence', 'time', 'peak', 'waiting')
local fence, time = tonumber(meta[1] or 0), tonumber(meta[2] or 0)
local peak, waiting = tonumber(meta[3] or 0), tonumber(meta[4] or 0)
if not meta[4] then
  for _, n in ipairs(call('HVALS', C)) do waiting = waiting + tonumber(n) end
end
local waitedBefore = waiting

if now < time then
  local all = call('ZRANGE', S, 0, -1)
  for _, s in ipairs(all) do call('ZINCRBY', S, int(now - time), s) end
end

local dead = call('ZRANGEBYSCORE', S, '-inf', now)
if #dead > 0 then
  local gone = {}
  for _, s in ipairs(dead) do
    gone[s] = true
    call('ZREM', S, s)
    call('ZREM', Y, s)
    call('SREM', A, s)
    call('DEL', MAIL..s, WAKE..s)
  end
  local all = call('HGETALL', H)
  for i = 1, #all, 2 do
    if gone[string.match(all[i + 1], '^(.*):')] then call('HDEL', H, all[i]) end
  end
  for _, e in ipairs(call('LRANGE', Q, 0, -1)) do
    if gone[string.match(e, '^(.*):')] then
      waiting = waiting - tonumber(call('HGET', C, e))
      call('LREM', Q, 1, e)
      call('HDEL', C, e)
    end
  end
end

local known = call('ZADD', S, int(now + ttl), me) == 0

local released = 0
for token in string.gmatch(releases, '[^,]+') do
  local owner = call('HGET', H, token)
  if owner and string.match(owner, '^(.*):') == me then
    call('HDEL', H, token)
    released = released + 1
  end
end
if released > 0 and offer ~= '' and call('SREM', A, me) == 1 then call('ZADD', Y, int(micros), me) end

local function shorten(e, n)
  local count = tonumber(call('HGET', C, e) or 0)
  if count == 0 then return end
  if count > n then
    call('HSET', C, e, int(count - n))
    waiting = waiting - n
  else
    call('LREM', Q, 1, e)
    call('HDEL', C, e)
    waiting = waiting - count
  end
end
for entry, n in string.gmatch(cancels, '(%d+):(%d+)') do shorten(me..':'..entry, tonumber(n)) end

local held = call('HLEN', H)
local granted = {}
local woken = {}
local function wake(s)
  if woken[s] then return end
  woken[s] = true
  if call('LLEN', WAKE..s) == 0 then
    call('RPUSH', WAKE..s, '1')
    call('PEXPIRE', WAKE..s, ttl * 3)
  end
end
local function grant(s, entry)
  fence = math.max(fence + 1, micros)
  held = held + 1
  local token = int(fence)
  call('HSET', H, token, s..':'..entry)
  return token..':'..entry
end

-- What was granted by others comes before what is granted now.
if known then
  granted = call('LRANGE', MAIL..me, 0, -1)
  if #granted > 0 then call('DEL', MAIL..me) end
end

local entry, wanted = string.match(acquire, '(%d+):(%d+)')
wanted = tonumber(wanted or 0)
if waiting == 0 then
  while wanted > 0 and held < permits do
    granted[#granted + 1] = grant(me, entry)
    wanted = wanted - 1
  end
end
if wanted > 0 then
  call('RPUSH', Q, me..':'..entry)
  call('HSET', C, me..':'..entry, int(wanted))
  waiting = waiting + wanted
end
while waiting > 0 and held < permits do
  local head = call('LINDEX', Q, 0)
  if not head then break end
  local s, e = string.match(head, '^(.*):(%d+)$')
  local count = tonumber(call('HGET', C, head))
  local n = math.min(count, permits - held)
  for i = 1, n do
    local g = grant(s, e)
    if s == me then
      granted[#granted + 1] = g
    else
      call('RPUSH', MAIL..s, g)
      call('PEXPIRE', MAIL..s, ttl * 3)
    end
  end
  if s ~= me then wake(s) end
  shorten(head, n)
end
if waiting == 0 then
  while attempt > 0 and held < permits do
    granted[#granted + 1] = grant(me, 0)
    attempt = attempt - 1
  end
end

if offer == '0' then
  call('ZREM', Y, me)
  call('SREM', A, me)
elseif offer == '1' and call('SISMEMBER', A, me) == 0 then
  call('ZADD', Y, 'NX', int(micros), me)
end
if waiting == 0 and waitedBefore > 0 then
  for _, s in ipairs(call('SMEMBERS', A)) do
    call('SREM', A, s)
    call('ZADD', Y, int(micros), s)
  end
end
if waiting > 0 then
  for i = 1, waiting - call('SCARD', A) do
    local s = call('ZPOPMIN', Y)[1]
    if not s then break end
    call('SADD', A, s)
    if s ~= me then wake(s) end
  end
end
local asked = 0
if offer == '1' then asked = call('SISMEMBER', A, me) end

local own, queued = '-', '-'
if entries ~= '-' or not known then
  if known then
    own = {}
    local all = call('HGETALL', H)
    for i = 1, #all, 2 do
      local s, e = string.match(all[i + 1], '^(.*):(%d+)$')
      if s == me then own[#own + 1] = all[i]..':'..e end
    end
  else
    own = granted
  end
  own = table.concat(own, ',')
  queued = {}
  local function list(e)
    local count = call('HGET', C, me..':'..e)
    if count then queued[#queued + 1] = e..':'..count end
  end
  for e in string.gmatch(entries, '%d+') do list(e) end
  if entry then list(entry) end
  queued = table.concat(queued, ',')
end

if leave == '1' and not next(granted) then
  local isIn = false
  for _, owner in ipairs(call('HVALS', H)) do
    if string.match(owner, '^(.*):') == me then isIn = true end
  end
  if waiting > 0 and not isIn then
    for _, e in ipairs(call('LRANGE', Q, 0, -1)) do
      if string.match(e, '^(.*):') == me then isIn = true end
    end
  end
  if not isIn then
    call('ZREM', S, me)
    call('ZREM', Y, me)
    call('SREM', A, me)
    call('DEL', MAIL..me, WAKE..me)
  end
end

if held > peak then peak = held end
call('HSET', M, 'fence', int(fence), 'time', int(now), 'peak', int(peak), 'waiting', int(waiting))
call('PEXPIRE', M, 86400000)

local nextExpiry = '-'
if waiting > 0 then
  local first = call('ZRANGE', S, 0, 0, 'WITHSCORES')
  if first[2] then nextExpiry = int(first[2] - now) end
end
return table.concat({ known and '1' or '0', int(waiting), int(asked), nextExpiry,
  table.concat(granted, ','), own, queued }, ';')
`;

/** The count; nothing is changed. */
export const STATUS = `
local call, base = redis.call, KEYS[1]
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local live, sessions = {}, 0
for _, s in ipairs(call('ZRANGEBYSCORE', base..':sessions', '('..string.format('%.0f', now), '+inf')) do
  live[s] = true
  sessions = sessions + 1
end
local held, waiting = 0, 0
for _, owner in ipairs(call('HVALS', base..':held')) do
  if live[string.match(owner, '^(.*):')] then held = held + 1 end
end
local counts = call('HGETALL', base..':counts')
for i = 1, #counts, 2 do
  if live[string.match(counts[i], '^(.*):')] then waiting = waiting + tonumber(counts[i + 1]) end
end
local meta = call('HMGET', base..':meta', 'peak', 'fence')
return table.concat({ held, waiting, sessions, meta[1] or '0', meta[2] or '0' }, ';')
`;
