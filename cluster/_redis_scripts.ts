/**
 * An exchange, in the order that `Engine` describes and with the outcome of
 * `_ledger.ts`. Under the base name of a key there are
 *
 * - the base itself: hash of session → when it expires, in ms, and of the empty name → what must be
 *   read and written each time, packed: the fence, the time of the last exchange, the most and the
 *   present number of permits held, the sum of `counts`, how many grants are in all `mail`, and a time
 *   before which no session expires
 * - `expiry`: sorted set of session → a time before which it does not expire
 * - `held:SESSION`: hash of token → entry, and of the empty name → nothing, so that it has a time to live
 * - `queue`: list of `session:entry`, and `counts`: hash of these → permits waited for
 * - `askable`: sorted set of session → when it was last asked, and `asked`: set of sessions
 * - `mail:SESSION`: list of `token:entry`, granted in exchanges of others
 * - `wake:SESSION`: list on which the session blocks
 *
 * A call of Redis costs as much as all the Lua around it. So each is made only
 * where something is to be done: an uncontended acquire or release makes four.
 * For the same reason arguments at the end that say nothing are not sent; and where
 * all else is as usual, the reply is just the grants, as a status: a client reads it in one step.
 *
 * What is empty Redis removes by itself; the rest goes a day after a session last
 * came or was renewed. Tokens are formatted here: Lua would round them to 14 digits, but
 * Redis does not round a number that is passed to it.
 */
