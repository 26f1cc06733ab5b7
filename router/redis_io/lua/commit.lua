-- SPDX-License-Identifier: Apache-2.0
-- The one atomic step that publishes a window and moves the cursor: all of it, or nothing.
--
-- KEYS[1]  lease        hash    read
-- KEYS[2]  epoch        hash    {commit_id, reply} written
-- KEYS[3]  signals      stream  its group's last-delivered id is the cursor, set
-- KEYS[4]  intents      stream  written
-- KEYS[5]  open_orders  string  read
-- KEYS[6]  kill         string  read
-- KEYS[7]  halt         hash    read; written when a commit reaches the repeat limit, or fails after it has published
-- KEYS[8]  inflight     set     of intent ids, written
-- KEYS[9]  rejects      stream  written
-- KEYS[10] outcomes     hash    outcome -> count, written
-- KEYS[11] last_window  hash    written when a window ends
-- KEYS[12] recent       zset    intents of the last hour by time, written with a limit per hour
-- KEYS[13] repeats      zset    "SYMBOL SIDE intent" by time, written with a repeat limit
-- KEYS[14] audit        stream  written with an audit
-- KEYS[15..] dedup      string  one per intent, in their order: the signal's entry id, expires
-- ARGV[1]  the commit as MessagePack, see Commit in scripts.py
-- Reply    MessagePack {status, ...}:
--   OK        intents = ids of what was published, trimmed = undelivered intents that trimming may have lost,
--             halted = why this very commit has halted the router, '' when it has not
--   FENCED    the lease or the cursor is another's; reason
--   NO_GROUP  our group on the signal stream is gone
--   HALTED    halted since the decision
--   CHANGED   open orders are not what the decision was made on, or the hour has no room for the intents
--   STALE     stale = places (from 1) of the intents that grew too old
--   DUPLICATE duplicates = {place, whether this very signal entry was published}
--   DENIED    a key has a wrong type or the user lacks a right; reason
--   BROKEN    an error after the first write; the router is halted; reason

local commit = cmsgpack.unpack(ARGV[1])
local FIXED = 14 -- keys before the dedup keys
local LEASE, EPOCH, SIGNALS, INTENTS, OPEN_ORDERS, KILL, HALT, INFLIGHT, REJECTS, OUTCOMES, LAST_WINDOW, RECENT, REPEATS, AUDIT = unpack(KEYS, 1, FIXED)

local function reply(fields)
  return cmsgpack.pack(fields)
end

-- 1. Who may commit, and from where.
if not lease_is_held_by(LEASE, commit.holder, commit.epoch) then
  return reply({status = 'FENCED', reason = 'the lease is gone or another router holds it'})
end
local last = redis.call('HMGET', EPOCH, 'commit_id', 'reply')
if last[1] == commit.id then return last[2] end -- asked again because the reply was lost
local group = group_of(SIGNALS, commit.group)
if not group then return reply({status = 'NO_GROUP'}) end
if group['last-delivered-id'] ~= commit.cursor_from then
  return reply({status = 'FENCED', reason = 'a foreign reader moved the group to ' .. group['last-delivered-id']})
end

-- Keys of features that are off are not judged: they are not touched.
local wrong = wrong_type({
  [INTENTS] = 'stream', [REJECTS] = 'stream', [INFLIGHT] = 'set', [OUTCOMES] = 'hash', [LAST_WINDOW] = 'hash',
  [RECENT] = commit.hourly_max and 'zset', [REPEATS] = commit.repeat_limit and 'zset',
  [AUDIT] = commit.audit_max and 'stream',
})
if wrong then return reply({status = 'DENIED', reason = wrong}) end

