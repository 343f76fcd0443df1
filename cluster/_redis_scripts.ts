/**
 * An exchange, in the order that `Engine` describes and with the outcome of
 * `_ledger.ts`. Under the base name of a key there are
 *
 * - `sessions`: sorted set of session → when it expires, in ms
 * - `held`: hash of token → `session:entry`
 * - `queue`: list of `session:entry`, and `counts`: hash of these → permits waited for
 * - `meta`: packed, so that it is read and written in one step: the fence, the time of the last
 *   exchange, the most and the present number of permits held, the sum of `counts`, how many
 *   grants are in all `mail`, and a time before which no session expires
 * - `askable`: sorted set of session → when it was last asked, and `asked`: set of sessions
 * - `mail:SESSION`: list of `token:entry`, granted in exchanges of others
 * - `wake:SESSION`: list on which the session blocks
 *
 * A call of Redis costs as much as all the Lua around it. So each is made only
 * where something is to be done: an uncontended acquire makes five.
 *
 * What is empty Redis removes by itself; `meta` goes a day after a session last
 * came or left. Tokens are formatted here: Lua would round them to 14 digits, but Redis
 * does not round a number that is passed to it.
 */
export const EXCHANGE = `
local call, base, me = redis.call, KEYS[1], ARGV[1]
local permits, ttl = tonumber(ARGV[2]), tonumber(ARGV[3])
local releases, cancels, entry, wanted = ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local attempt, offer, entries, leave = ARGV[8], ARGV[9], ARGV[10], ARGV[11]
local S, H, M = base..':sessions', base..':held', base..':meta'

local t = call('TIME')
local micros = t[1] * 1000000 + t[2]
local now = math.floor(micros / 1000)
local meta = call('GET', M)
local fence, time, peak, held, waiting, mails, quiet
if meta then
  fence, time, peak, held, waiting, mails, quiet = struct.unpack('ddddddd', meta)
else
  fence, time, peak, held, waiting, mails, quiet = 0, 0, 0, call('HLEN', H), 0, call('ZCARD', S), 0
  for _, n in ipairs(call('HVALS', base..':counts')) do waiting = waiting + n end
end
local waitedBefore = waiting

if now < time then
  for _, s in ipairs(call('ZRANGE', S, 0, -1)) do
    call('ZINCRBY', S, now - time, s)
  end
  quiet = 0
end

if now >= quiet then
  local dead = call('ZRANGEBYSCORE', S, '-inf', now)
  if #dead > 0 then
    local gone = {}
    for _, s in ipairs(dead) do
      gone[s] = true
      call('ZREM', S, s)
      call('ZREM', base..':askable', s)
      call('SREM', base..':asked', s)
      mails = mails - call('LLEN', base..':mail:'..s)
      call('DEL', base..':mail:'..s, base..':wake:'..s)
    end
    local all = call('HGETALL', H)
    for i = 1, #all, 2 do
      if gone[string.match(all[i + 1], '^(.*):')] then call('HDEL', H, all[i]) end
    end
    for _, e in ipairs(call('LRANGE', base..':queue', 0, -1)) do
      if gone[string.match(e, '^(.*):')] then
        waiting = waiting - call('HGET', base..':counts', e)
        call('LREM', base..':queue', 1, e)
        call('HDEL', base..':counts', e)
      end
    end
    held = call('HLEN', H)
  end
  quiet = tonumber(call('ZRANGE', S, 0, 0, 'WITHSCORES')[2]) or now + ttl
end

local known = call('ZADD', S, now + ttl, me) == 0
if now + ttl < quiet then quiet = now + ttl end

if releases ~= '' then
  local released = 0
  for token in string.gmatch(releases, '[^,]+') do
    local owner = call('HGET', H, token)
    if owner and string.match(owner, '^(.*):') == me then
      call('HDEL', H, token)
      released = released + 1
    end
  end
  held = held - released
  if released > 0 and offer ~= '' and call('SREM', base..':asked', me) == 1 then
    call('ZADD', base..':askable', micros, me)
  end
end

-- What was granted by others comes before what is granted now.
local granted = {}
if mails > 0 and known then
  granted = call('LRANGE', base..':mail:'..me, 0, -1)
  if #granted > 0 then
    call('DEL', base..':mail:'..me)
    mails = mails - #granted
  end
end

local function grant(s, e)
  fence = fence + 1
  if fence < micros then fence = micros end
  held = held + 1
  local token = string.format('%.0f', fence)
  call('HSET', H, token, s..':'..e)
  return token..':'..e
end

wanted = tonumber(wanted)
while waiting == 0 and wanted > 0 and held < permits do
  granted[#granted + 1] = grant(me, entry)
  wanted = wanted - 1
end

if offer == '0' then
  call('ZREM', base..':askable', me)
  call('SREM', base..':asked', me)
elseif offer == '1' and call('SISMEMBER', base..':asked', me) == 0 then
  call('ZADD', base..':askable', 'NX', micros, me)
end

local asked, nextExpiry = '0', '-'
if waiting > 0 or wanted > 0 then
  local function shorten(e, n)
    local count = tonumber(call('HGET', base..':counts', e) or 0)
    if count > n then
      call('HSET', base..':counts', e, count - n)
      waiting = waiting - n
    elseif count > 0 then
      call('LREM', base..':queue', 1, e)
      call('HDEL', base..':counts', e)
      waiting = waiting - count
    end
  end
  local woken = {}
  local function wake(s)
    if woken[s] then return end
    woken[s] = true
    if call('LLEN', base..':wake:'..s) == 0 then
      call('RPUSH', base..':wake:'..s, '1')
      call('PEXPIRE', base..':wake:'..s, ttl * 3)
    end
  end

  for e, n in string.gmatch(cancels, '(%d+):(%d+)') do shorten(me..':'..e, tonumber(n)) end
  if wanted > 0 then
    call('RPUSH', base..':queue', me..':'..entry)
    call('HSET', base..':counts', me..':'..entry, wanted)
    waiting = waiting + wanted
  end
  while waiting > 0 and held < permits do
    local head = call('LINDEX', base..':queue', 0)
    if not head then
      waiting = 0
      break
    end
    local s, e = string.match(head, '^(.*):(%d+)$')
    local n = math.min(tonumber(call('HGET', base..':counts', head)), permits - held)
    for i = 1, n do
      local g = grant(s, e)
      if s == me then
        granted[#granted + 1] = g
      else
        call('RPUSH', base..':mail:'..s, g)
        call('PEXPIRE', base..':mail:'..s, ttl * 3)
        mails = mails + 1
      end
    end
    if s ~= me then wake(s) end
    shorten(head, n)
  end
  if waiting > 0 then
    for i = 1, waiting - call('SCARD', base..':asked') do
      local s = call('ZPOPMIN', base..':askable')[1]
      if not s then break end
      call('SADD', base..':asked', s)
      if s ~= me then wake(s) end
    end
    if offer == '1' then asked = call('SISMEMBER', base..':asked', me) end
    nextExpiry = call('ZRANGE', S, 0, 0, 'WITHSCORES')[2] - now
  end
end
if waiting == 0 and waitedBefore > 0 then
  for _, s in ipairs(call('SMEMBERS', base..':asked')) do
    call('SREM', base..':asked', s)
    call('ZADD', base..':askable', micros, s)
  end
end
if attempt ~= '0' and waiting == 0 then
  for i = 1, math.min(tonumber(attempt), permits - held) do
    granted[#granted + 1] = grant(me, 0)
  end
end

local own, queued = '-', '-'
if entries ~= '-' or not known then
  if known then
    own = {}
    local all = call('HGETALL', H)
    for i = 1, #all, 2 do
      local s, e = string.match(all[i + 1], '^(.*):(%d+)$')
      if s == me then own[#own + 1] = all[i]..':'..e end
    end
    held = #all / 2
    own = table.concat(own, ',')
  else
    own = table.concat(granted, ',')
  end
  queued = {}
  local function list(e)
    local count = call('HGET', base..':counts', me..':'..e)
    if count then queued[#queued + 1] = e..':'..count end
  end
  for e in string.gmatch(entries, '%d+') do list(e) end
  list(entry)
  queued = table.concat(queued, ',')
  call('PEXPIRE', M, 86400000)
end

if leave == '1' and #granted == 0 then
  local isIn = false
  if held > 0 then
    for _, owner in ipairs(call('HVALS', H)) do
      if string.match(owner, '^(.*):') == me then isIn = true end
    end
  end
  if waiting > 0 then
    for _, e in ipairs(call('LRANGE', base..':queue', 0, -1)) do
      if string.match(e, '^(.*):') == me then isIn = true end
    end
  end
  if not isIn then
    call('ZREM', S, me)
    call('ZREM', base..':askable', me)
    call('SREM', base..':asked', me)
    call('DEL', base..':mail:'..me, base..':wake:'..me)
  end
end

if held > peak then peak = held end
meta = struct.pack('ddddddd', fence, now, peak, held, waiting, mails, quiet)
if known then
  call('SET', M, meta, 'KEEPTTL')
else
  call('SET', M, meta, 'PX', 86400000)
end
return (known and '1;' or '0;')..waiting..';'..asked..';'..nextExpiry..';'..
  table.concat(granted, ',')..';'..own..';'..queued
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
local fence, time, peak = 0, 0, 0
local meta = redis.call('GET', base..':meta')
if meta then fence, time, peak = struct.unpack('ddd', meta) end
return table.concat({ held, waiting, sessions, peak, string.format('%.0f', fence) }, ';')
`;