export const EXCHANGE = `
local call, base, me = redis.call, KEYS[1], ARGV[1]
local permits, ttl = tonumber(ARGV[2]), tonumber(ARGV[3])
local entry, wanted, releases = ARGV[4], tonumber(ARGV[5]) or 0, ARGV[6]
local attempt, offer, leave, cancels, entries = ARGV[7], ARGV[8] or '', ARGV[9], ARGV[10], ARGV[11]
local mine = base..':held:'..me

local t = call('TIME')
local micros = t[1] * 1000000 + t[2]
local now = math.floor(micros / 1000)
local known = call('HMGET', base, '', me)
local meta = known[1]
known = known[2]
local fence, time, peak, held, waiting, mails, quiet = 0, 0, 0, 0, 0, 0, now + ttl
if meta then
  fence, time, peak, held, waiting, mails, quiet = struct.unpack('ddddddd', meta)
else
  call('DEL', base..':expiry', base..':queue', base..':counts', base..':askable', base..':asked')
end
local waitedBefore = waiting

if now < time then
  for _, s in ipairs(call('ZRANGE', base..':expiry', 0, -1)) do
    call('HINCRBY', base, s, now - time)
    call('ZADD', base..':expiry', call('HGET', base, s), s)
  end
  quiet = 0
end

if now >= quiet then
  local gone, isAnyGone = {}, false
  for _, s in ipairs(call('ZRANGEBYSCORE', base..':expiry', '-inf', now)) do
    local expiry = call('HGET', base, s)
    if tonumber(expiry) > now then
      call('ZADD', base..':expiry', expiry, s)
    else
      gone[s], isAnyGone = true, true
      if s == me then known = false end
      held = held - call('HLEN', base..':held:'..s) + 1
      mails = mails - call('LLEN', base..':mail:'..s)
      call('HDEL', base, s)
      call('ZREM', base..':expiry', s)
      call('ZREM', base..':askable', s)
      call('SREM', base..':asked', s)
      call('DEL', base..':held:'..s, base..':mail:'..s, base..':wake:'..s)
    end
  end
  if isAnyGone and waiting > 0 then
    for _, e in ipairs(call('LRANGE', base..':queue', 0, -1)) do
      if gone[string.match(e, '^(.*):')] then
        waiting = waiting - call('HGET', base..':counts', e)
        call('LREM', base..':queue', 1, e)
        call('HDEL', base..':counts', e)
      end
    end
  end
  quiet = tonumber(call('ZRANGE', base..':expiry', 0, 0, 'WITHSCORES')[2]) or now + ttl
end

if not known then
  call('DEL', mine, base..':mail:'..me)
  call('HSET', mine, '', '')
end
if now + ttl < quiet then quiet = now + ttl end

if releases and releases ~= '' then
  local released = 0
  for token in string.gmatch(releases, '[^,]+') do released = released + call('HDEL', mine, token) end
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
  call('HSET', base..':held:'..s, token, e)
  return token..':'..e
end

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

-- Where nobody waits, nobody needs to know when exactly the next session expires.
if waiting + wanted > 0 or entries or not known then
  call('ZADD', base..':expiry', now + ttl, me)
end

local asked, nextExpiry = 0, ''
if waiting + wanted > 0 then
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

  for e, n in string.gmatch(cancels or '', '(%d+):(%d+)') do shorten(me..':'..e, tonumber(n)) end
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
    nextExpiry = call('ZRANGE', base..':expiry', 0, 0, 'WITHSCORES')[2] - now
  end
end
if waiting == 0 and waitedBefore > 0 then
  for _, s in ipairs(call('SMEMBERS', base..':asked')) do
    call('SREM', base..':asked', s)
    call('ZADD', base..':askable', micros, s)
  end
end
attempt = tonumber(attempt) or 0
while waiting == 0 and attempt > 0 and held < permits do
  granted[#granted + 1] = grant(me, 0)
  attempt = attempt - 1
end

granted = table.concat(granted, ',')

local own, queued = '-', '-'
if entries or not known then
  own, queued = granted, {}
  if known then
    own = {}
    local all = call('HGETALL', mine)
    for i = 1, #all, 2 do
      if all[i] ~= '' then own[#own + 1] = all[i]..':'..all[i + 1] end
    end
    own = table.concat(own, ',')
  end
  local function list(e)
    local count = call('HGET', base..':counts', me..':'..e)
    if count then queued[#queued + 1] = e..':'..count end
  end
  for e in string.gmatch(entries or '', '%d+') do list(e) end
  list(entry)
  queued = table.concat(queued, ',')
end

local stays = true
if leave == '1' and call('HLEN', mine) == 1 then
  stays = false
  if waiting > 0 then
    for _, e in ipairs(call('LRANGE', base..':queue', 0, -1)) do
      if string.match(e, '^(.*):') == me then stays = true end
    end
  end
end

if held > peak then peak = held end
meta = struct.pack('ddddddd', fence, now, peak, held, waiting, mails, quiet)
if stays then
  call('HSET', base, '', meta, me, now + ttl)
else
  call('HSET', base, '', meta)
  call('HDEL', base, me)
  call('ZREM', base..':expiry', me)
  call('ZREM', base..':askable', me)
  call('SREM', base..':asked', me)
  call('DEL', mine, base..':mail:'..me, base..':wake:'..me)
end
if entries or not known then
  for _, name in ipairs({ '', ':expiry', ':queue', ':counts', ':askable', ':asked' }) do
    call('PEXPIRE', base..name, 86400000)
  end
  call('PEXPIRE', mine, 86400000)
end
if known and waiting + asked == 0 and not entries and #granted < 1000 then
  return redis.status_reply(granted)
end
return granted..';'..(known and '1' or '0')..';'..waiting..';'..asked..';'..nextExpiry..';'..own..';'..queued
`;

/** The count; nothing is changed. */
export const STATUS = `
local call, base = redis.call, KEYS[1]
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all = call('HGETALL', base)
local live, held, waiting, sessions = {}, 0, 0, 0
local fence, time, peak = 0, 0, 0
for i = 1, #all, 2 do
  local s = all[i]
  if s == '' then
    fence, time, peak = struct.unpack('ddd', all[i + 1])
  elseif tonumber(all[i + 1]) > now then
    live[s] = true
    sessions = sessions + 1
    held = held + call('HLEN', base..':held:'..s) - 1
  end
end
local counts = call('HGETALL', base..':counts')
for i = 1, #counts, 2 do
  if live[string.match(counts[i], '^(.*):')] then waiting = waiting + tonumber(counts[i + 1]) end
end
return table.concat({ held, waiting, sessions, peak, string.format('%.0f', fence) }, ';')
`;