-- 2. Whether the decision still holds. What this very entry has published comes first: it is done, halted or not.
local own, duplicates, stale = {}, {}, {}
local oldest_ms = now_ms() - commit.max_age_ms
for place, intent in ipairs(commit.intents) do
  local published_by = text_of(KEYS[FIXED + place])
  if published_by == intent.signal_id then
    own[#own + 1] = {place, true}
  elseif published_by then
    duplicates[#duplicates + 1] = {place, false}
  end
  if id_parts(intent.signal_id) < oldest_ms then stale[#stale + 1] = place end
end
if #own > 0 then return reply({status = 'DUPLICATE', duplicates = own}) end
if #commit.intents > 0 then
  local state = trading_state(KILL, HALT)
  if state == 'halted' or (state == 'reduce' and not commit.reduce_only) then return reply({status = 'HALTED'}) end
  if not commit.reduce_only then
    local hour_is_full = commit.hourly_max and intents_of_the_hour(RECENT) + #commit.intents > commit.hourly_max
    if hour_is_full or text_of(OPEN_ORDERS) ~= commit.open_orders then return reply({status = 'CHANGED'}) end
  end
end
if #stale > 0 then return reply({status = 'STALE', stale = stale}) end
if #duplicates > 0 then return reply({status = 'DUPLICATE', duplicates = duplicates}) end

-- 3. That nothing after this can fail: a script is isolated, but never rolled back.
local function missing_right()
  local needed = {
    {'XADD', INTENTS, 'MAXLEN', '~', '1', '*', 'data', ''}, {'XADD', REJECTS, 'MAXLEN', '~', '1', '*', 'id', ''},
    {'XINFO', 'STREAM', INTENTS}, {'XINFO', 'STREAM', REJECTS}, {'XINFO', 'GROUPS', INTENTS},
    {'XRANGE', INTENTS, '-', '+'}, {'XLEN', INTENTS}, {'SADD', INFLIGHT, '0-0'}, {'HINCRBY', OUTCOMES, 'published', '0'},
    {'HSET', EPOCH, 'commit_id', ''}, {'XGROUP', 'SETID', SIGNALS, commit.group, '0'}, {'XINFO', 'STREAM', SIGNALS},
    {'XACK', SIGNALS, commit.group, '0-0'}, {'HSET', HALT, 'reason', ''}, {'HSET', LAST_WINDOW, 'event', ''},
  }
  local function need(...) needed[#needed + 1] = {...} end
  if commit.hourly_max then
    need('ZADD', RECENT, '0', '')
    need('ZREMRANGEBYSCORE', RECENT, '0', '0')
  end
  if commit.repeat_limit then
    need('ZADD', REPEATS, '0', '')
    need('ZREMRANGEBYSCORE', REPEATS, '0', '0')
    need('ZRANGE', REPEATS, '0', '-1')
  end
  if commit.audit_max then
    need('XADD', AUDIT, 'MAXLEN', '~', '1', '*', 'event', '')
    need('XINFO', 'STREAM', AUDIT)
  end
  for place = 1, #commit.intents do need('SET', KEYS[FIXED + place], '', 'PX', '1') end
  for _, command in ipairs(needed) do
    if not redis.acl_check_cmd(unpack(command)) then return 'no right to ' .. command[1] .. ' ' .. command[2] end
  end
  return nil
end

-- Redis refuses an entry after the largest id, and a count beyond 2^63.
local function no_room()
  for _, key in ipairs({INTENTS, REJECTS, commit.audit_max and AUDIT}) do
    local id = redis.call('TYPE', key).ok == 'stream' and by_name(redis.call('XINFO', 'STREAM', key))['last-generated-id']
    if id and id_parts(id) >= BEYOND then
      return key .. ' has the last id ' .. id .. ', which no clock reaches: rename the stream, or XSETID it back'
    end
  end
  for outcome in pairs(commit.outcomes) do
    local counted = redis.pcall('HINCRBY', OUTCOMES, outcome, 0)
    if type(counted) == 'table' or counted >= BEYOND then
      return OUTCOMES .. ' ' .. outcome .. ' is not a count of at most 14 digits: HDEL ' .. OUTCOMES .. ' ' .. outcome
    end
  end
  return nil
end

local refused = missing_right() or no_room()
if refused then return reply({status = 'DENIED', reason = refused}) end

-- 4. Publish, remember, move the cursor.
-- Undelivered intents among those that trimming took: at most *gone*, none while execution is ahead of the first left.
local function undelivered(gone)
  local execution = gone > 0 and group_of(INTENTS, commit.execution_group)
  if not execution then return 0 end
  local first = redis.call('XRANGE', INTENTS, '-', '+', 'COUNT', 1)[1][1]
  return id_after(first, execution['last-delivered-id']) and gone or 0
end

-- Note *members* under now in the sorted set *key*, which forgets what is older than *keep_ms*.
local function note(key, members, keep_ms)
  local now = now_ms()
  redis.call('ZREMRANGEBYSCORE', key, '-inf', whole(now - keep_ms))
  for _, member in ipairs(members) do redis.call('ZADD', key, whole(now), member) end
end

-- Why these intents are one repeat too many, nil when they are not.
local function repeated(ids)
  local members, counts = {}, {}
  for place, intent in ipairs(commit.intents) do members[place] = intent.what .. ' ' .. ids[place] end
  note(REPEATS, members, commit.repeat_window_ms)
  for _, member in ipairs(redis.call('ZRANGE', REPEATS, '0', '-1')) do
    local what = string.match(member, '^(.+) ') or member
    counts[what] = (counts[what] or 0) + 1
  end
  for _, intent in ipairs(commit.intents) do
    local n = counts[intent.what]
    if n >= commit.repeat_limit then
      return string.format('%d intents for %s within %g s', n, intent.what, commit.repeat_window_ms / 1000)
    end
  end
  return nil
end

local function audit(...)
  redis.call('XADD', AUDIT, 'MAXLEN', '~', commit.audit_max, '*', ...)
end

local function halt(reason)
  redis.call('HSET', HALT, 'reason', reason, 'who', commit.holder, 'when', whole(now_ms()))
end

-- Count what was published against the limits; return why that halts the router, '' when it does not.
local function count_against_limits(ids)
  if #ids == 0 or commit.reduce_only then return '' end
  if commit.hourly_max then note(RECENT, ids, HOUR_MS) end
  local reason = commit.repeat_limit and repeated(ids)
  if not reason then return '' end
  halt(reason)
  if commit.audit_max then audit('event', 'AUTO_HALTED', 'reason', reason, 'who', commit.holder) end
  return reason
end

local function move_cursor()
  local stream = by_name(redis.call('XINFO', 'STREAM', SIGNALS))
  local read = commit.entries_read
  if commit.cursor_to == stream['last-generated-id'] then
    read = stream['entries-added']
  elseif not read and group['entries-read'] then
    read = math.min(group['entries-read'] + commit.entries, stream['entries-added'])
  end
  local known = read and read >= 0 and {'ENTRIESREAD', whole(read)} or {}
  redis.call('XGROUP', 'SETID', SIGNALS, commit.group, commit.cursor_to, unpack(known))
end

local function publish()
  local ids = {}
  local before = redis.call('XLEN', INTENTS)
  for place, intent in ipairs(commit.intents) do
    ids[place] = redis.call('XADD', INTENTS, 'MAXLEN', '~', commit.intents_max, '*', 'data', intent.data)
    redis.call('SET', KEYS[FIXED + place], intent.signal_id, 'PX', whole(commit.dedup_ttl_ms))
    if not commit.reduce_only then redis.call('SADD', INFLIGHT, ids[place]) end
  end
  local trimmed = undelivered(before + #ids - redis.call('XLEN', INTENTS))
  for _, rejected in ipairs(commit.rejects) do
    redis.call('XADD', REJECTS, 'MAXLEN', '~', commit.rejects_max, '*',
      'id', rejected[1], 'code', rejected[2], 'detail', rejected[3])
  end
  for outcome, n in pairs(commit.outcomes) do redis.call('HINCRBY', OUTCOMES, outcome, whole(n)) end
  if #commit.acknowledge > 0 then redis.call('XACK', SIGNALS, commit.group, unpack(commit.acknowledge)) end
  if commit.cursor_to ~= commit.cursor_from or commit.entries_read then move_cursor() end
  if #commit.last_window > 0 then
    redis.call('HSET', LAST_WINDOW, 'at_ms', whole(now_ms()), unpack(commit.last_window))
  end
  if commit.audit then audit(unpack(commit.audit)) end
  local done = reply({status = 'OK', intents = ids, trimmed = trimmed, halted = count_against_limits(ids)})
  redis.call('HSET', EPOCH, 'commit_id', commit.id, 'reply', done)
  return done
end

local succeeded, result = pcall(publish)
if succeeded then return result end
local reason = type(result) == 'table' and result.err or tostring(result)
pcall(halt, 'commit failed half-way: ' .. reason)
return reply({status = 'BROKEN', reason = reason})
