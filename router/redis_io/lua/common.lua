-- SPDX-License-Identifier: Apache-2.0
-- Put before every script, so that each rule about shared keys stands once. It runs nothing by itself.
--
-- kill   string  the desk's kill switch: missing, '', '0', 'GO' = active; 'REDUCE' = reduce-only; anything else = halted
-- halt   hash    our own halt; its presence halts
-- lease  hash    {holder, epoch, ttl_ms, release}, expires

-- Redis' clock in milliseconds.
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Whole numbers above 2^31 would print as 1.7e+12 otherwise.
local function whole(n)
  return string.format('%.0f', n)
end

-- No time in ms, count or sequence of ours has 15 digits; numbers below are exact in Lua, and far from where Redis' end.
local BEYOND = 1e14

-- The whole number below BEYOND that *text* is, 0 when it is missing, nil for anything else.
local function whole_below(text)
  if not text then return 0 end
  return string.match(text, '^%d+$') and #text < 15 and tonumber(text) or nil
end

-- *text* as a message may quote it: printable and short.
local function quoted(text)
  return "'" .. string.gsub(string.sub(text, 1, 40), '[^%w%p ]', '?') .. "'"
end

-- Which of the keys of *expected* (key -> kind) is of another type, in words, nil when none is.
local function wrong_type(expected)
  for key, kind in pairs(expected) do
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return key .. ' is a ' .. found .. ', not a ' .. kind .. ': rename or remove it'
    end
  end
  return nil
end

-- Value of a string key, false when missing; a key of another type gives '(wrong type)', which no rule accepts.
local function text_of(key)
  local value = redis.pcall('GET', key)
  if type(value) == 'table' then return '(wrong type)' end
  return value
end

-- 'active', 'reduce' or 'halted', and the key that says so.
local function trading_state(kill_key, halt_key)
  if redis.call('EXISTS', halt_key) == 1 then return 'halted', halt_key end
  local kill = text_of(kill_key)
  if not kill or kill == '' or kill == '0' or kill == 'GO' then return 'active', '' end
  return kill == 'REDUCE' and 'reduce' or 'halted', kill_key
end

-- Intents that the sorted set *key* names for the last 60 minutes.
local HOUR_MS = 3600000
local function intents_of_the_hour(key)
  return redis.call('ZCOUNT', key, '(' .. whole(now_ms() - HOUR_MS), '+inf')
end

-- Reply of an XINFO command as a table by field name.
local function by_name(flat)
  local fields = {}
  for i = 1, #flat, 2 do fields[flat[i]] = flat[i + 1] end
  return fields
end

-- The consumer group's fields, nil when stream or group is missing.
local function group_of(stream, name)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then
    if string.find(groups.err, 'no such key', 1, true) then return nil end
    error(groups.err, 0)
  end
  for _, flat in ipairs(groups) do
    local group = by_name(flat)
    if group['name'] == name then return group end
  end
  return nil
end

-- Milliseconds and sequence of an entry id, nil for anything else.
local function id_parts(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function id_after(a, b)
  local a_ms, a_seq = id_parts(a)
  local b_ms, b_seq = id_parts(b)
  return a_ms > b_ms or (a_ms == b_ms and a_seq > b_seq)
end

local function lease_is_held_by(lease_key, holder, epoch)
  local lease = redis.call('HMGET', lease_key, 'holder', 'epoch')
  return lease[1] == holder and lease[2] == epoch
end
